#!/usr/bin/env python3
"""The training step of bench/power_step.cpp in PyTorch, tuned as well as we know: eager with fused Adam, eager with
foreach Adam, and torch.compile. Prints JSON: milliseconds (median) per batch, threads and variant."""
import argparse
import json
import statistics
import time
import warnings

import torch

warnings.filterwarnings("ignore")


def build(batch, adam):
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(20, 128, bias=False), torch.nn.BatchNorm1d(128), torch.nn.ReLU(), torch.nn.Dropout(0.1),
        torch.nn.Linear(128, 64, bias=False), torch.nn.BatchNorm1d(64), torch.nn.ReLU(), torch.nn.Dropout(0.1),
        torch.nn.Linear(64, 1))
    x = torch.randn(batch, 20)
    y = x[:, :1] + torch.sin(x[:, 1:2]) * x[:, 2:3] + 0.5 * x[:, 3:4] ** 2
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **{adam: True})
    return model, x, y, optimizer, torch.nn.MSELoss()


def make_step(batch, variant):
    model, x, y, optimizer, loss_function = build(batch, "foreach" if variant == "eager-foreach" else "fused")

    def loss_of(a, b):
        return loss_function(model(a), b)

    forward = torch.compile(loss_of) if variant == "compile" else loss_of

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = forward(x, y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def median_ms(step, seconds):
    for _ in range(10):
        step()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 10:
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", default="32,256,4096")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=2.0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results = []
    for batch in map(int, args.batches.split(",")):
        for variant in ("eager-fused", "eager-foreach", "compile"):
            row = {"batch": batch, "threads": args.threads, "variant": variant}
            try:
                row["ms"] = median_ms(make_step(batch, variant), args.seconds)
            except Exception as error:  # torch.compile needs a compiler; eager results still count
                row["error"] = str(error)[:200]
            results.append(row)
    print(json.dumps({"torch": torch.__version__, "results": results}))


if __name__ == "__main__":
    main()
