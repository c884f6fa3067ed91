#!/usr/bin/env bash
# usage: run_parity.sh MODELS FOLDER SOURCE [SCRIPT [ARGUMENT]]
# `MODELS FOLDER ARGUMENT` writes models with our outputs into FOLDER, and SCRIPT (parity.py) compares them with ONNX
# Runtime. Exits 77 (skipped) where there is no Python with numpy, onnx and onnxruntime: $EMSHAP_PYTHON, or .venv of
# the source folder.
set -euo pipefail
models=$1 folder=$2 source=$3 script=${4:-parity.py} argument=${5:-}
python=${EMSHAP_PYTHON:-$source/.venv/bin/python3}
if ! "$python" -c 'import numpy, onnx, onnxruntime' 2>/dev/null; then
  echo "skipped: $python has no numpy, onnx and onnxruntime; run scripts/install-deps.sh or set EMSHAP_PYTHON"
  exit 77
fi
rm -rf "$folder"
"$models" "$folder" $argument
"$python" "$source/tests/io/$script" "$folder" $argument
