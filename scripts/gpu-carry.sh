#!/usr/bin/env bash
# Fills a folder with what scripts/gpu-check.sh needs on a machine that has nvcc, CMake and ninja but not our packages:
# Eigen, fmt, doctest, nlohmann-json and Google Benchmark, headers and libraries as installed here, below 64 MiB.
#   scripts/gpu-carry.sh [--build DIR] [FOLDER]         (default: build/gpu-packages; x86-64 only)
# With --build it also takes the test and benchmark programs of a build folder, stripped: gpu-check.sh --prebuilt
# FOLDER/build then need not build there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=
out=build/gpu-packages
while [ $# -gt 0 ]; do
  case "$1" in
    --build) [ $# -ge 2 ] || { sed -n '2,6p' "$0" >&2; exit 2; }; build=$2; shift ;;
    -*) sed -n '2,6p' "$0" >&2; exit 2 ;;
    *) out=$1 ;;
  esac
  shift
done
command -v dpkg-query > /dev/null || { echo "gpu-carry.sh: copies Debian packages, but dpkg is not here" >&2; exit 4; }

# Development packages and the libraries that they name.
packages=()
for name in libeigen3-dev libfmt-dev doctest-dev nlohmann-json3-dev libbenchmark-dev; do
  dpkg-query -W "$name" > /dev/null 2>&1 || { echo "gpu-carry.sh: $name is not installed; run scripts/install-deps.sh" >&2; exit 4; }
  packages+=("$name")
  while read -r library; do packages+=("$library"); done < <(
    dpkg-query -W -f '${Depends}\n' "$name" | tr ',' '\n' | sed -nE 's/^ *(lib(fmt|benchmark)[^ ]*).*/\1/p')
done
rm -rf "$out"
mkdir -p "$out"
# What compilers, CMake and the loader read, from / : no documents.
dpkg-query -L "${packages[@]}" | sort -u | grep -E '^/usr/(include|lib|share/[^/]*/cmake|share/cmake)' |
  grep -vE '/pkgconfig|/unsupported/' | while read -r path; do
    [ -d "$path" ] || { [ -e "$path" ] || [ -L "$path" ]; } && echo "${path#/}"
  done > "$out/list"
tar -C / --no-recursion -cf - -T "$out/list" | tar -C "$out" -xf -
rm "$out/list"
git rev-parse HEAD > "$out/commit" 2> /dev/null || true

if [ -n "$build" ]; then
  for program in "$build"/tests/cuda/test_cuda_* "$build"/tests/layers/test_layers "$build"/bench/cuda/bench_cuda_* \
    "$build"/bench/bench_explain_step; do
    { [ -f "$program" ] && [ -x "$program" ]; } || continue
    mkdir -p "$out/build/$(dirname "${program#"$build"/}")"
    strip -o "$out/build/${program#"$build"/}" "$program"
  done
fi
size=$(du -sm "$out" | cut -f1)
echo "$out: $size MiB, from ${packages[*]}"
[ "$size" -le 64 ] || { echo "gpu-carry.sh: more than 64 MiB; leave out --build" >&2; exit 1; }
