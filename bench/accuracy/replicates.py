#!/usr/bin/env python3
"""What the noise of the draws does to Shapley values, by how it is made.

  cmake --build build/release --target bench_values
  bench/compare/.venv/bin/python bench/accuracy/replicates.py --data-dir DIR --runs RUNS [--build build/release]

RUNS holds what `bench/accuracy/shapley.py --keep RUNS` trained. Per set, for 128 draws and the seeds of the draws 1-8:
mean absolute error of phi (f1 / f2), its standard deviation over the seeds, and the standard deviation of phi by the noise.
"""
import argparse
import pathlib
import subprocess
import tempfile

import numpy as np

from density import shapley

SETTINGS = {"8 replicates": ["--replicates", "8"], "4 replicates": ["--replicates", "4"],
            "4 replicates, one order": ["--replicates", "4", "--orders", "1"], "1 set": ["--replicates", "1"],
            "independent": ["--noise", "iid"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--sets", default="G5,B")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    weights = np.load(args.data_dir / "f2.npz")
    print("| data | noise | MAE of phi, f1/f2 | sd over seeds | sd of phi by noise |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        for key in weights.files:
            np.save(folder / f"{key}.npy", weights[key].astype(np.float64))
        np.save(folder / "masks.npy", np.array([[(c >> j) & 1 for j in range(8)] for c in range(256)], dtype=np.float32))
        for name in args.sets.split(","):
            data = np.load(args.data_dir / f"{name}.npz")
            np.save(folder / "rows.npy", data["Xe"])
            for label, options in SETTINGS.items():
                cells = []
                for i, function in enumerate(["f1", "f2"]):
                    truth, phis = shapley(data["V"][:, :, i]), []
                    for seed in range(1, 9):
                        subprocess.run([args.build / "bench" / "bench_values", "--method", "emshap", "--run",
                                        args.runs / f"{name}-2000-1", "--function", function, "--f2", folder,
                                        "--explicands", folder / "rows.npy", "--coalitions", folder / "masks.npy", "--out",
                                        folder / "out", "--seed", str(seed), "--threads", str(args.threads), *options],
                                       check=True, stdout=subprocess.DEVNULL)
                        v = np.load(folder / "out_v.npy")
                        v[:, [0, 255]] = data["V"][:, [0, 255], i]
                        phis.append(shapley(v))
                    phis = np.array(phis)
                    errors = np.abs(phis - truth).mean((1, 2))
                    noise = np.sqrt(phis.var(0, ddof=1).mean())
                    cells.append((errors.mean(), errors.std(), noise))
                print(f"| {name} | {label} | " + " | ".join("/".join(f"{c[k]:.4f}" for c in cells) for k in range(3)) + " |",
                      flush=True)


if __name__ == "__main__":
    main()
