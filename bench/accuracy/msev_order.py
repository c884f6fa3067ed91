#!/usr/bin/env python3
"""Does MSEv, which needs no truth, order methods as their true error of v(S, x) does?

  bench/compare/setup.sh                                   # numpy
  cmake --build build/release --target bench_values emshap_train
  bench/compare/.venv/bin/python bench/accuracy/msev_order.py [--data-dir DIR] [--build build/release] [--keep DIR]

DIR (else $EMSHAP_DATA/accuracy) holds M.npz (mixture of Gaussians), B.npz (Burr), G5.npz (Gaussian) and f2.npz. Per set, the
methods that are compared are emshap, gaussian, copula, empirical and independence, each fitted on 2,000 and on 10,000
rows: 45 pairs for each of two functions f. True MSE of v: mean over 32 rows and the 254 inner coalitions of (v(S, x) -
truth)^2. A pair counts where the difference is more than two paired standard errors (over rows). MSEv = mean of (f(x) -
v(S, x))^2 is taken on the same rows and coalitions, and on --test-rows others as a user would. Prints a Markdown table and exits
with 5 when MSEv on the same rows orders less than 90 % of these pairs as the truth does. --keep keeps the trained runs, and
uses those that are already there (of shapley.py, too).
"""
import argparse
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from density import f1, make_f2

METHODS = ["emshap", "gaussian", "copula", "empirical", "independence"]
FUNCTIONS = ["f1", "f2"]
GOAL = .9


def train(args, rows, name, folder):
    run = folder / f"{name}-{len(rows)}-{args.seed}"
    if not (run / "manifest.json").exists():
        np.savetxt(folder / "train.csv", rows, delimiter=",", header=",".join(f"x{i + 1}" for i in range(8)), comments="",
                   fmt="%.17g")
        subprocess.run([args.build / "bin" / "emshap_train", "emshap", "--data", folder / "train.csv", "--out", run, "--seed",
                        str(args.seed), "--threads", str(args.threads), "--train-fraction", "0.9", "--validation-fraction",
                        "0.1", "--test-fraction", "0", "--quiet"], check=True)
    return run


def values(args, method, function, source, x, folder):
    """v (rows, 254) of the inner coalitions."""
    np.save(folder / "x.npy", x)
    subprocess.run([args.build / "bench" / "bench_values", "--method", method, "--function", function, "--f2", folder,
                    "--explicands", folder / "x.npy", "--coalitions", folder / "inner.npy", "--out", folder / "out", "--draws",
                    str(args.draws), "--seed", str(args.seed), "--threads", str(args.threads), *source], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return np.load(folder / "out_v.npy")


def paired(a, b):
    """Mean of a - b over rows and its standard error."""
    d = a - b
    return d.mean(), d.std(ddof=1) / np.sqrt(len(d))


class Count:
    """Pairs whose truth is clear: how many, how many MSEv orders alike, and how many it is sure of, rightly or wrongly."""

    def __init__(self):
        self.pairs = self.alike = self.sure = self.wrong = 0

    def add(self, truth, estimate, error):
        self.pairs += 1
        alike = truth * estimate > 0
        sure = abs(estimate) > 2 * error
        self.alike += alike
        self.sure += sure
        self.wrong += sure and not alike

    def share(self):
        return self.alike / self.pairs if self.pairs else float("nan")

    def text(self):
        return f"{self.alike} of {self.pairs} ({100 * self.share():.0f} %) | {self.sure} ({self.wrong})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("EMSHAP_DATA")
    parser.add_argument("--data-dir", type=pathlib.Path, required=data is None,
                        default=pathlib.Path(data) / "accuracy" if data else None)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--sets", default="M,B,G5")
    parser.add_argument("--rows", default="2000,10000", help="training rows, each number of them a method of its own")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--test-rows", type=int, default=200)
    parser.add_argument("--draws", type=int, default=128)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the trained runs")
    args = parser.parse_args()

    weights = np.load(args.data_dir / "f2.npz")
    functions = {"f1": f1, "f2": make_f2(args.data_dir / "f2.npz")}
    total, fresh_total = Count(), Count()
    print(f"| data | f | pairs | alike, MSEv of 32 rows | sure (wrongly) | alike, MSEv of {args.test_rows} other rows | sure (wrongly) |")
    print("|---|---|---|---|---|---|---|")
    for name in args.sets.split(","):
        data = np.load(args.data_dir / f"{name}.npz")
        test = data["Xte"][:args.test_rows]
        for i, function in enumerate(FUNCTIONS):
            truth = data["V"][:, 1:255, i]
            scores = []  # of each method: label, and per row true error, MSEv there, MSEv of other rows
            for count, method in itertools.product(map(int, args.rows.split(",")), args.methods.split(",")):
                with tempfile.TemporaryDirectory() as text:
                    folder = pathlib.Path(text)
                    for key in weights.files:
                        np.save(folder / f"{key}.npy", weights[key].astype(np.float64))
                    np.save(folder / "inner.npy", np.array([[(c >> j) & 1 for j in range(8)] for c in range(1, 255)],
                                                           dtype=np.float32))
                    rows = data["Xtr"][:count]
                    if method == "emshap":
                        kept = args.keep or folder
                        kept.mkdir(parents=True, exist_ok=True)
                        source = ["--run", train(args, rows, name, kept)]
                    else:
                        np.save(folder / "rows.npy", rows)
                        source = ["--train", folder / "rows.npy"]
                    v = values(args, method, function, source, data["Xe"], folder)
                    fresh = values(args, method, function, source, test, folder)
                fx, fx_test = functions[function](data["Xe"])[:, None], functions[function](test)[:, None]
                scores.append((f"{method} {count}", ((v - truth) ** 2).mean(1), ((fx - v) ** 2).mean(1),
                               ((fx_test - fresh) ** 2).mean(1)))
                print(name, function, scores[-1][0], *(f"{s.mean():.4f}" for s in scores[-1][1:]), file=sys.stderr, flush=True)
            same, other, pairs = Count(), Count(), 0
            for a, b in itertools.combinations(scores, 2):
                pairs += 1
                difference, error = paired(a[1], b[1])
                if not abs(difference) > 2 * error:
                    continue
                for counts, part in (((same, total), 2), ((other, fresh_total), 3)):
                    for counter in counts:
                        counter.add(difference, *paired(a[part], b[part]))
                if difference * paired(a[2], b[2])[0] <= 0:
                    estimate, error = paired(a[2], b[2])
                    print(f"  otherwise: {a[0]}, {b[0]}: true {difference:.5f}, MSEv {estimate:.5f} +- {error:.5f}",
                          file=sys.stderr)
            print(f"| {name} | {function} | {pairs} | {same.text()} | {other.text()} |", flush=True)
    print(f"| all | | | {total.text()} | {fresh_total.text()} |")
    sys.exit(0 if total.share() >= GOAL else 5)


if __name__ == "__main__":
    main()
