"""Checks the ONNX file of a run against the run's own predictions, with an implementation that is not ours.

usage: verify_onnx.py RUN DATA.csv [MODEL.onnx]

ONNX's checker must accept the file, and ONNX Runtime, fed the raw float32 values of the test rows, must give what
RUN/predictions.csv holds: |a - b| <= 1e-5 (|b| + sd), sd over the test rows; for batches of 1, 7 and all rows.
"""
import csv
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort

LIMIT = 1e-5
MISSING = {"", "NA", "NaN", "nan", "null", "NULL", "-"}


def read_columns(path: pathlib.Path, names: list[str], rows: list[int]) -> np.ndarray:
    """The named columns of these data rows (from 0) as float32, missing values NaN."""
    wanted = {row: i for i, row in enumerate(rows)}
    x = np.empty((len(rows), len(names)), np.float32)
    found = 0
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = [name.strip() for name in next(reader)]
        at = [header.index(name) for name in names]
        number = -1
        for cells in reader:
            if not cells:
                continue
            number += 1
            i = wanted.get(number)
            if i is not None:
                x[i] = [np.nan if cells[j].strip() in MISSING else np.float32(cells[j].strip()) for j in at]
                found += 1
    if found != len(rows):
        raise SystemExit(f"{path}: has {found} of the {len(rows)} test rows")
    return x


def main() -> None:
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    run, data = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    path = pathlib.Path(sys.argv[3]) if len(sys.argv) == 4 else run / "power_predictor.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    features = json.loads(metadata["features"])

    with (run / "predictions.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    if not table:
        raise SystemExit(f"{run / 'predictions.csv'}: no rows")
    rows = [int(line["row"]) for line in table]
    expected = np.array([float(line["predicted"]) for line in table])
    actual = np.array([float(line["actual"]) for line in table])
    x = read_columns(data, features, rows)

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    sd = expected.std()
    worst = 0.0
    for count in sorted({1, min(7, len(rows)), len(rows)}):
        got = session.run(None, {name: x[:count]})[0].astype(np.float64).reshape(-1)
        if got.shape != (count,) or not np.isfinite(got).all():
            raise SystemExit(f"{path}: {count} rows in, {got.shape} out, or values that are not finite")
        share = np.abs(got - expected[:count]) / (LIMIT * (np.abs(expected[:count]) + sd))
        worst = max(worst, float(share.max()))
        if worst > 1:
            i = int(share.argmax())
            raise SystemExit(f"{path}: row {rows[i]} gives {got[i]!r} in ONNX Runtime, expected {expected[i]!r}: "
                             f"{worst:.3g} times the limit")
    r2 = 1 - ((got - actual) ** 2).sum() / ((actual - actual.mean()) ** 2).sum()
    print(f"{path}: accepted by onnx {onnx.__version__}; onnxruntime {ort.__version__} agrees on {len(rows)} test rows, "
          f"largest difference {100 * worst:.2g} % of the limit; R2 {r2:.4f}")


if __name__ == "__main__":
    main()
