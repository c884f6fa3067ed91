"""Checks the ONNX file of a run against the run's own results, with an implementation that is not ours.

usage: verify_onnx.py RUN DATA.csv [MODEL.onnx]
       verify_onnx.py --test-rows FOLDER MODEL.onnx

ONNX's checker must accept the file, and ONNX Runtime must give what we gave, for batches of 1, 7 and all rows. A power
predictor is fed the raw float32 values of the test rows, and RUN/predictions.csv holds our results: |a - b| <= 1e-5 (|b| +
sd), sd over the rows. An EmSHAP model is fed FOLDER/x.npy and FOLDER/mask.npy, and FOLDER/OUTPUT.npy holds our results for
each output (`emshap_export --run RUN --model emshap --out MODEL.onnx --test-rows FOLDER`; power predictors may be checked so
too, which those need that take lags and the like): |a - b| <= 1e-4 (|b| +
max(sd, 0.1)), in raw units (|b| + sd). An attribution file (`emshap_export --attribution ... --test-rows FOLDER`) is fed
FOLDER/x.npy: |a - b| <= 1e-4 (max phi - min phi) of the row, and 1e-3 b more for standard errors, but for one row in eight,
in which one coalition's value may differ (a draw on the other side of a border); rows are fed together and alone, and the
milliseconds a row and the process's largest resident set are shown.
"""
import csv
import json
import pathlib
import resource
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort

POWER_LIMIT, EMSHAP_LIMIT, ATTRIBUTION_LIMIT = 1e-5, 1e-4, 1e-4
ROWS_PER_BORDER = 8
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


def check(path: pathlib.Path, session: ort.InferenceSession, inputs: dict, expected: dict, limit: float,
          least: dict) -> float:
    """The largest share of the limit that any element of any output uses; `least`: smallest sd of an output."""
    rows = len(next(iter(inputs.values())))
    worst = 0.0
    for count in sorted({1, min(7, rows), rows}):
        results = session.run(list(expected), {name: values[:count] for name, values in inputs.items()})
        for (name, all_b), got in zip(expected.items(), results):
            a, b = got.astype(np.float64), all_b[:count].astype(np.float64)
            if a.shape != b.shape or not np.isfinite(a).all():
                raise SystemExit(f"{path}: {name} of {count} rows has shape {a.shape}, expected {b.shape}, or values "
                                 "that are not finite")
            sd = np.maximum(all_b.astype(np.float64).std(axis=0), least.get(name, 0.0))
            share = np.abs(a - b) / (limit * (np.abs(b) + sd) + np.finfo(np.float64).tiny)
            worst = max(worst, float(share.max()))
            if worst > 1:
                at = np.unravel_index(share.argmax(), share.shape)
                raise SystemExit(f"{path}: {name}{list(map(int, at))} is {a[at]!r} in ONNX Runtime, expected {b[at]!r}: "
                                 f"{worst:.3g} times the limit")
    return worst


def report(path: pathlib.Path, rows: str, worst: float, more: str = "") -> None:
    print(f"{path}: accepted by onnx {onnx.__version__}; onnxruntime {ort.__version__} agrees on {rows}, "
          f"largest difference {100 * worst:.2g} % of the limit{more}")


def open_model(path: pathlib.Path) -> tuple[onnx.ModelProto, ort.InferenceSession]:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model, ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def verify_power(run: pathlib.Path, data: pathlib.Path, path: pathlib.Path) -> None:
    model, session = open_model(path)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    features = json.loads(metadata["features"])
    if json.loads(metadata.get("cleaning_not_in_graph", "[]")):
        raise SystemExit(f"{path}: takes features that a row of {data} alone does not give (metadata cleaning_not_in_graph); "
                         "check it with --test-rows")
    with (run / "predictions.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    if not table:
        raise SystemExit(f"{run / 'predictions.csv'}: no rows")
    rows = [int(line["row"]) for line in table]
    expected = np.array([float(line["predicted"]) for line in table])
    actual = np.array([float(line["actual"]) for line in table])
    x = read_columns(data, features, rows)
    worst = check(path, session, {"x": x}, {"power": expected.reshape(-1, 1)}, POWER_LIMIT, {})
    got = session.run(None, {"x": x})[0].astype(np.float64).reshape(-1)
    r2 = 1 - ((got - actual) ** 2).sum() / ((actual - actual.mean()) ** 2).sum()
    report(path, f"{len(rows)} test rows", worst, f"; R2 {r2:.4f}")


def of_one_coalition(matrix: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """What is left of a difference of phi (M) when the value of the coalition that explains it best is taken out: a draw at
    the border of two categories or grid values may fall on either side in float32, and changes one value."""
    norm = (matrix**2).sum(axis=0)
    change = matrix.T @ difference / np.where(norm > 0, norm, 1)
    left = difference[:, None] - matrix * change
    return left[:, (left**2).sum(axis=0).argmin()]


def verify_attribution(folder: pathlib.Path, path: pathlib.Path, model: onnx.ModelProto,
                       session: ort.InferenceSession) -> None:
    x = np.load(folder / "x.npy")
    expected = {value.name: np.load(folder / f"{value.name}.npy") for value in session.get_outputs()}
    phi, prediction = expected["phi"], np.abs(expected["prediction"][:, 0])
    spread = phi.max(axis=1) - phi.min(axis=1) if phi.shape[1] > 1 else np.abs(phi[:, 0])
    spread = np.maximum(spread, 1e-3 * prediction)[:, None]
    matrix = next(onnx.numpy_helper.to_array(i) for i in model.graph.initializer if i.name == "solve.matrix")
    shares = np.zeros(len(x))  # of the limit, by row
    beyond = set()  # rows in which a draw fell on the other side of a border
    seconds = 0.0
    for begin, end in [(0, len(x))] + [(row, row + 1) for row in range(len(x))]:
        start = time.perf_counter()
        results = session.run(list(expected), {"x": x[begin:end]})
        seconds = time.perf_counter() - start
        for (name, all_b), got in zip(expected.items(), results):
            a, b = got.astype(np.float64), all_b[begin:end]
            if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
                raise SystemExit(f"{path}: {name} has shape {a.shape}, expected {b.shape}, or NaN where it should not be")
            limit = ATTRIBUTION_LIMIT * spread[begin:end] + (1e-3 * b if name == "standard_error" else 0)
            share = np.nan_to_num(np.abs(a - b) / (limit + np.finfo(np.float64).tiny)).max(axis=1)
            for row in np.flatnonzero(share > 1) if name == "phi" and a.shape[1] > 2 else []:
                left = of_one_coalition(matrix, a[row] - b[row])
                if np.abs(left).max() <= limit[row, 0]:
                    beyond.add(begin + int(row))
            for row in range(begin, end):
                if row not in beyond:
                    shares[row] = max(shares[row], share[row - begin])
    if shares.max() > 1 or len(beyond) > len(x) // ROWS_PER_BORDER:
        raise SystemExit(f"{path}: row {shares.argmax()} is {shares.max():.3g} times the limit away, or too many rows are: "
                         f"{sorted(beyond)}")
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    note = f"; row {sorted(beyond)} is beyond it by one draw on the other side of a border" if beyond else ""
    report(path, f"{len(x)} rows", float(shares.max()), f"{note}; {1000 * seconds:.0f} ms a row alone, "
           f"{megabytes:.0f} MB resident")


def verify_rows(folder: pathlib.Path, path: pathlib.Path) -> None:
    model, session = open_model(path)
    kind = {entry.key: entry.value for entry in model.metadata_props}.get("model")
    if kind == "attribution":
        return verify_attribution(folder, path, model, session)
    if kind == "power_predictor":
        x, power = np.load(folder / "x.npy"), np.load(folder / "power.npy")
        return report(path, f"{len(x)} rows", check(path, session, {"x": x}, {"power": power}, POWER_LIMIT, {}))
    verify_emshap(folder, path, session)


def verify_emshap(folder: pathlib.Path, path: pathlib.Path, session: ort.InferenceSession) -> None:
    inputs = {value.name: np.load(folder / f"{value.name}.npy") for value in session.get_inputs()}
    expected = {value.name: np.load(folder / f"{value.name}.npy") for value in session.get_outputs()}
    least = {name: 0.1 for name in expected if name != "conditional_mean"}
    worst = check(path, session, inputs, expected, EMSHAP_LIMIT, least)
    report(path, f"{len(inputs['x'])} pairs of a row and a mask", worst)


def main() -> None:
    arguments = sys.argv[1:]
    if len(arguments) == 3 and arguments[0] == "--test-rows":
        verify_rows(pathlib.Path(arguments[1]), pathlib.Path(arguments[2]))
    elif len(arguments) in (2, 3):
        run = pathlib.Path(arguments[0])
        path = pathlib.Path(arguments[2]) if len(arguments) == 3 else run / "power_predictor.onnx"
        verify_power(run, pathlib.Path(arguments[1]), path)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
