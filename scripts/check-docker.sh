#!/usr/bin/env bash
# Builds the image of Dockerfile and runs the demo in it, as a user other than root, on a mounted folder.
# Uses docker, podman or buildah, whichever can pull the base image. Where none can, it makes a Debian base with
# debootstrap and builds with buildah in a chroot, which needs root, both packages and this machine's apt sources.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/check-docker.sh [--cuda] [--keep] [--demo-args "..."]
  --cuda       builds Dockerfile.cuda too (not run); without a registry it borrows this machine's CUDA toolkit
  --keep       keep the images and the work folder
  --demo-args  passed to the demo inside the image (default: --quick)
environment:
  EMSHAP_DOCKER_WORK=DIR  work folder (default: a new folder under TMPDIR); with --keep its base image is used again
TEXT
}
cuda=no
keep=no
demo_args=--quick
while [ $# -gt 0 ]; do
  case "$1" in
    --cuda) cuda=yes ;;
    --keep) keep=yes ;;
    --demo-args) demo_args=${2?}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) echo "check-docker.sh: unknown option '$1'" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
cd "$(dirname "${BASH_SOURCE[0]}")/.."
read -ra demo_words <<< "$demo_args"
base=$(sed -n 's/^ARG BASE_IMAGE=//p' Dockerfile)
work=${EMSHAP_DOCKER_WORK:-$(mktemp -d "${TMPDIR:-/tmp}/emshap-docker.XXXXXX")}
data=$work/data
mkdir -p "$data"
chmod 777 "$data"
start=$SECONDS
step() { echo; echo "=== $1 (after $((SECONDS - start)) s)"; }

# An engine counts when it runs and can pull the base image.
engine=
for candidate in docker podman; do
  if command -v "$candidate" > /dev/null && timeout 20 "$candidate" info > /dev/null 2>&1 &&
    timeout 300 "$candidate" pull -q "$base" > /dev/null 2>&1; then
    engine=$candidate
    break
  fi
done
if [ -z "$engine" ]; then
  command -v buildah > /dev/null || {
    echo "check-docker.sh: needs docker or podman with a registry, or the packages buildah and debootstrap" >&2
    exit 4
  }
  engine=buildah
  # Everything buildah keeps goes to the work folder.
  storage=(--storage-driver "${STORAGE_DRIVER:-vfs}" --root "$work/storage" --runroot "$work/run")
fi
echo "engine: $engine"

cleanup() {
  [ "$keep" = no ] || { echo "kept: $work"; return; }
  if [ "$engine" = buildah ]; then
    buildah "${storage[@]}" rm --all > /dev/null 2>&1 || true
    buildah "${storage[@]}" rmi --all --force > /dev/null 2>&1 || true
  else
    "$engine" rmi -f emshap-check emshap-check-cuda > /dev/null 2>&1 || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT

build_args=()
if [ "$engine" = buildah ] && ! timeout 120 buildah "${storage[@]}" pull -q "docker.io/library/$base" > "$work/pull.log" 2>&1; then
  # The machine's apt sources are mounted during the build; they do not become part of the image.
  build_args=(--build-arg BASE_IMAGE=localhost/emshap-base --volume /etc/apt:/etc/apt:ro)
fi
if [ ${#build_args[@]} -gt 0 ] && [ -z "$(buildah "${storage[@]}" images -q localhost/emshap-base 2> /dev/null)" ]; then
  [ "$(id -u)" = 0 ] && command -v debootstrap > /dev/null || {
    echo "check-docker.sh: no registry; making the base here needs root and the package debootstrap" >&2
    exit 4
  }
  step "no registry: base image by debootstrap"
  . /etc/os-release
  # The mirror this machine itself uses, from either form of its apt sources.
  mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2> /dev/null || true; } |
    sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb (\[[^]]*\] )?([^ ]+) .*/\2/p' | grep -E '/debian/?$' | head -1)
  [ -n "$mirror" ] || { echo "check-docker.sh: found no Debian mirror in this machine's apt sources" >&2; exit 4; }
  debootstrap --variant=minbase "$VERSION_CODENAME" "$work/rootfs" "$mirror" > "$work/debootstrap.log" 2>&1 || {
    tail -20 "$work/debootstrap.log" >&2
    exit 4
  }
  rm -rf "$work"/rootfs/var/cache/apt/archives/*.deb
  container=$(buildah "${storage[@]}" from scratch)
  buildah "${storage[@]}" add -q "$container" "$work/rootfs" / > /dev/null
  buildah "${storage[@]}" commit -q --rm "$container" localhost/emshap-base > /dev/null
  rm -rf "$work/rootfs"
fi

# build_image TAG FILE ARGUMENT...
build_image() {
  local tag=$1 file=$2
  shift 2
  if [ "$engine" = buildah ]; then
    buildah "${storage[@]}" bud --isolation chroot --layers=false "${build_args[@]}" "$@" -f "$file" -t "$tag" .
  else
    "$engine" build "$@" -f "$file" -t "$tag" .
  fi
}
image_size() {
  if [ "$engine" = buildah ]; then
    buildah "${storage[@]}" images --format '{{.Size}}' "localhost/$1"
  else
    "$engine" image inspect --format '{{.Size}} bytes' "$1"
  fi
}
# run_image TAG ARGUMENT...: the entry point with /data mounted, as the image's user.
run_image() {
  local tag=$1 rc=0
  shift
  if [ "$engine" = buildah ]; then
    local container
    container=$(buildah "${storage[@]}" from --pull-never "localhost/$tag")
    buildah "${storage[@]}" run --isolation chroot --volume "$data:/data" "$container" -- /usr/local/bin/emshap "$@" || rc=$?
    buildah "${storage[@]}" rm "$container" > /dev/null
    return $rc
  fi
  "$engine" run --rm --volume "$data:/data" "$tag" "$@"
}

step "build emshap-check from Dockerfile"
build_image emshap-check Dockerfile > "$work/build.log" 2>&1 || { tail -60 "$work/build.log"; exit 1; }
echo "image size: $(image_size emshap-check)"

step "run the demo in it"
run_image emshap-check help
run_image emshap-check demo "${demo_words[@]}"
owner=$(stat -c %u "$data/demo/run/power_predictor.onnx")
[ "$owner" != 0 ] || { echo "check-docker.sh: the files of the demo belong to root, expected another user" >&2; exit 1; }
if run_image emshap-check no-such-app > /dev/null 2>&1; then
  echo "check-docker.sh: an unknown app did not fail" >&2
  exit 1
fi

if [ -x .venv/bin/python ]; then
  step "verify the image's ONNX file with this machine's ONNX Runtime"
  scripts/demo.sh --verify-only --out "$data/demo"
fi

if [ "$cuda" = yes ]; then
  step "build emshap-check-cuda from Dockerfile.cuda"
  cuda_args=(--build-arg "CUDA_ARCHITECTURES=90-real")
  if [ "$engine" = buildah ] && [ ${#build_args[@]} -gt 0 ]; then
    toolkit=$(readlink -f "$(dirname "$(command -v nvcc)")/..")
    cuda_args+=(--build-arg RUNTIME_IMAGE=localhost/emshap-base --volume "$toolkit:/usr/local/cuda:ro")
  fi
  build_image emshap-check-cuda Dockerfile.cuda "${cuda_args[@]}" > "$work/build-cuda.log" 2>&1 ||
    { tail -60 "$work/build-cuda.log"; exit 1; }
  echo "image size: $(image_size emshap-check-cuda)"
fi
step "done: the image builds, runs the demo and writes as user $owner"
