"""The rival of emshap_ingest: what one writes with confluent-kafka, protobuf and sqlite3 in Python.

Same topic, same tables, same checks, rows and progress in one transaction a batch. Prints one JSON line: messages stored,
seconds from the first message to the last commit, largest resident set in MB.
    ingest.py --brokers HOST:PORT --messages N --store FILE.db --proto DIR [--batch 10000]
"""
import argparse
import json
import math
import resource
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

METRICS = [
    "cpu_util", "mem_util", "disk_io", "net_io", "gpu_util", "gpu_mem", "temp_cpu", "temp_gpu", "fan_speed", "voltage",
    "current", "frequency", "cache_miss", "cache_hit", "context_switch", "page_fault", "interrupts", "load_avg",
    "process_count", "thread_count"]
SIGNED = {"temp_cpu", "temp_gpu"}


def message_class(proto):
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", f"--proto_path={proto}", f"--descriptor_set_out={out.name}", "feature_vector.proto"],
                       check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(Path(out.name).read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("emshap.v1.FeatureVector"))


def row_of(message, kafka_message, latest):
    """The row, or None and why it is refused."""
    if not message.node_id:
        return None, "no node_id"
    if message.time <= 0:
        return None, "no time"
    if message.time > latest:
        return None, "time in the future"
    present = {field.name for field, _ in message.ListFields()}
    values = []
    for name in ["power_consumption", *METRICS]:
        if name not in present:
            values.append(None)
            continue
        value = getattr(message, name)
        if not math.isfinite(value):
            return None, "not finite"
        if value < 0 and name not in SIGNED:
            return None, "negative value"
        values.append(value)
    extra = json.dumps(dict(message.extra), sort_keys=True) if "extra" in present else None
    return (message.time, message.node_id, *values, extra, kafka_message.topic(), kafka_message.partition(),
            kafka_message.offset()), None


def create(db):
    db.executescript(f"""
        PRAGMA journal_mode=WAL;
        PRAGMA synchronous=FULL;
        CREATE TABLE samples(time INTEGER NOT NULL, node_id TEXT NOT NULL, power_consumption REAL,
          {", ".join(m + " REAL" for m in METRICS)}, extra TEXT, topic TEXT, "partition" INTEGER, "offset" INTEGER);
        CREATE UNIQUE INDEX samples_node_time ON samples(node_id, time);
        CREATE TABLE quarantine(topic TEXT, "partition" INTEGER, "offset" INTEGER, reason TEXT, bytes BLOB);
        CREATE TABLE progress(topic TEXT, "partition" INTEGER, next_offset INTEGER, PRIMARY KEY(topic, "partition"));
    """)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", default="raw_metrics")
    parser.add_argument("--group", default="python_rival")
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--proto", required=True)
    parser.add_argument("--batch", type=int, default=10000)
    options = parser.parse_args()

    feature_vector = message_class(options.proto)
    db = sqlite3.connect(options.store, isolation_level=None)
    create(db)
    insert = f"INSERT OR IGNORE INTO samples VALUES({','.join('?' * (len(METRICS) + 7))})"
    consumer = Consumer({"bootstrap.servers": options.brokers, "group.id": options.group, "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10, "session.timeout.ms": 6000})
    consumer.subscribe([options.topic])
    message = feature_vector()
    received = 0
    first = None
    while received < options.messages:
        batch = consumer.consume(options.batch, 0.2)
        batch = [m for m in batch if m.error() is None]
        if not batch:
            continue
        first = first or time.perf_counter()
        latest = time.time() + 300
        rows, refused, progress = [], [], {}
        for m in batch:
            try:
                message.Clear()
                message.ParseFromString(m.value())
                row, reason = row_of(message, m, latest)
            except Exception:  # protobuf's DecodeError has no stable place
                row, reason = None, "not a message"
            if row:
                rows.append(row)
            else:
                refused.append((m.topic(), m.partition(), m.offset(), reason, m.value()))
            progress[m.partition()] = m.offset() + 1
        db.execute("BEGIN IMMEDIATE")
        db.executemany(insert, rows)
        db.executemany("INSERT INTO quarantine VALUES(?,?,?,?,?)", refused)
        db.executemany("INSERT INTO progress VALUES(?,?,?) ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
                       [(options.topic, p, n) for p, n in progress.items()])
        db.execute("COMMIT")
        consumer.commit(offsets=[TopicPartition(options.topic, p, n) for p, n in progress.items()], asynchronous=True)
        received += len(batch)
    seconds = time.perf_counter() - first
    stored = db.execute("SELECT count(*) FROM samples").fetchone()[0]
    consumer.close()
    print(json.dumps({"messages": received, "stored": stored, "seconds": seconds,
                      "resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
