#!/usr/bin/env python3
"""The training step of bench/power_step.cpp in PyTorch, tuned as well as we know: eager with fused Adam, eager with
foreach Adam, and torch.compile; on a GPU (--device cuda) also torch.compile with CUDA graphs and the whole step captured in
one. Prints JSON: milliseconds (median) per batch, threads and variant."""
import argparse
import json
import warnings

import torch

import device

warnings.filterwarnings("ignore")


def build(batch, adam):
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(20, 128, bias=False), torch.nn.BatchNorm1d(128), torch.nn.ReLU(), torch.nn.Dropout(0.1),
        torch.nn.Linear(128, 64, bias=False), torch.nn.BatchNorm1d(64), torch.nn.ReLU(), torch.nn.Dropout(0.1),
        torch.nn.Linear(64, 1))
    x = torch.randn(batch, 20)
    y = x[:, :1] + torch.sin(x[:, 1:2]) * x[:, 2:3] + 0.5 * x[:, 3:4] ** 2
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **adam)
    return model, x, y, optimizer, torch.nn.MSELoss()


def make_step(batch, variant):
    adam = {"foreach" if variant == "eager-foreach" else "fused": True, "capturable": variant == "graph"}
    model, x, y, optimizer, loss_function = build(batch, adam)

    def loss_of(a, b):
        return loss_function(model(a), b)

    forward = device.compiled(loss_of, variant)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = forward(x, y)
        loss.backward()
        optimizer.step()
        return loss

    return device.graphed(step) if variant == "graph" else step


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", default="32,256,4096")
    parser.add_argument("--variants", default="")
    parser.add_argument("--seconds", type=float, default=2.0)
    device.add_arguments(parser)
    args = parser.parse_args()
    device.prepare(args)
    every = "eager-fused,eager-foreach,compile" + (",compile-graphs,graph" if args.device == "cuda" else "")
    results = []
    for batch in map(int, args.batches.split(",")):
        for variant in (args.variants or every).split(","):
            row = {"step": "power", "device": args.device, "batch": batch, "threads": args.threads, "variant": variant}
            try:
                row["ms"] = device.median_ms(make_step(batch, variant), args.seconds, 10)
            except Exception as error:  # torch.compile needs a compiler; eager results still count
                row["error"] = str(error)[:200]
            results.append(row)
    print(json.dumps({"torch": torch.__version__, "results": results}))


if __name__ == "__main__":
    main()
