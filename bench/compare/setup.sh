#!/usr/bin/env bash
# Installs the rivals, the current releases of PyTorch and scikit-learn, into bench/compare/.venv. Needed by the
# comparisons only, never by the build, the tests or CI.
set -euo pipefail
cd "$(dirname "$0")"
echo "PyTorch with its dependencies takes several gigabytes of disk and download."
python3 -m venv .venv
.venv/bin/pip install --quiet --upgrade pip
.venv/bin/pip install --quiet torch numpy scikit-learn
du -sh .venv
.venv/bin/python -c 'import torch, sklearn; print("torch", torch.__version__, "scikit-learn", sklearn.__version__)'
