#!/usr/bin/env python3
"""Accuracy of `emshap_train power` with default settings against scikit-learn's MLP (128, 64) and
HistGradientBoosting on the very rows of RUN/split.csv, for several seeds.

  bench/compare/setup.sh                                   # scikit-learn
  bench/compare/.venv/bin/python bench/accuracy/power.py --data-dir DIR [--build build/release] [--seeds 1-5]

DIR holds compactiv.csv and specpower.csv. The rivals are fitted twice: on the training rows, and on training plus
validation rows (they need no separate validation set); each is given its better result. Prints a Markdown table of
medians of the test R2 and whether the aim is met; exits with 5 when it is not.
"""
import argparse
import csv
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")

CASES = [  # name, file, target, group column, options of emshap_train, allowed distance to the better rival
    ("compactiv by row", "compactiv.csv", "usr", None, [], 0.001),
    ("specpower by row", "specpower.csv", "avg_power_w", "server", ["--exclude", "server"], 0.001),
    ("specpower by server", "specpower.csv", "avg_power_w", "server", ["--group", "server", "--split", "group"], 0.02),
]


def load(path, target, group):
    with open(path, newline="") as handle:
        rows = list(csv.reader(handle))
    head = rows[0]
    columns = [i for i, name in enumerate(head) if name not in (target, group)]
    x = np.array([[float(r[i]) for i in columns] for r in rows[1:]])
    y = np.array([float(r[head.index(target)]) for r in rows[1:]])
    return x, y


def parts_of(run):
    parts = {}
    with open(run / "split.csv") as handle:
        lines = [line for line in handle if not line.startswith("#")]
    for row in csv.DictReader(lines):
        parts.setdefault(row["part"], []).append(int(row["row"]))
    return {name: np.array(rows) for name, rows in parts.items()}


def rivals(x, y, parts, seed):
    """Best test R2 of each rival over the two choices of rows and, for the MLP, scaled and unscaled targets."""
    train, test = parts["train"], parts["test"]
    best = {"MLP (128, 64)": -np.inf, "HistGradientBoosting": -np.inf}
    for rows in (train, np.concatenate([train, parts["validation"]])):
        mlp = MLPRegressor(hidden_layer_sizes=(128, 64), max_iter=200, random_state=seed)
        candidates = [("MLP (128, 64)", make_pipeline(StandardScaler(), mlp)),
                      ("MLP (128, 64)", make_pipeline(StandardScaler(), TransformedTargetRegressor(
                          mlp, transformer=StandardScaler()))),
                      ("HistGradientBoosting", HistGradientBoostingRegressor(random_state=seed))]
        for name, model in candidates:
            model.fit(x[rows], y[rows])
            best[name] = max(best[name], r2_score(y[test], model.predict(x[test])))
    return best


def seed_list(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--seeds", type=seed_list, default=seed_list("1-5"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", help="only cases whose name contains this")
    parser.add_argument("--option", action="append", default=[], help="further option of emshap_train, repeatable")
    args = parser.parse_args()

    print("| data | seeds | emshap R2 | MLP (128, 64) | HistGradientBoosting | aim | met | s a run |")
    print("|---|---|---|---|---|---|---|---|")
    all_met = True
    for name, file, target, group, options, allowed in CASES:
        if args.only and args.only not in name:
            continue
        x, y = load(args.data_dir / file, target, group)
        ours, others, seconds = [], {}, []
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as folder:
                run = pathlib.Path(folder) / "run"
                start = time.time()
                subprocess.run([args.build / "bin" / "emshap_train", "power", "--data", args.data_dir / file, "--target",
                                target, "--out", run, "--seed", str(seed), "--threads", str(args.threads), "--quiet",
                                *options, *args.option], check=True)
                seconds.append(time.time() - start)
                ours.append(json.loads((run / "metrics.json").read_text())["test"]["r2"])
                for rival, r2 in rivals(x, y, parts_of(run), seed).items():
                    others.setdefault(rival, []).append(r2)
            print(f"{name} seed {seed}: emshap {ours[-1]:.4f}, " +
                  ", ".join(f"{k} {v[-1]:.4f}" for k, v in others.items()), file=sys.stderr, flush=True)
        median = {k: statistics.median(v) for k, v in others.items()}
        aim = max(median.values()) - allowed
        met = statistics.median(ours) >= aim
        all_met &= met
        print(f"| {name} | {args.seeds[0]}-{args.seeds[-1]} | {statistics.median(ours):.4f} | "
              f"{median['MLP (128, 64)']:.4f} | {median['HistGradientBoosting']:.4f} | {aim:.4f} | "
              f"{'yes' if met else 'no'} | {statistics.median(seconds):.0f} |", flush=True)
    sys.exit(0 if all_met else 5)


if __name__ == "__main__":
    main()
