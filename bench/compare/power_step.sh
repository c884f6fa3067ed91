#!/usr/bin/env bash
# The training step side by side: emshap, then PyTorch, in turn, three rounds, one and two threads. Prints the ratio
# and our share of the multiply-add peak measured in the same run.
#   bench/compare/setup.sh && cmake --preset release && cmake --build build/release --target bench_power_step
#   bench/compare/power_step.sh [build/release]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/../../build/release}
python=${EMSHAP_RIVAL_PYTHON:-$here/.venv/bin/python}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for round in 1 2 3; do
  "$build/bench/bench_power_step" --benchmark_format=json --benchmark_min_time=0.5 >"$out/ours.$round.json"
  for threads in 1 2; do
    "$python" "$here/power_step.py" --threads "$threads" --seconds 1 >"$out/torch.$threads.$round.json"
  done
done
"$python" "$here/step_table.py" "$out"
