"""Medians of the rounds of ingest.sh as a table."""
import json
import statistics
import sys
from pathlib import Path

folder, messages = Path(sys.argv[1]), int(sys.argv[2])
names = {"sqlite": "emshap_ingest, SQLite", "postgresql": "emshap_ingest, PostgreSQL",
         "python": "confluent-kafka, SQLite"}
rows = {}
for key in names:
    runs = [json.loads(path.read_text().splitlines()[-1] if key == "python" else path.read_text())
            for path in sorted(folder.glob(f"{key}.*.json"))]
    if not runs:
        continue
    if any(run["stored"] != messages for run in runs):
        sys.exit(f"{names[key]}: stored {[run['stored'] for run in runs]}, expected {messages}")
    rows[key] = (statistics.median(messages / run["seconds"] for run in runs),
                 max(run["resident_mb"] for run in runs))
print("| consumer and store | messages/s | ratio to Python | resident MB |\n|---|---|---|---|")
for key, (rate, memory) in rows.items():
    print(f"| {names[key]} | {rate:,.0f} | {rate / rows['python'][0]:.1f}x | {memory:.0f} |")
