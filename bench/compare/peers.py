#!/usr/bin/env python3
"""Shapley values by emshap_explain --method independence beside shap's KernelExplainer and shapiq's KernelSHAP: the same
ONNX file of a power predictor, background rows, rows to explain and number of model evaluations, in turn. Prints a Markdown
table: seconds, largest resident set, and distance of the attributions from a long run of emshap_explain with another seed.

    bench/compare/setup.sh && cmake --preset release
    cmake --build build/release --target emshap_datagen emshap_train emshap_explain
    bench/compare/.venv/bin/python bench/compare/peers.py --build build/release

emshap's seconds are those of the whole process, reading and writing of files included; the others' begin after imports
and loading and end with the attributions in memory. This process imports no package: a child's largest resident set
counts that of the process that started it.
"""
import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

BACKGROUND, ROWS = 128, 10


def resident_mib():
    """The largest resident set of this process up to now."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def prepare(folder):
    """background.npy: rows of the run's background; rows.npy and rows.csv: some of its test rows."""
    import numpy as np

    np.save(folder / "background.npy", np.load(folder / "run" / "background.npy")[:BACKGROUND])
    with open(folder / "run" / "split.csv") as file:
        split = list(csv.DictReader(line for line in file if not line.startswith("#")))
    test = [int(s["row"]) for s in split if s["part"] == "test"]
    with open(folder / "hosts.csv") as file:
        table = list(csv.DictReader(file))
    columns = [c for c in table[0] if c not in ("time", "node_id", "power_consumption")]
    rows = [table[r] for r in test[:: len(test) // ROWS][:ROWS]]
    np.save(folder / "rows.npy", np.array([[float(row[c]) for c in columns] for row in rows], np.float32))
    with open(folder / "rows.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([row[c] for c in columns] for row in rows)


class Model:
    """The ONNX file in ONNX Runtime, by blocks of rows."""

    def __init__(self, path, threads, block):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.block, self.evaluations = block, 0

    def __call__(self, x):
        import numpy as np

        x = np.ascontiguousarray(x, np.float32)
        self.evaluations += len(x)
        out = [self.session.run(None, {"x": x[i:i + self.block]})[0][:, 0] for i in range(0, len(x), self.block)]
        return np.concatenate(out) if len(out) > 1 else out[0]


def tune(folder, threads):
    """The rivals' best number of rows a block on this machine, found in a process of its own: memory is measured, too."""
    import numpy as np

    background = np.load(folder / "background.npy")
    x, times = np.resize(background, (32768, background.shape[1])), {}
    for block in (128, 256, 512, 1024, 4096, 16384):
        f = Model(folder / "run" / "power_predictor.onnx", threads, block)
        for _ in range(4):
            start = time.perf_counter()
            f(x)
            times[block] = min(times.get(block, float("inf")), time.perf_counter() - start)
    (folder / "block.json").write_text(json.dumps(min(times, key=times.get)))


def explain_shap(f, background, rows, budget, seed):
    import numpy as np
    import shap

    np.random.seed(seed)
    explainer = shap.KernelExplainer(f, background)
    # Its number counts coalitions without the empty and the full one. By default it would keep ten features only.
    phi = explainer.shap_values(rows, nsamples=budget - 2, l1_reg=False, silent=True)
    return float(explainer.expected_value), np.asarray(phi)


def explain_shapiq(f, background, rows, budget, seed):
    import numpy as np
    from shapiq.approximator import KernelSHAP
    from shapiq.imputer import MarginalImputer

    imputer = MarginalImputer(f, background, sample_size=len(background), random_state=seed)
    approximator = KernelSHAP(background.shape[1], pairing_trick=True, random_state=seed)
    phi = []
    for x in rows:
        imputer.fit(x)
        phi.append(approximator.approximate(budget, imputer).get_n_order_values(1))
    return float(imputer.empty_prediction), np.array(phi)


def rival(name, folder, threads, budget, seed):
    import importlib.metadata

    import numpy as np

    __import__(name)
    background, rows = np.load(folder / "background.npy"), np.load(folder / "rows.npy")
    f = Model(folder / "run" / "power_predictor.onnx", threads, json.loads((folder / "block.json").read_text()))
    f(background)
    before, f.evaluations = resident_mib(), 0
    start = time.perf_counter()
    phi0, phi = {"shap": explain_shap, "shapiq": explain_shapiq}[name](f, background, rows, budget, seed)
    seconds = time.perf_counter() - start
    result = {"seconds": seconds, "before": before, "block": f.block, "version": importlib.metadata.version(name),
              "phi0": phi0,
              "evaluations": f.evaluations, "prediction": f(rows).tolist(), "phi": phi.tolist()}
    (folder / f"{name}.json").write_text(json.dumps(result))


def measured(command, threads):
    """Seconds and largest resident set (MiB) of a process."""
    environment = {**os.environ, **{name: str(threads) for name in (
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}}
    start = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen([str(c) for c in command], env=environment, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if child.returncode:
            log.seek(0)
            sys.exit(f"{command[0]} ended with {child.returncode}:\n{log.read().decode(errors='replace')}")
    return seconds, usage.ru_maxrss / 1024


def ours(build, folder, threads, budget, seed):
    out = folder / f"explanation-{budget}"
    seconds, resident = measured(
        [build / "bin" / "emshap_explain", "--model", folder / "run" / "power_predictor.onnx", "--data",
         folder / "rows.csv", "--background", folder / "background.npy", "--method", "independence", "--samples",
         BACKGROUND, "--strategy", "kernel", "--budget", budget, "--seed", seed, "--threads", threads, "--no-report",
         "--json-rows", 0, "--out", out, "--overwrite"], threads)
    with open(out / "attributions.csv") as file:
        rows = list(csv.DictReader(file))
    numbers = lambda kind: [[float(v) for c, v in row.items() if c.startswith(kind)] for row in rows]
    return {"seconds": seconds, "process": seconds, "resident": resident, "phi": numbers("phi:"), "se": numbers("se:"),
            "phi0": float(rows[0]["phi0"]), "prediction": [float(row["prediction"]) for row in rows]}


def theirs(name, folder, threads, budget, seed):
    process, resident = measured([sys.executable, __file__, "--rival", name, "--folder", folder, "--threads", threads,
                                  "--budget", budget, "--seed", seed], threads)
    return {**json.loads((folder / f"{name}.json").read_text()), "process": process, "resident": resident}


def errors(result, reference):
    """Mean and largest |phi - reference| as shares of each row's spread of phi."""
    shares = []
    for phi, truth in zip(result["phi"], reference["phi"], strict=True):
        spread = max(truth) - min(truth)
        shares += [abs(a - b) / spread for a, b in zip(phi, truth, strict=True)]
    return statistics.mean(shares), max(shares)


def check(name, result, reference, budget):
    """All must play the same game (f(x), its mean over the background, attributions that add up) by as many evaluations."""
    expected = ROWS * BACKGROUND * budget
    if abs(result.get("evaluations", expected) - expected) > .01 * expected:
        sys.exit(f"{name}: {result['evaluations']} evaluations of the model, expected {expected}")
    scale = max(abs(p) for p in reference["prediction"])
    apart = abs(result["phi0"] - reference["phi0"])
    for i, prediction in enumerate(reference["prediction"]):
        apart = max(apart, abs(result["prediction"][i] - prediction),
                    abs(result["phi0"] + sum(result["phi"][i]) - prediction))
    if apart > 1e-4 * scale:
        sys.exit(f"{name}: phi0, predictions or sums differ by {apart:.3g} from those of emshap_explain")


def compare(build, folder, args):
    rounds, results = args.rounds, {}
    for threads in args.threads_list:
        measured([sys.executable, __file__, "--rival", "tune", "--folder", folder, "--threads", threads], threads)
        for _ in range(rounds):
            results.setdefault(("emshap", threads), []).append(ours(build, folder, threads, args.budget, args.seed))
            for name in ("shap", "shapiq"):
                results.setdefault((name, threads), []).append(theirs(name, folder, threads, args.budget, args.seed))
    reference = ours(build, folder, max(args.threads_list), args.reference_budget, args.seed + 1000)
    rms = statistics.mean(statistics.mean(se) / (max(phi) - min(phi))
                          for se, phi in zip(reference["se"], reference["phi"], strict=True))
    print(f"{ROWS} rows, {BACKGROUND} background rows, {args.budget} coalitions, median of {rounds} rounds; reference of "
          f"{args.reference_budget} coalitions with a mean standard error of {100 * rms:.3f} % of the spread\n")
    print("| | threads | s | ratio | whole process s | max RSS MiB | of it before explaining | mean error, share of the "
          "spread of phi | largest |\n|---|---|---|---|---|---|---|---|---|")
    for (name, threads), runs in sorted(results.items(), key=lambda item: item[0][1]):
        check(name, runs[0], reference, args.budget)
        median = lambda key: statistics.median(run[key] for run in runs)
        own = statistics.median(run["seconds"] for run in results["emshap", threads])
        mean, largest = errors(runs[0], reference)
        label = name if name == "emshap" else f"{name} {runs[0]['version']}, blocks of {runs[0]['block']}"
        before = "" if name == "emshap" else f"{median('before'):.0f}"
        print(f"| {label} | {threads} | {median('seconds'):.3g} | {median('seconds') / own:.1f}x | "
              f"{median('process'):.3g} | {median('resident'):.0f} | {before} | {100 * mean:.2f} % | {100 * largest:.2f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--folder", type=pathlib.Path, help="where data, models and results go; default: a temporary one")
    parser.add_argument("--budget", type=int, default=1024)
    parser.add_argument("--reference-budget", type=int, default=16384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", default="1,2", help="numbers of threads, one after another")
    parser.add_argument("--rival", choices=("prepare", "tune", "shap", "shapiq"), help="internal: what this process does")
    args = parser.parse_args()
    args.threads_list = [int(t) for t in args.threads.split(",")]
    if args.rival == "prepare":
        return prepare(args.folder)
    if args.rival == "tune":
        return tune(args.folder, args.threads_list[0])
    if args.rival:
        return rival(args.rival, args.folder, args.threads_list[0], args.budget, args.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.folder or pathlib.Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        bin_folder = args.build.resolve() / "bin"
        measured([bin_folder / "emshap_datagen", "--rows", 5000, "--seed", 1, "--out", folder / "hosts.csv"], 2)
        measured([bin_folder / "emshap_train", "power", "--data", folder / "hosts.csv", "--target", "power_consumption",
                  "--epochs", 30, "--no-plots", "--seed", 1, "--out", folder / "run", "--overwrite"], 2)
        measured([sys.executable, __file__, "--rival", "prepare", "--folder", folder], 1)
        compare(args.build.resolve(), folder, args)


if __name__ == "__main__":
    main()
