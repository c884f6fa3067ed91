#!/usr/bin/env bash
# The values of coalitions side by side: emshap, then PyTorch with the same weights, rows and coalitions, in turn,
# one and two threads. Prints time and draws a second, our share of the multiply-add peak measured in the same run, the
# parts, and how far the values of the two are apart.
#   bench/compare/setup.sh && cmake --preset release
#   cmake --build build/release --target bench_explain_step
#   bench/compare/explain_step.sh [build/release] [rounds]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/../../build/release}
rounds=${2:-2}
python=${EMSHAP_RIVAL_PYTHON:-$here/.venv/bin/python}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$build/bench/bench_explain_step" --dump "$out/dump"
for round in $(seq "$rounds"); do
  "$build/bench/bench_explain_step" --benchmark_format=json --benchmark_min_time=1 >"$out/ours.$round.json"
  for threads in 1 2; do
    "$python" "$here/explain_step.py" --dump "$out/dump" --threads "$threads" >"$out/torch.$threads.$round.json"
  done
done
"$python" "$here/explain_table.py" "$out"
