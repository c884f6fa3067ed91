#!/usr/bin/env python3
"""Joins the JSON files of explain_step.sh into Markdown tables: medians over the rounds."""
import json
import pathlib
import statistics
import sys

folder = pathlib.Path(sys.argv[1])
ours, rivals, version, context = {}, {}, "", {}
for path in sorted(folder.glob("ours*.json")):
    report = json.loads(path.read_text())
    context = report["context"]
    for b in report["benchmarks"]:
        _, part, threads, *_ = b["name"].split("/")
        scale = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[b["time_unit"]]
        ours.setdefault((part, int(threads.split(":")[1])), []).append(
            (b["real_time"] * scale, b["of_peak"], b["draws/s"]))
for path in sorted(folder.glob("torch*.json")):
    report = json.loads(path.read_text())
    version = report["torch"]
    for r in report["results"]:
        if "seconds" in r:
            rivals.setdefault(r["threads"], {}).setdefault(r["variant"], []).append(r)


def median(key, i):
    return statistics.median(v[i] for v in ours[key])


print(f"level {context.get('cpu_level')}, peak {float(context['peak_gflops_1_thread']):.0f} / "
      f"{float(context['peak_gflops_2_threads']):.0f} GFLOP/s with 1 / 2 threads, PyTorch {version}\n")
print("| threads | emshap s a row | draws/s | share of peak | PyTorch s a row (best variant, block) | ratio "
      "| largest difference of v | root mean square in standard errors |")
print("|---|---|---|---|---|---|---|---|")
for threads in sorted(t for part, t in ours if part == "values"):
    key = ("values", threads)
    line = f"| {threads} | {median(key, 0):.3f} | {median(key, 2):.3g} | {100 * median(key, 1):.0f} % | "
    best = min(((statistics.median(r["seconds"] for r in runs), name, runs[0])
                for name, runs in rivals.get(threads, {}).items()), key=lambda b: b[0], default=None)
    if best:
        line += (f"{best[0]:.3f} ({best[1]}, {best[2]['block']}) | {best[0] / median(key, 0):.1f}x | "
                 f"{best[2]['largest_difference']:.1e} | {best[2]['difference_in_errors']:.2f} |")
    else:
        line += "not run | | | |"
    print(line)
print("\n| part, 1 thread | s a row | share of peak |\n|---|---|---|")
parts = 0.0
for part in ("sampler", "energy", "predictor"):
    parts += median((part, 1), 0)
    print(f"| {part} | {median((part, 1), 0):.3f} | {100 * median((part, 1), 1):.0f} % |")
print(f"| the rest | {median(('values', 1), 0) - parts:.3f} | |")
