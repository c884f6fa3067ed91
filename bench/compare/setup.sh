#!/usr/bin/env bash
# Installs the rivals, the current releases of PyTorch, scikit-learn, shap, shapiq and confluent-kafka (and ONNX Runtime, which runs the
# model that these explain), into bench/compare/.venv. Needed by the comparisons only, never by the build, the tests or CI.
set -euo pipefail
cd "$(dirname "$0")"
echo "PyTorch with its dependencies takes several gigabytes of disk and download."
python3 -m venv .venv
.venv/bin/pip install --quiet --upgrade pip
.venv/bin/pip install --quiet torch numpy scikit-learn onnxruntime shap shapiq confluent-kafka protobuf
du -sh .venv
.venv/bin/python -c 'import importlib.metadata as m
for name in ("torch", "scikit-learn", "onnxruntime", "shap", "shapiq", "confluent-kafka", "protobuf"): print(name, m.version(name))'
