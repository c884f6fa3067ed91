#!/usr/bin/env bash
# Builds with nvcc and checks what a GPU computes. For a machine with nvcc, CMake, ninja and an NVIDIA GPU; headers that
# it lacks (fmt, Eigen, doctest, Google Benchmark) may lie in a folder given by --packages, as unpacked Debian packages.
#   scripts/gpu-check.sh [--packages DIR] [--arch 90] [build|test|sanitize|bench ...]     (default: all four)
# Writes build/gpu-check/report.txt. A tool that is absent or refuses the device is reported as not run.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
packages=
arch=90
stages=()
while [ $# -gt 0 ]; do
  case "$1" in
    --packages) packages=$(cd "$2" && pwd) || exit 2; shift ;;
    --arch) arch=$2; shift ;;
    build | test | sanitize | bench) stages+=("$1") ;;
    *) sed -n '2,6p' "$0" >&2; exit 2 ;;
  esac
  shift
done
[ ${#stages[@]} -gt 0 ] || stages=(build test sanitize bench)
dir=build/gpu-check
mkdir -p "$dir"
report=$dir/report.txt
failed=0
say() { echo "$*" | tee -a "$report"; }

: > "$report"
say "emshap GPU check, $(date -u +%Y-%m-%d)"
if command -v nvidia-smi > /dev/null; then
  say "$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader)"
fi
say "$(nvcc --version | tail -2 | head -1)"

prefix=()
if [ -n "$packages" ]; then
  prefix=(-DCMAKE_PREFIX_PATH="$packages/usr")
  export LD_LIBRARY_PATH="$packages/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi

stage_build() {
  cmake -S . -B "$dir/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DEMSHAP_WITH_CUDA=ON -DEMSHAP_WITH_IO=OFF \
    -DCMAKE_CUDA_ARCHITECTURES="$arch-real" "${prefix[@]}" > "$dir/configure.log" 2>&1 ||
    { tail -30 "$dir/configure.log"; return 1; }
  cmake --build "$dir/build" --target test_cuda bench_elementwise > "$dir/build.log" 2>&1 ||
    { grep -E 'error|FAILED' "$dir/build.log" | head; tail -20 "$dir/build.log"; return 1; }
}

stage_test() { EMSHAP_REQUIRE_GPU=1 "$dir/build/tests/cuda/test_cuda" 2>&1 | tee "$dir/test.log" | tail -4 | tee -a "$report"; }

stage_sanitize() {
  local tool
  if ! command -v compute-sanitizer > /dev/null; then
    say "compute-sanitizer: not run, it is not installed"
    return 0
  fi
  for tool in memcheck racecheck initcheck synccheck; do
    if EMSHAP_REQUIRE_GPU=1 compute-sanitizer --tool "$tool" --error-exitcode 9 "$dir/build/tests/cuda/test_cuda" \
        --test-case-exclude="large*" > "$dir/$tool.log" 2>&1; then
      say "compute-sanitizer $tool: no errors"
    elif grep -qiE 'device not supported|unable to' "$dir/$tool.log"; then
      say "compute-sanitizer $tool: not run, it refuses the device"
    else
      say "compute-sanitizer $tool: FAILED"
      tail -20 "$dir/$tool.log"
      failed=1
    fi
  done
}

stage_bench() { "$dir/build/bench/bench_elementwise" --benchmark_min_time=0.2 2>&1 | tee -a "$report"; }

for stage in "${stages[@]}"; do
  start=$SECONDS
  if "stage_$stage"; then
    say "stage $stage: passed, $((SECONDS - start)) s"
  else
    say "stage $stage: FAILED, $((SECONDS - start)) s"
    failed=1
    [ "$stage" != build ] || break
  fi
done
exit $failed
