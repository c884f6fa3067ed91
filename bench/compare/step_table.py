#!/usr/bin/env python3
"""Joins the JSON files of power_step.sh or emshap_step.sh into a Markdown table: medians over the rounds."""
import json
import pathlib
import statistics
import sys

# our benchmarks and what the PyTorch programs call the same step
STEPS = {"power_step": "power", "set_gru_step": "proposal", "set_gru_draw": "draw", "energy_step": "energy"}

folder = pathlib.Path(sys.argv[1])
ours, rivals, version, context = {}, {}, "", {}
for path in sorted(folder.glob("ours*.json")):
    report = json.loads(path.read_text())
    context = report["context"]
    for b in report["benchmarks"]:
        name, *rest = b["name"].split("/")
        if name not in STEPS:
            continue
        parts = dict(p.split(":") for p in rest if ":" in p)
        key = (STEPS[name], int(parts["batch"]), int(parts["threads"]))
        scale = {"ns": 1e-6, "us": 1e-3, "ms": 1.0}[b["time_unit"]]
        ours.setdefault(key, []).append((b["real_time"] * scale, b["of_peak"]))
for path in sorted(folder.glob("torch*.json")):
    report = json.loads(path.read_text())
    version = report["torch"]
    for r in report["results"]:
        if "ms" in r:
            key = (r.get("step", "power"), r["batch"], r["threads"])
            rivals.setdefault(key, {}).setdefault(r["variant"], []).append(r["ms"])

print(f"level {context.get('cpu_level')}, peak {float(context['peak_gflops_1_thread']):.0f} / "
      f"{float(context['peak_gflops_2_threads']):.0f} GFLOP/s with 1 / 2 threads, PyTorch {version}\n")
print("| step | batch | threads | emshap ms | share of peak | PyTorch ms (best variant) | ratio |")
print("|---|---|---|---|---|---|---|")
for key in sorted(ours, key=lambda k: (list(STEPS.values()).index(k[0]), k[1], k[2])):
    ms = statistics.median(t for t, _ in ours[key])
    share = statistics.median(s for _, s in ours[key])
    best = min(((statistics.median(v), k) for k, v in rivals.get(key, {}).items()), default=None)
    rival = f"{best[0]:.3f} ({best[1]})" if best else "not run"
    ratio = f"{best[0] / ms:.1f}x" if best else ""
    print(f"| {key[0]} | {key[1]} | {key[2]} | {ms:.4f} | {100 * share:.0f} % | {rival} | {ratio} |")
