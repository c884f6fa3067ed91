#!/usr/bin/env bash
# From nothing to a trained power predictor, a density model of the metrics, the watts each metric stands for with a report,
# and verified ONNX files: generated hosts send messages to an embedded Kafka cluster, and everything else follows from them.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/demo.sh [--out DIR] [--build DIR] [--skip-build] [--bin DIR] [--quick] [--no-verify] [--verify-only]
  --out DIR      where data and results go (default: demo)
  --build DIR    build folder (default: build/release)
  --skip-build   do not install packages and do not build
  --bin DIR      use the apps in this folder; implies --skip-build
  --quick        little data and few steps, to see that everything works
  --no-verify    do not run ONNX Runtime on the exported files
  --verify-only  only check the files of an earlier demo with ONNX Runtime
TEXT
}
out=demo
build=build/release
bin=
do_build=yes
verify=yes
only_verify=no
rows=50000
nodes=200
epochs=60
steps=5000
energy_steps=1000
explained=60
coalitions=512
compared=40
while [ $# -gt 0 ]; do
  case "$1" in
    --out) out=${2?}; shift ;;
    --build) build=${2?}; shift ;;
    --skip-build) do_build=no ;;
    --bin) bin=${2?}; do_build=no; shift ;;
    --quick) rows=4000; nodes=40; epochs=8; steps=150; energy_steps=50; explained=6; coalitions=64; compared=4 ;;
    --no-verify) verify=no ;;
    --verify-only) only_verify=yes; do_build=no ;;
    -h | --help) usage; exit 0 ;;
    *) echo "demo.sh: unknown option '$1'" >&2; usage >&2; exit 2 ;;
  esac
  shift
done

# Inside an image only this file and the apps are there; elsewhere paths count from the repository.
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
case "$out" in /*) ;; *) out=$PWD/$out ;; esac
[ -n "$bin" ] || cd "$root"
bin=${bin:-$build/bin}
data=$out/hosts.csv
run=$out/run
start=$SECONDS
did=()
step() {
  echo
  echo "=== $1 (after $((SECONDS - start)) s)"
}
show() {
  echo "+ $*"
  "$@"
}
verify_onnx() {
  local python=$root/.venv/bin/python
  [ -x "$python" ] || {
    echo "demo.sh: needs the Python environment of scripts/install-deps.sh to verify the ONNX file" >&2
    exit 4
  }
  show "$python" "$root/scripts/verify_onnx.py" "$run" "$data" "$out/power.onnx"
  show "$python" "$root/scripts/verify_onnx.py" --test-rows "$out/emshap_samples" "$out/emshap.onnx"
  show "$python" "$root/scripts/verify_onnx.py" --test-rows "$out/attribution_rows" "$out/attribution.onnx"
}

if [ "$only_verify" = yes ]; then
  verify_onnx
  exit 0
fi

if [ "$do_build" = yes ]; then
  step "install packages"
  scripts/install-deps.sh
  step "build"
  launcher=()
  command -v ccache > /dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  mkdir -p "$out"
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DEMSHAP_WITH_CUDA=OFF -DEMSHAP_BUILD_TESTS=OFF \
    -DEMSHAP_BUILD_BENCHMARKS=OFF "${launcher[@]}" > "$out/build.log"
  sed -n '/^-- emshap /,$p' "$out/build.log" | grep -E '^--  ' || true
  cmake --build "$build" >> "$out/build.log" || { tail -40 "$out/build.log"; exit 1; }
  did+=("built the apps in $build/bin")
fi

# count FILE KEY: a number at the top level of a JSON file.
count() { sed -nE "s/^  \"$2\": ([0-9]+),?$/\1/p" "$1"; }
# The cluster ends with this script, which holds the other end of its input.
cluster=
end_cluster() {
  [ -z "$cluster" ] || { exec 9>&-; wait "$cluster" 2> /dev/null || true; cluster=; }
}
trap end_cluster EXIT

step "hosts send messages"
mkdir -p "$out"
rm -f "$out/commands" "$out/features.db"*
mkfifo "$out/commands"
"$bin/emshap_mock_cluster" --topic raw_metrics:64 < "$out/commands" > "$out/cluster.txt" &
cluster=$!
exec 9> "$out/commands"
for _ in $(seq 100); do
  grep -q '^bootstrap' "$out/cluster.txt" && break
  sleep 0.1
done
brokers=$(sed -n 's/^bootstrap //p' "$out/cluster.txt")
show "$bin/emshap_datagen" --kafka "$brokers" --rows "$rows" --nodes "$nodes" --poison 0.01 --seed 42 \
  --report "$out/sent.json"

step "ingest"
show "$bin/emshap_ingest" --brokers "$brokers" --store "$out/features.db" --until-idle 3 --report "$out/ingested.json"
end_cluster
sent=$(count "$out/sent.json" acknowledged)
good=$(count "$out/sent.json" good)
spoiled=$(count "$out/sent.json" spoiled)
stored=$(count "$out/ingested.json" stored)
rejected=$(($(count "$out/ingested.json" rejected) + $(count "$out/ingested.json" repeated)))
echo "sent $sent = $good good + $spoiled spoiled; stored $stored + quarantined $rejected = $((stored + rejected))"
if [ "$good" != "$stored" ] || [ "$spoiled" != "$rejected" ] || [ "$sent" != $((good + spoiled)) ]; then
  echo "demo.sh: these counts should be equal" >&2
  exit 5
fi
show "$bin/emshap_ingest" inspect --store "$out/features.db" > "$out/inspect.txt"
head -12 "$out/inspect.txt"
show "$bin/emshap_ingest" export --store "$out/features.db" --out "$data"
did+=("received $sent messages from an embedded Kafka cluster: $stored samples stored, $rejected in quarantine: $out/features.db")

step "train"
show "$bin/emshap_train" all --data "$out/features.db" --target power_consumption --target-unit W \
  --out "$run" --power-epochs "$epochs" --max-steps "$steps" --energy-steps "$energy_steps" --seed 42 --overwrite
did+=("trained a power predictor and a density model of the metrics: $run")

step "evaluate"
show "$bin/emshap_evaluate" --run "$run"
did+=("measured both on the test rows: $run/evaluation/metrics.json")

step "evaluate the ONNX files"
show "$bin/emshap_evaluate" --emshap-path "$run/emshap_model.onnx" --power-predictor-path "$run/power_predictor.onnx" \
  --data "$data" --split-file "$run/split.csv" --out "$out/onnx_evaluation" \
  --baseline "$run/evaluation/metrics.json" --tolerance 0.0001
did+=("measured the ONNX files on the same rows, with the same scores: $out/onnx_evaluation/metrics.json")

step "explain"
show "$bin/emshap_explain" --run "$run" --part test --rows "0:$explained" --budget "$coalitions" \
  --compare emshap,gaussian,copula,independence --compare-rows "$compared" --out "$out/explanation" --overwrite
did+=("shared out the watts of $explained test rows among their metrics: $out/explanation/attributions.csv")

step "export"
show "$bin/emshap_export" --run "$run" --out "$out/power.onnx"
show "$bin/emshap_export" --run "$run" --model emshap --out "$out/emshap.onnx" --test-rows "$out/emshap_samples"
show "$bin/emshap_export" --run "$run" --attribution --budget 128 --out "$out/attribution.onnx" \
  --test-rows "$out/attribution_rows"
did+=("exported them: $out/power.onnx, $out/emshap.onnx, and both in one file that attributes: $out/attribution.onnx")

if [ "$verify" = yes ]; then
  step "verify with ONNX Runtime"
  verify_onnx
  did+=("verified the ONNX files with ONNX Runtime")
fi

echo
echo "=== what was done, in $((SECONDS - start)) s"
for line in "${did[@]}"; do echo "- $line"; done
echo "plots:"
find "$run/plots" -name '*.svg' 2> /dev/null | sort | sed 's/^/  /'
echo "explanation: $out/explanation/report.html (open it in a browser)"
echo "report:  $run/metrics.json, $run/history.csv, $run/predictions.csv"
echo "models:  $run/power_predictor.onnx, $run/emshap_model.onnx"
