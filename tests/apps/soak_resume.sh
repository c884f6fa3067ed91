#!/usr/bin/env bash
# Soak: a training run is killed (kill -9, SIGINT) at random moments and resumed until it is done, again and again, for
# EMSHAP_SOAK_SECONDS (300), half of them for each model. Each time ONNX file and metrics must be those of an undisturbed
# run, byte for byte.
#   tests/apps/soak_resume.sh BIN_DIR
set -euo pipefail
bin=$1
seconds=${EMSHAP_SOAK_SECONDS:-300}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
RANDOM=42
"$bin/emshap_datagen" --rows 6000 --nodes 4 --seed 7 --out "$dir/data.csv" --quiet

# soak MODEL CHECKPOINT FILE... -- SETTING...
soak() {
  local model=$1 checkpoint=$2 files=() settings file
  shift 2
  while [ "$1" != -- ]; do files+=("$1"); shift; done
  shift
  settings=(--data "$dir/data.csv" --target power_consumption --seed 3 "$@")
  local train=("$bin/emshap_train" "$model" --no-plots --quiet --checkpoint-seconds 0.05 --threads 2)
  local began whole_ms rounds=0 kills=0 end attempts rc start signal wait_ms
  rm -rf "$dir/whole"
  began=$(date +%s%N)
  "${train[@]}" "${settings[@]}" --out "$dir/whole" > /dev/null
  whole_ms=$((($(date +%s%N) - began) / 1000000))
  end=$((SECONDS + seconds / 2))
  while [ $SECONDS -lt $end ] || [ $rounds -eq 0 ]; do
    rm -rf "$dir/run"
    rc=1
    attempts=0
    while [ $rc -ne 0 ]; do
      attempts=$((attempts + 1))
      [ $attempts -lt 500 ] || { echo "soak: no progress after $attempts starts"; exit 1; }
      if [ -f "$dir/run/$checkpoint" ]; then
        start=(--resume --out "$dir/run")
      else
        start=("${settings[@]}" --out "$dir/run" --overwrite)
      fi
      signal=KILL
      [ $((RANDOM % 3)) -ne 0 ] || signal=INT
      wait_ms=$((RANDOM % (whole_ms + 50) + 20))
      rc=0
      timeout --foreground -s "$signal" "$(printf '%d.%03d' $((wait_ms / 1000)) $((wait_ms % 1000)))" \
        "${train[@]}" "${start[@]}" > /dev/null 2> "$dir/stderr" || rc=$?
      case $rc in
        0 | 124 | 130 | 137) ;;
        *) echo "soak: exit code $rc after $kills kills: $(cat "$dir/stderr")"; exit 1 ;;
      esac
      [ $rc -eq 0 ] || kills=$((kills + 1))
    done
    for file in "${files[@]}"; do
      cmp "$dir/whole/$file" "$dir/run/$file" || { echo "soak: $file differs after $attempts starts"; exit 1; }
    done
    rounds=$((rounds + 1))
  done
  echo "soak: $model, $rounds runs, stopped $kills times, all equal to the undisturbed one"
}

soak power power_checkpoint.bin power_predictor.onnx metrics.json -- --epochs 60 --patience 0 --dropout 0.1
soak emshap emshap_checkpoint.bin emshap_model.onnx emshap_metrics.json -- --max-steps 300 --energy-steps 150 --hidden 8 \
  --embedding 4 --components 2 --energy-hidden 8 --energy-draws 2 --gate-draws 10 --transform standardise --proposal auto
