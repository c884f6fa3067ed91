#!/usr/bin/env python3
"""`emshap_train all` and `emshap_evaluate` with default settings on real data, beside a Gaussian and a Gaussian copula
scored by the same code on the same rows and masks.

  python3 bench/accuracy/density_real.py --data-dir DIR [--build build/release] [--seeds 1-3]

DIR holds compactiv.csv and specpower.csv. Per data set, engine and seed: both models are trained into one run, then the
test rows are scored: log-likelihood per unknown feature, CRPS (both in training standard deviations), and MSEv of the
trained predictor. Prints a Markdown table of medians over the seeds, with paired differences to the baselines and their
standard errors (medians too, clustered by server for specpower). Exits with 5 unless the default engine is better than
both baselines in log-likelihood, CRPS and MSEv (for specpower: MSEv not worse by more than one standard error).
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

CASES = [  # name, options of emshap_train, MSEv may be worse by this many standard errors
    ("compactiv", ["--data", "compactiv.csv", "--target", "usr"], 0),
    ("specpower by server", ["--data", "specpower.csv", "--target", "avg_power_w", "--group", "server", "--split", "group"], 1),
]
BASELINES = ("Gaussian", "Gaussian copula")
SCORES = ("log_likelihood", "crps", "msev")


def seed_list(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def median(values):
    known = [v for v in values if v is not None]
    return statistics.median(known) if known else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--seeds", type=seed_list, default=seed_list("1-3"))
    parser.add_argument("--engines", default="gru,mlp")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", help="only cases whose name contains this")
    parser.add_argument("--keep", type=pathlib.Path, help="keep the runs in this folder")
    parser.add_argument("--option", action="append", default=[], help="further option of emshap_train, repeatable")
    args = parser.parse_args()

    print("| data | method | LL | CRPS | MSEv / var f | LL - Gaussian | LL - copula | CRPS - copula | MSEv - Gaussian | "
          "MSEv - copula | energy used | s a run |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    all_met = True
    for name, options, slack in CASES:
        if args.only and args.only not in name:
            continue
        rows, shown = {}, {}
        for engine in args.engines.split(","):
            results = []
            for seed in args.seeds:
                with tempfile.TemporaryDirectory() as text:
                    run = (args.keep or pathlib.Path(text)) / f"{name.split()[0]}-{engine}-{seed}"
                    start = time.time()
                    local = [args.data_dir / o if o.endswith(".csv") else o for o in options]
                    common = ["--seed", str(seed), "--threads", str(args.threads), "--quiet"]
                    subprocess.run([args.build / "bin" / "emshap_train", "all", *local, "--out", run, "--proposal", engine,
                                    "--overwrite", *common, *args.option], check=True)
                    seconds = time.time() - start
                    subprocess.run([args.build / "bin" / "emshap_evaluate", "--run", run, *common], check=True)
                    metrics = json.loads((run / "evaluation" / "metrics.json").read_text())["density"]
                    results.append((metrics, seconds))
                    m = metrics["methods"]
                    print(f"{name} {engine} seed {seed}: " + "; ".join(
                        f"{k} LL {m[k]['log_likelihood']}, CRPS {m[k]['crps']}, MSEv {metrics['values']['methods'][k]['msev']}"
                        for k in m) + f"; energy {metrics['energy']['gain']}", file=sys.stderr, flush=True)
            all_metrics = [r[0] for r in results]

            def method(kind, key):
                return median([m["methods"][kind][key] for m in all_metrics])

            def msev(kind):
                return median([m["values"]["methods"][kind]["msev"] / m["values"]["prediction_variance"] for m in all_metrics])

            def difference(baseline, key):
                scale = [m["values"]["prediction_variance"] if key == "msev" else 1 for m in all_metrics]
                values = [m["difference_to"][baseline][key] for m in all_metrics]
                return (median([v["value"] / s for v, s in zip(values, scale)]),
                        median([v["standard_error"] / s for v, s in zip(values, scale)]))

            for baseline in ("independence",) + BASELINES:
                if baseline in all_metrics[0]["methods"] and baseline not in shown:
                    shown[baseline] = (f"| {name} | {baseline} | {method(baseline, 'log_likelihood'):.3f} | ".replace("nan", "-")
                                       + f"{method(baseline, 'crps'):.3f} | {msev(baseline):.3f} | | | | | | | |")
            d = {(b, k): difference(b, k) for b in BASELINES for k in SCORES}
            used = sum(bool(m["energy"]["used"]) for m in all_metrics)
            rows[engine] = (f"| {name} | {engine} | {method('EmSHAP', 'log_likelihood'):.3f} | {method('EmSHAP', 'crps'):.3f} | "
                            f"{msev('EmSHAP'):.3f} | " + " | ".join(
                                f"{d[k][0]:+.3f} ± {d[k][1]:.3f}" for k in (
                                    ("Gaussian", "log_likelihood"), ("Gaussian copula", "log_likelihood"),
                                    ("Gaussian copula", "crps"), ("Gaussian", "msev"), ("Gaussian copula", "msev"))) +
                            f" | {used} of {len(all_metrics)} | {statistics.median(r[1] for r in results):.0f} |")
            met = all(d[b, "log_likelihood"][0] > 0 and d[b, "crps"][0] < 0 and
                      d[b, "msev"][0] < slack * d[b, "msev"][1] for b in BASELINES)
            print(f"{name} {engine}: {'met' if met else 'NOT met'}", file=sys.stderr, flush=True)
            if engine == "gru":
                all_met &= met
        for line in list(shown.values()) + list(rows.values()):
            print(line, flush=True)
    sys.exit(0 if all_met else 5)


if __name__ == "__main__":
    main()
