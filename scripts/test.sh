#!/usr/bin/env bash
# Builds emshap and checks everything that can be checked on a machine with two cores and no GPU, in at most 35 minutes.
set -uo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/test.sh [--all] [--only STAGE[,STAGE...]]
  --all   adds the stage `slow`: exhaustive ranges, accuracy tables, soak, fuzzing
  --only  runs the named stages: deps build tests isa demo package headers minimal kernels cuda asan tsan slow
environment:
  EMSHAP_SKIP_DEPS=1  do not install packages
  EMSHAP_DATA=DIR     folder of the real data sets; tests that read them are skipped without it
  EMSHAP_JOBS=N       parallel jobs (default: number of processors)
TEXT
}

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
stages=(deps build tests isa demo package headers minimal kernels cuda asan tsan)
while [ $# -gt 0 ]; do
  case "$1" in
    --all) stages+=(slow) ;;
    --only) [ $# -ge 2 ] || { usage >&2; exit 2; }; IFS=, read -ra stages <<< "$2"; shift ;;
    -h | --help) usage; exit 0 ;;
    *) echo "test.sh: unknown option '$1'" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
jobs=${EMSHAP_JOBS:-$(nproc)}
logs=build/test-logs
scratch=build/test-scratch
mkdir -p "$logs" "$scratch"
passed=0
failed=0
skipped=()
failures=()
ctest_prefix=()

# quiet NAME COMMAND...: one check; its output goes to a log that is shown when it fails.
quiet() {
  local name=$1
  shift
  if "$@" > "$logs/$name.log" 2>&1; then
    return 0
  fi
  echo "--- $name failed: $*"
  grep -nE 'error|FAILED|warning:' "$logs/$name.log" | head -20
  echo "--- last lines of $logs/$name.log"
  tail -60 "$logs/$name.log"
  return 1
}

# check NAME COMMAND...: a check that counts as one test.
check() {
  if quiet "$@"; then
    passed=$((passed + 1))
    echo "ok: $1"
  else
    failed=$((failed + 1))
    failures+=("$1")
    return 1
  fi
}

# run_ctest NAME DIR ARGUMENT...: each ctest test counts.
run_ctest() {
  local name=$1 dir=$2 log=$logs/$1.log line ran=0 bad=0
  shift 2
  "${ctest_prefix[@]}" ctest --test-dir "$dir" --output-on-failure --no-tests=error -j "$jobs" "$@" > "$log" 2>&1
  local rc=$? test
  while read -r test; do skipped+=("$name: $test"); done < <(sed -nE 's/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: ([^ ]+) .*\*\*\*Skipped.*/\1/p' "$log")
  line=$(grep -E 'tests passed, [0-9]+ tests? failed out of [0-9]+' "$log" | tail -1)
  if [ -n "$line" ]; then
    ran=$(sed -E 's/.*out of ([0-9]+).*/\1/' <<< "$line")
    bad=$(sed -E 's/.*, ([0-9]+) tests? failed.*/\1/' <<< "$line")
  elif [ $rc -eq 0 ]; then
    rc=1
  fi
  [ $rc -eq 0 ] || [ "$bad" -gt 0 ] || { bad=1; ran=$((ran > 0 ? ran : 1)); }
  passed=$((passed + ran - bad))
  failed=$((failed + bad))
  if [ $rc -eq 0 ]; then
    echo "$name: $line"
  else
    failures+=("$name")
    cat "$log"
  fi
  return $rc
}

# configure DIR ARGUMENT...: with ccache where it is installed, so that equal objects of two builds are made once.
configure() {
  local dir=$1 launcher=()
  shift
  if command -v ccache > /dev/null; then
    launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache)
  fi
  # GCC warns falsely in code that it instruments for a sanitizer.
  local strict=ON
  [[ "$*" != *EMSHAP_SANITIZE* ]] || strict=OFF
  quiet "configure-$(basename "$dir")" cmake -S . -B "$dir" -G Ninja -DEMSHAP_WARNINGS_AS_ERRORS=$strict "${launcher[@]}" "$@"
}

# build NAME DIR [TARGET...]
build() {
  local name=$1 dir=$2
  shift 2
  local targets=()
  [ $# -eq 0 ] || targets=(--target "$@")
  check "$name" cmake --build "$dir" -j "$jobs" "${targets[@]}"
}

stage_deps() {
  if [ "${EMSHAP_SKIP_DEPS:-0}" = 1 ]; then
    echo "EMSHAP_SKIP_DEPS=1: nothing is installed"
    scripts/install-deps.sh --check || skipped+=("what the missing dependencies are for")
    return 0
  fi
  scripts/install-deps.sh < /dev/null
}

stage_build() {
  configure build/cpu-only -DCMAKE_BUILD_TYPE=Release -DEMSHAP_WITH_CUDA=OFF || return 1
  sed -n '/^-- emshap /,$p' "$logs/configure-cpu-only.log" | grep -E '^--  ' || true
  build build build/cpu-only
}

stage_tests() {
  [ -n "${EMSHAP_DATA:-}" ] || skipped+=("tests on the real data sets: EMSHAP_DATA is unset")
  # Two more at a time than processors: tests of streams mostly wait, for brokers and for what was killed.
  run_ctest tests build/cpu-only -LE slow -j $((jobs + 2))
}

# Which instruction-set levels this processor has.
has_flags() {
  local flag
  for flag in "$@"; do
    grep -qm1 -wE "^flags.*\b$flag\b" /proc/cpuinfo || return 1
  done
}
isa_levels() {
  if [ "$(uname -m)" = x86_64 ]; then
    has_flags sse4_2 popcnt && echo v2
    has_flags avx2 fma bmi2 f16c && echo v3
    has_flags avx512f avx512bw avx512cd avx512dq avx512vl && echo v4
  fi
  echo eigen
}

stage_isa() {
  local level rc=0 present
  present=$(isa_levels)
  for level in v2 v3 v4 eigen; do
    if ! grep -qx "$level" <<< "$present"; then
      skipped+=("instruction-set level $level: not on this processor")
      continue
    fi
    for folder in ops layers models; do
      EMSHAP_ISA=$level run_ctest "isa-$level-$folder" "build/cpu-only/tests/$folder" -LE slow || rc=1
    done
  done
  return $rc
}

stage_demo() {
  check demo scripts/demo.sh --skip-build --build build/cpu-only --out "$scratch/demo" --quick
  local rc=$?
  [ $rc -ne 0 ] || tail -12 "$logs/demo.log"
  return $rc
}

# Static and shared: install into a moved prefix, build the consumer project against it, run it.
package_one() {
  local kind=$1 dir=$2 prefix=$PWD/$scratch/prefix-$1 consumer=$scratch/consumer-$1
  rm -rf "$prefix" "$prefix-moved" "$consumer"
  quiet "install-$kind" cmake --install "$dir" --prefix "$prefix" || return 1
  mv "$prefix" "$prefix-moved"
  quiet "consumer-$kind-configure" cmake -S tests/package -B "$consumer" -G Ninja -DCMAKE_PREFIX_PATH="$prefix-moved" &&
    quiet "consumer-$kind-build" cmake --build "$consumer" -j "$jobs" || return 1
  run_ctest "package-$kind" "$consumer"
}
stage_package() {
  local rc=0
  package_one static build/cpu-only || rc=1
  configure build/shared -DCMAKE_BUILD_TYPE=Release -DEMSHAP_WITH_CUDA=OFF -DBUILD_SHARED_LIBS=ON \
    -DEMSHAP_BUILD_TESTS=OFF -DEMSHAP_BUILD_APPS=OFF -DEMSHAP_BUILD_BENCHMARKS=OFF || return 1
  build build-shared build/shared || return 1
  package_one shared build/shared || rc=1
  return $rc
}

stage_headers() { build headers-alone build/cpu-only emshap_headers_alone; }

# A machine with a compiler, CMake, Eigen and fmt: configures with no option of ours and builds the core.
stage_minimal() {
  local without=() package
  for package in nlohmann_json Protobuf ONNX spdlog CLI11 tomlplusplus PkgConfig doctest benchmark EXPAT; do
    without+=("-DCMAKE_DISABLE_FIND_PACKAGE_$package=TRUE")
  done
  configure build/minimal -DCMAKE_BUILD_TYPE=Release -DCMAKE_CUDA_COMPILER=NOTFOUND "${without[@]}" || return 1
  check minimal-summary grep -q 'left out: tests' "$logs/configure-minimal.log" || return 1
  build minimal build/minimal
}

# The CUDA kernels' own sources, compiled as C++ and run on the processor, against the CPU's ops: docs/cuda.md.
stage_kernels() {
  local folder rc=0
  configure build/host-cuda -DCMAKE_BUILD_TYPE=Release -DEMSHAP_WITH_CUDA=HOST -DEMSHAP_WITH_IO=OFF \
    -DEMSHAP_BUILD_APPS=OFF -DEMSHAP_BUILD_BENCHMARKS=OFF || return 1
  build kernels-on-host build/host-cuda tests/cuda/all tests/layers/all test_drawn_values \
    test_power_model_predictor || return 1
  for folder in cuda layers explain train; do
    local only=()
    [ "$folder" != explain ] || only=(-R '^drawn_values$')
    [ "$folder" != train ] || only=(-R '^power_model_predictor$')
    EMSHAP_TEST_DEVICE=cuda EMSHAP_REQUIRE_GPU=1 \
      run_ctest "kernels-$folder" "build/host-cuda/tests/$folder" -LE slow "${only[@]}" || rc=1
  done
  return $rc
}

# Kernels compile for sm_90, with --all for every architecture of the default build, and every op has its CUDA half: a
# shared library without undefined symbols.
stage_cuda() {
  if ! command -v nvcc > /dev/null && [ ! -x "${CUDACXX:-/usr/local/cuda/bin/nvcc}" ]; then
    skipped+=("CUDA objects: no nvcc")
    return 0
  fi
  local architectures=(-DCMAKE_CUDA_ARCHITECTURES=90-real)
  [[ " ${stages[*]} " != *" slow "* ]] || architectures=(-UCMAKE_CUDA_ARCHITECTURES)
  configure build/cuda-check -DCMAKE_BUILD_TYPE=Release -DEMSHAP_WITH_CUDA=ON -DEMSHAP_WITH_IO=OFF \
    "${architectures[@]}" -DBUILD_SHARED_LIBS=ON -DCMAKE_SHARED_LINKER_FLAGS=-Wl,--no-undefined \
    -DEMSHAP_BUILD_TESTS=OFF -DEMSHAP_BUILD_APPS=OFF -DEMSHAP_BUILD_BENCHMARKS=OFF || return 1
  build cuda-objects build/cuda-check
}

# Sanitizers are built at -O1: they look for misuse, not speed.
# With --all every level is instrumented with all checks, and the apps' own tests run under them, too.
stage_asan() {
  local all=OFF
  [[ " ${stages[*]} " != *" slow "* ]] || all=ON
  configure build/asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g1" \
    -DEMSHAP_SANITIZE=address,undefined -DEMSHAP_WITH_CUDA=OFF -DEMSHAP_BUILD_BENCHMARKS=OFF \
    -DEMSHAP_BUILD_APPS=$all -DEMSHAP_SANITIZE_ALL=$all || return 1
  build build-asan build/asan || return 1
  ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 \
    run_ctest asan build/asan -LE slow
}
stage_tsan() {
  configure build/tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g1" \
    -DEMSHAP_SANITIZE=thread -DEMSHAP_WITH_CUDA=OFF -DEMSHAP_BUILD_BENCHMARKS=OFF -DEMSHAP_BUILD_APPS=OFF || return 1
  local folder targets=() rc=0
  for folder in core ops layers train; do targets+=("tests/$folder/all"); done
  targets+=(test_ingest)
  build build-tsan build/tsan "${targets[@]}" || return 1
  # Kernels with many bits of address randomisation break GCC's ThreadSanitizer; run without it where that is allowed.
  if setarch "$(uname -m)" -R true 2> /dev/null; then
    ctest_prefix=(setarch "$(uname -m)" -R)
  fi
  for folder in core ops layers train; do
    run_ctest "tsan-$folder" "build/tsan/tests/$folder" -LE slow || rc=1
  done
  run_ctest tsan-ingest build/tsan/tests/stream -R '^ingest$' || rc=1
  ctest_prefix=()
  return $rc
}

# Exhaustive ranges, soak and fuzzing; accuracy against scikit-learn where the data sets and bench/compare/setup.sh's
# environment are there.
stage_slow() {
  local rc=0 rival=${EMSHAP_RIVAL_PYTHON:-bench/compare/.venv/bin/python}
  run_ctest slow build/cpu-only -L slow || rc=1
  if [ -n "${EMSHAP_DATA:-}" ] && [ -x "$rival" ]; then
    check accuracy-power "$rival" bench/accuracy/power.py --data-dir "$EMSHAP_DATA" --build build/cpu-only || rc=1
    cat "$logs/accuracy-power.log"
  else
    skipped+=("accuracy against scikit-learn: needs EMSHAP_DATA and bench/compare/setup.sh")
  fi
  return $rc
}

start=$SECONDS
times=()
for stage in "${stages[@]}"; do
  if ! declare -F "stage_$stage" > /dev/null; then
    echo "test.sh: unknown stage '$stage'" >&2
    exit 2
  fi
  echo
  echo "=== $stage"
  began=$SECONDS
  before=${#failures[@]}
  if ! "stage_$stage" && [ ${#failures[@]} -eq "$before" ]; then
    failures+=("$stage")
    failed=$((failed + 1))
  fi
  times+=("$(printf '%-8s %4d s' "$stage" $((SECONDS - began)))")
  echo "=== $stage took $((SECONDS - began)) s"
  if [ "$stage" = build ] && [ ${#failures[@]} -gt 0 ]; then
    break  # nothing else can run
  fi
done

echo
echo "=== times"
printf '%s\n' "${times[@]}"
echo "total    $(printf '%4d' $((SECONDS - start))) s"
for line in "${skipped[@]}"; do echo "skipped: $line"; done
for line in "${failures[@]}"; do echo "failed: $line"; done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
