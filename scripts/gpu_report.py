"""Joins results/<stage>.json of gpu_check.py into report.md and report.json.

    python3 scripts/gpu_report.py build/gpu-check --update docs/cuda.md

replaces what stands between "<!-- figures -->" and "<!-- end of figures -->" of a document by the figures of a run on a
GPU.
"""
import argparse
import json
import pathlib
import re
import sys

STAGES = ("build", "test", "sanitize", "bench")
WARNING = ("**The kernels ran on the processor: this run tries out the script. No time, rate or ratio below means "
           "anything.**\n")


def load(folder):
    found = {}
    for stage in STAGES:
        path = pathlib.Path(folder) / (stage + ".json")
        if path.exists():
            found[stage] = json.loads(path.read_text())
    return found


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def number(value):
    return "" if value is None else f"{value:.3g}" if abs(value) < 1e6 else f"{value:.2e}"


def head(about):
    lines = [f"| | |\n|---|---|"]
    for key, label in (("date", "date"), ("gpu", "GPU, memory, driver"), ("cuda", "CUDA compiler"),
                       ("architectures", "architectures"), ("cpu", "processor"), ("commit", "commit")):
        lines.append(f"| {label} | {cell(about[key])} |")
    return "\n".join(lines) + "\n"


def stage_table(stages):
    lines = ["| stage | passed | failed | not run | seconds | commit |", "|---|---|---|---|---|---|"]
    for stage in STAGES:
        if stage not in stages:
            lines.append(f"| {stage} | | | not run | | |")
            continue
        statuses = [i["status"] for i in stages[stage]["items"]]
        lines.append(f"| {stage} | {statuses.count('passed')} | {statuses.count('FAILED')} | {statuses.count('not run')} "
                     f"| {stages[stage]['seconds']} | {stages[stage]['about']['commit'][:12]} |")
    return "\n".join(lines) + "\n"


def item_table(items):
    lines = ["| | result | |", "|---|---|---|"]
    lines += [f"| {cell(i['name'])} | {i['status']} | {cell(i['detail'])} |" for i in items]
    return "\n".join(lines) + "\n"


def ceilings(items):
    for item in items:
        context = item.get("context", {})
        if "copy_gbs" in context:
            return (f"Ceilings of this run ({item['name']}): copy {float(context['copy_gbs']):.0f} GB/s, SGEMM "
                    f"{float(context['sgemm_gflops']) * 1e-3:.2f} TFLOP/s, a launch {float(context['launch_us']):.1f} us. "
                    "Floor: max(bytes / copy, operations / SGEMM); tensors that stay in the L2 cache can beat it.\n")
    return ""


def benchmark_table(items):
    lines = ["| benchmark | us | MB | MFLOP | GB/s | GFLOP/s | floor us | share of floor |", "|---|---|---|---|---|---|---|---|"]
    for item in items:
        for r in item.get("rows", []):
            if item["name"].startswith("PyTorch"):
                continue
            if "error" in r:
                lines.append(f"| {cell(r['name'])} | not run: {cell(r['error'])} | | | | | | |")
            elif "us" in r:
                lines.append(f"| {cell(r['name'])} | {number(r['us'])} | {number(r['bytes'] * 1e-6)} "
                             f"| {number(r['flop'] * 1e-6)} | {number(r['GB/s'])} | {number(r['GFLOP/s'])} "
                             f"| {number(r['floor_us'])} | {100 * r['of_floor']:.0f} % |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else "not run\n"


def our_steps(items):
    """{(step, batch): {variant: ms}} from benchmarks named step/.../batch:N[/variant]."""
    ours = {}
    for item in items:
        for r in item.get("rows", []):
            match = re.match(r"(power|proposal|energy|draw|explain)_step(?:_(\w+))?/(?:.*/)?batch:(\d+)", r["name"]) \
                if "name" in r else None
            if match and "us" in r:
                ours.setdefault((match.group(1), int(match.group(3))), {})[match.group(2) or "stream"] = r["us"] * 1e-3
    return ours


def rival_steps(items):
    rivals = {}
    for item in items:
        for r in item.get("rows", []):
            if "variant" in r:
                value = r.get("ms", r.get("seconds", 0) * 1e3 if "seconds" in r else None)
                key = (r.get("step", "explain" if "seconds" in r else "power"), r.get("batch", r.get("block", 0)))
                rivals.setdefault(key, {})[r["variant"]] = value
    return rivals


def comparison_table(items):
    ours, rivals = our_steps(items), rival_steps(items)
    lines = ["| step | batch | emshap ms | PyTorch ms | ratio over eager | ratio over the best |", "|---|---|---|---|---|---|"]
    for key in sorted(set(ours) | set(rivals)):
        mine, theirs = ours.get(key, {}), {v: ms for v, ms in rivals.get(key, {}).items() if ms is not None}
        best = min(mine.values(), default=None)
        left = ", ".join(f"{ms:.4g} ({v})" for v, ms in mine.items()) or "not run"
        right = ", ".join(f"{ms:.4g} ({v})" for v, ms in theirs.items()) or "not run"
        eager = next((ms for v, ms in theirs.items() if v.startswith("eager")), None)
        lines.append(f"| {key[0]} | {key[1]} | {left} | {right} | {f'{eager / best:.2f}x' if eager and best else ''} "
                     f"| {f'{min(theirs.values()) / best:.2f}x' if theirs and best else ''} |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else "not run\n"


def figures(stages):
    if "bench" not in stages:
        return "Not run.\n"
    items = stages["bench"]["items"]
    return "\n".join([ceilings(items), "### Steps beside PyTorch\n", comparison_table(items), "### Ops\n", benchmark_table(items)])


def markdown(stages):
    about = stages[max(stages, key=lambda s: stages[s]["about"]["date"])]["about"]
    host = any(s["about"]["kernels"] != "on the GPU" for s in stages.values())
    parts = ["# emshap on the GPU\n", WARNING if host else "", head(about), stage_table(stages)]
    for stage in STAGES:
        if stage in stages:
            parts += [f"## {stage}\n", item_table(stages[stage]["items"])]
    return "\n".join(parts + ["## Figures\n", figures(stages)])


def write(results, report, as_json):
    stages = load(results)
    if stages:
        pathlib.Path(report).write_text(markdown(stages))
        pathlib.Path(as_json).write_text(json.dumps(stages, indent=1))


def update(document, stages):
    """Only with figures of a GPU: those of a processor say nothing."""
    if "bench" not in stages or stages["bench"]["about"]["kernels"] != "on the GPU":
        sys.exit("gpu_report.py: there is no bench stage of a GPU")
    path = pathlib.Path(document)
    begin, end = "<!-- figures -->", "<!-- end of figures -->"
    before, _, rest = path.read_text().partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n{head(stages['bench']['about'])}\n{stage_table(stages)}\n{figures(stages)}{end}{after}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="build/gpu-check")
    parser.add_argument("--update", metavar="DOCUMENT")
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.folder)
    if arguments.update:
        update(arguments.update, load(folder / "results"))
    else:
        write(folder / "results", folder / "report.md", folder / "report.json")
