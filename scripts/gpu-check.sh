#!/usr/bin/env bash
# Builds with nvcc and checks what a GPU computes. For a machine with nvcc, CMake, ninja and Python 3, no network; what else
# the build needs (Eigen, fmt, doctest, Google Benchmark) may lie in a folder that scripts/gpu-carry.sh has filled.
set -euo pipefail
usage() {
  cat <<'TEXT'
usage: scripts/gpu-check.sh [options] [build] [test] [sanitize] [bench]      (default: all four)
  build     compiles kernels, tests and benchmarks
  test      tests of the kernels, EMSHAP_REQUIRE_GPU=1
  sanitize  compute-sanitizer memcheck, racecheck, initcheck and synccheck on the small sizes
  bench     benchmarks with floors, then the same steps in PyTorch
options:
  --packages DIR  folder of scripts/gpu-carry.sh, or unpacked Debian packages (environment: EMSHAP_GPU_PACKAGES)
  --prebuilt DIR  a build folder made beforehand; built here if its programs do not run (EMSHAP_GPU_CHECK_BUILD)
  --arch LIST     CUDA architectures, 90 by default, e.g. "80;90"
  --host          kernels run on the processor: tries out this script, no figure means anything
                  (EMSHAP_GPU_CHECK_BUILD=host)
  --limit S       seconds a stage, 460 by default; what has not begun then is reported as not run
  --jobs N        parallel compilers (default: processors)
environment:
  EMSHAP_RIVAL_PYTHON  Python that has PyTorch (default: python3)
Writes build/gpu-check/report.md and report.json (build/gpu-check-host with --host); stages run one by one add to them.
What is missing or refuses the device is reported as not run. Exit code: 0 without failures, 1 with, 4 if nothing could run.
TEXT
}
case "${1:-}" in -h | --help) usage; exit 0 ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v python3 > /dev/null || { echo "gpu-check.sh: python3 is not installed" >&2; exit 4; }
python3 scripts/gpu_check.py "$@" || { rc=$?; [ $rc != 2 ] || usage >&2; exit $rc; }
