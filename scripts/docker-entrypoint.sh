#!/bin/sh
# Runs an app of the image on files under /data: `emshap train power ...` is `emshap_train power ...`.
set -eu
bin=/opt/emshap/bin

usage() {
  echo "usage: docker run --rm -v \"\$PWD:/data\" emshap APP [options]; files are under /data"
  echo "apps:"
  for app in "$bin"/emshap_*; do echo "  ${app##*/emshap_}"; done
}

[ $# -gt 0 ] || set -- help
case "$1" in
  help | -h | --help) usage; exit 0 ;;
esac
app=${1#emshap_}
shift
if [ ! -x "$bin/emshap_$app" ]; then
  echo "emshap: there is no app '$app' in this image" >&2
  usage >&2
  exit 2
fi
if [ "$app" = demo ]; then
  exec "$bin/emshap_demo" --bin "$bin" --no-verify --out /data/demo "$@"
fi
exec "$bin/emshap_$app" "$@"
