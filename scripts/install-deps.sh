#!/usr/bin/env bash
# Installs what emshap needs on Debian 12. Safe to run again: it installs only what is missing.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/install-deps.sh [--minimal | --runtime] [--no-python] [--check]
  (default)    everything: library, apps, tests, benchmarks, plots, Python environment .venv
  --minimal    only what the core library needs to build: compiler, CMake, Ninja, Eigen, fmt
  --runtime    only what installed apps need to run (no compiler, no Python)
  --no-python  leave out the Python environment that verifies ONNX files
  --check      install nothing; name what is missing and exit 1 if anything is
TEXT
}

mode=full
python=yes
check=no
for argument in "$@"; do
  case "$argument" in
    --minimal) mode=minimal ;;
    --runtime) mode=runtime ;;
    --no-python) python=no ;;
    --check) check=yes ;;
    -h | --help) usage; exit 0 ;;
    *) echo "install-deps.sh: unknown option '$argument'" >&2; usage >&2; exit 2 ;;
  esac
done
[ "$mode" = full ] || python=no
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

minimal=(g++ cmake ninja-build libeigen3-dev libfmt-dev)
full=("${minimal[@]}"
  git ca-certificates ccache pkg-config
  libspdlog-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev  # apps and JSON files
  protobuf-compiler libprotobuf-dev libonnx-dev                      # messages and ONNX
  librdkafka-dev libsqlite3-dev libpq-dev                            # streams and stores
  kcat postgresql                                                    # independent peers in tests of streams and stores
  gnuplot-nox                                                        # plots
  doctest-dev libbenchmark-dev libexpat1-dev)                        # tests and benchmarks

command -v dpkg-query > /dev/null || {
  echo "install-deps.sh: this script installs Debian packages, but dpkg is not here; install by hand: ${full[*]}" >&2
  exit 4
}
as_root=()
updated=no
update_lists() {
  [ "$updated" = no ] || return 0
  if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null || {
      echo "install-deps.sh: needs root or sudo to install packages" >&2
      exit 4
    }
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -q
  updated=yes
}

# The shared libraries that the development packages of what the apps link depend on: their names carry versions
# that differ from one release of the distribution to the next.
runtime_packages() {
  local package
  for package in libfmt-dev libspdlog-dev libtomlplusplus-dev libonnx-dev libprotobuf-dev librdkafka-dev libsqlite3-dev libpq-dev; do
    apt-cache depends "$package" 2> /dev/null | sed -n 's/^ *Depends: \(lib[^ ]*\)$/\1/p' |
      grep -vE -- '-dev$|lite|onnxifi' || true
  done | sort -u
}

case "$mode" in
  minimal) packages=("${minimal[@]}") ;;
  full) packages=("${full[@]}") ;;
  runtime)
    mapfile -t packages < <(runtime_packages)
    if [ ${#packages[@]} -lt 5 ] && [ "$check" = no ]; then
      update_lists
      mapfile -t packages < <(runtime_packages)
    fi
    if [ ${#packages[@]} -lt 5 ]; then
      echo "install-deps.sh: the package lists do not name the shared libraries of the apps; run apt-get update" >&2
      exit 4
    fi
    packages+=(gnuplot-nox) ;;
esac
if [ "$python" = yes ]; then
  packages+=(python3 python3-venv)
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2> /dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done

# The environment is made anew when the pinned versions change.
requirements="$root/scripts/requirements.txt"
stamp="$root/.venv/requirements.sum"
venv_current() {
  [ -f "$stamp" ] && [ -x "$root/.venv/bin/python" ] && sha256sum --check --status "$stamp" 2> /dev/null
}

if [ "$check" = yes ]; then
  result=0
  if [ ${#missing[@]} -gt 0 ]; then
    echo "missing packages: ${missing[*]}"
    result=1
  fi
  if [ "$python" = yes ] && ! (cd "$root" && venv_current); then
    echo "missing: Python environment .venv as in scripts/requirements.txt"
    result=1
  fi
  exit $result
fi

if [ ${#missing[@]} -gt 0 ]; then
  echo "installing packages: ${missing[*]}"
  update_lists
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
else
  echo "packages: all ${#packages[@]} are installed"
fi

if [ "$python" = yes ]; then
  cd "$root"
  if venv_current; then
    echo "Python environment .venv: up to date"
  else
    # Debian's own Python: the pinned versions have wheels for it.
    interpreter=${PYTHON:-/usr/bin/python3}
    echo "making the Python environment .venv with $("$interpreter" --version)"
    rm -rf .venv
    "$interpreter" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements"
    sha256sum scripts/requirements.txt > "$stamp"
    .venv/bin/python -m pip list --disable-pip-version-check | tail -n +3
  fi
fi
