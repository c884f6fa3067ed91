#!/usr/bin/env bash
# Kills emshap_ingest, and harms the PostgreSQL server, many times while messages arrive, and prints a table of
# what came of it (docs/benchmarks.md). Ends with an error when a message was lost or stored twice.
#
#   scripts/soak.sh [--kills 200] [--store sqlite|postgresql|both] [--seed N] [--build build/cpu-only]
#
# Each store is killed with one consumer and with two of a group, half of the kills each; about 3 s a kill.
set -euo pipefail
cd "$(dirname "$0")/.."
kills=200 store=both seed=1 build=build/cpu-only
while [ $# -gt 0 ]; do
  case "$1" in
    --kills) kills=$2 ;;
    --store) store=$2 ;;
    --seed) seed=$2 ;;
    --build) build=$2 ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift 2
done
case "$store" in
  sqlite) suites="stream_kill" ;;
  postgresql) suites="stream_kill_postgresql stream_kill_server" ;;
  both) suites="stream_kill stream_kill_postgresql stream_kill_server" ;;
  *) echo "--store is '$store', expected sqlite, postgresql or both" >&2; exit 2 ;;
esac
table=$(mktemp)
trap 'rm -f "$table"' EXIT
failed=0
for suite in $suites; do
  EMSHAP_KILLS=$kills EMSHAP_KILL_SEED=$seed EMSHAP_KILL_TABLE=$table "$build/tests/stream/test_$suite" >&2 || failed=1
done
echo '| store | consumers | kills | acknowledged | samples | in quarantine | lost | twice | seconds |'
echo '|---|---|---|---|---|---|---|---|---|'
cat "$table"
exit $failed
