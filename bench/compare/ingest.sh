#!/usr/bin/env bash
# Messages from the mock cluster into a store, end to end: emshap_ingest with SQLite and PostgreSQL, then a consumer written
# with Python's confluent-kafka. All messages are in the cluster before the clock starts; it stops at the last commit, and
# the cluster's own work is inside. Prints messages a second, the ratio to Python and the largest resident set.
#   bench/compare/setup.sh && cmake --preset release
#   cmake --build build/release --target emshap_ingest emshap_datagen emshap_mock_cluster
#   bench/compare/ingest.sh [build/release] [messages] [rounds]
# PostgreSQL is left out where its server is not installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${1:-$root/build/release}
messages=${2:-1000000}
rounds=${3:-3}
python=${EMSHAP_RIVAL_PYTHON:-$here/.venv/bin/python}
out=$(mktemp -d)
pids=()
stop_all() {
  for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
  [ -z "${pg:-}" ] || as_server "$pg/pg_ctl" -D "$out/pg/data" -m immediate stop > /dev/null 2>&1 || true
  wait 2> /dev/null || true
  rm -rf "$out"
}
trap stop_all EXIT

# PostgreSQL refuses to run as root.
as_server() {
  if [ "$(id -u)" = 0 ]; then runuser -u "$server_user" -- "$@"; else "$@"; fi
}
pg=$(ls -d /usr/lib/postgresql/*/bin 2> /dev/null | sort -V | tail -1 || true)
server_user=postgres
id "$server_user" > /dev/null 2>&1 || server_user=nobody
if [ -n "$pg" ]; then
  mkdir "$out/pg" && chmod 755 "$out"
  [ "$(id -u)" != 0 ] || chown "$server_user" "$out/pg"
  as_server "$pg/initdb" -D "$out/pg/data" -U emshap -A trust > "$out/initdb.log"
  as_server "$pg/pg_ctl" -D "$out/pg/data" -w -l "$out/pg/log" \
    -o "-k $out/pg -c listen_addresses='' -c shared_buffers=128MB" start > "$out/pg_ctl.log"
  psql=(psql -q -h "$out/pg" -U emshap -d postgres)
fi

# measured FILE COMMAND...: adds the largest resident set of the command to its JSON report.
measured() {
  "$python" - "$@" << 'PYTHON'
import json, resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True)
with open(sys.argv[1], "r+") as file:
    report = json.load(file)
    report["resident_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    file.seek(0)
    json.dump(report, file)
    file.truncate()
PYTHON
}

mkfifo "$out/commands"
"$build/bin/emshap_mock_cluster" --topic raw_metrics:64 < "$out/commands" > "$out/cluster" &
pids+=($!)
exec 9> "$out/commands"
until grep -q '^bootstrap' "$out/cluster"; do sleep 0.05; done
brokers=$(sed -n 's/^bootstrap //p' "$out/cluster")
"$build/bin/emshap_datagen" --kafka "$brokers" --rows "$messages" --nodes 1000 --quiet \
  --property batch.num.messages=10000 --property linger.ms=200

for round in $(seq "$rounds"); do
  measured "$out/sqlite.$round.json" "$build/bin/emshap_ingest" --brokers "$brokers" --group "ours_$round" --quiet \
    --messages "$messages" --store "$out/ours.$round.db" --report "$out/sqlite.$round.json"
  if [ -n "$pg" ]; then
    "${psql[@]}" -c "DROP DATABASE IF EXISTS bench" -c "CREATE DATABASE bench"
    measured "$out/postgresql.$round.json" "$build/bin/emshap_ingest" --brokers "$brokers" --group "pg_$round" --quiet \
      --messages "$messages" --store "postgresql://emshap@/bench?host=$out/pg" --report "$out/postgresql.$round.json"
  fi
  "$python" "$here/ingest.py" --brokers "$brokers" --group "python_$round" --messages "$messages" \
    --store "$out/python.$round.db" --proto "$root/proto" > "$out/python.$round.json"
  rm -f "$out"/*.db*
done
"$python" "$here/ingest_table.py" "$out" "$messages"
