#!/usr/bin/env bash
# The training steps of the density model side by side: emshap, then PyTorch, in turn, one and two threads. Prints the
# ratio and our share of the multiply-add peak measured in the same run.
#   bench/compare/setup.sh && cmake --preset release
#   cmake --build build/release --target bench_set_gru_step bench_energy_step
#   bench/compare/emshap_step.sh [build/release] [rounds]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/../../build/release}
rounds=${2:-2}
python=${EMSHAP_RIVAL_PYTHON:-$here/.venv/bin/python}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for round in $(seq "$rounds"); do
  for name in set_gru_step energy_step; do
    "$build/bench/bench_$name" --benchmark_format=json --benchmark_min_time=0.5 >"$out/ours.$name.$round.json"
  done
  for threads in 1 2; do
    "$python" "$here/emshap_step.py" --threads "$threads" --seconds 1 >"$out/torch.$threads.$round.json"
  done
done
"$python" "$here/step_table.py" "$out"
