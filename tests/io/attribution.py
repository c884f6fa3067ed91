"""Runs the attribution files of attribution_models in ONNX Runtime and compares with what the library gave.

usage: attribution.py FOLDER [memory]

phi, phi0 and prediction: |a - b| <= 1e-4 (max phi - min phi) of the row. Standard errors: the same, or 1e-3 of
themselves. A row may be beyond it by the value of one coalition: a draw at the border of two categories or
grid values may fall on either side in float32. Rows with a missing or infinite value give NaN and leave the others as
they are. With `memory` also the resident set of a process that attributes 1 row, and 1,000 rows with the smallest file,
which must stay under 300 MB.
"""
import pathlib
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort

MEMORY_LIMIT = 300 * 2**20
NAMES = ["phi", "phi0", "prediction", "standard_error"]


def of_one_coalition(matrix: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """What is left of a difference of phi (M) when the value of the coalition that explains it best is taken out."""
    norm = (matrix**2).sum(axis=0)
    change = matrix.T @ difference / np.where(norm > 0, norm, 1)
    left = difference[:, None] - matrix * change
    return left[:, (left**2).sum(axis=0).argmin()]


def run_case(path: pathlib.Path) -> dict:
    """The largest share of the limit that any element of each output uses."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    matrix = next(onnx.numpy_helper.to_array(i) for i in model.graph.initializer if i.name == "solve.matrix")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def array(name: str) -> np.ndarray:
        return np.load(path.parent / f"{path.stem}.{name}.npy")

    x = array("x")
    expected = {name: array(name).astype(np.float64) for name in NAMES}
    spread = (expected["phi"].max(axis=1) - expected["phi"].min(axis=1))[:, None]
    shares = {}
    beyond = set()
    for rows in (len(x), 1):
        for name, got in zip(NAMES, session.run(NAMES, {"x": x[:rows]})):
            a, b = got.astype(np.float64), expected[name][:rows]
            if a.shape != b.shape:
                raise SystemExit(f"{path.name}: {name} has shape {a.shape}, expected {b.shape}")
            limit = 1e-4 * spread[:rows]
            if name == "standard_error":
                limit = limit + 1e-3 * np.nan_to_num(b)
            if not (np.isnan(a) == np.isnan(b)).all():
                raise SystemExit(f"{path.name}: {name} is NaN where it should not be, or is not where it should")
            share = np.nan_to_num(np.abs(a - b) / limit)
            for row in np.flatnonzero(share.max(axis=1) > 1) if name == "phi" else []:
                if np.abs(of_one_coalition(matrix, a[row] - b[row])).max() <= limit[row, 0]:
                    beyond.add(int(row))
            if len(beyond) <= 1:
                share[[row for row in beyond if row < rows]] = 0
            shares[name] = max(shares.get(name, 0.0), float(share.max()))
            if shares[name] > 1:
                at = np.unravel_index(share.argmax(), share.shape)
                raise SystemExit(f"{path.name}: {name}{list(map(int, at))} is {a[at]!r} in ONNX Runtime, expected "
                                 f"{b[at]!r}: {shares[name]:.3g} times the limit")
    hidden = np.resize(x, (3, x.shape[1]))
    hidden[1, 0] = np.nan
    hidden[2, -1] = np.inf
    results = dict(zip(NAMES, session.run(NAMES, {"x": hidden})))
    for name in NAMES:
        bad = np.isnan(results[name][1:]).all() if name != "phi0" else np.isfinite(results[name]).all()
        if not bad:
            raise SystemExit(f"{path.name}: {name} of rows with missing values is {results[name][1:]}")
    if np.isnan(results["phi"][0]).any():
        raise SystemExit(f"{path.name}: a row is touched by missing values of others")
    if beyond:
        print(f"{path.name}: row {min(beyond)} has one draw on the other side of a border")
    return shares


def attribute(path: pathlib.Path, rows: int) -> None:
    """Prints the largest resident set of this process."""
    x = np.load(path.parent / f"{path.stem}.x.npy")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    phi = session.run(["phi"], {"x": np.resize(x, (rows, x.shape[1]))})[0]
    if len(phi) != rows or not np.isfinite(phi).all():
        raise SystemExit(f"{path.name}: phi of {rows} rows has shape {phi.shape} or is not finite")
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            print(1024 * int(line.split()[1]))


def check_memory(path: pathlib.Path, rows: int) -> None:
    result = subprocess.run([sys.executable, __file__, "--attribute", str(path), str(rows)], check=True,
                            capture_output=True, text=True)
    used = int(result.stdout)
    print(f"{path.name}, {rows} rows: {used / 2**20:.0f} MB")
    if used > MEMORY_LIMIT:
        raise SystemExit(f"{path.name}: {rows} rows take {used / 2**20:.0f} MB, expected at most 300")


def main() -> None:
    if sys.argv[1] == "--attribute":
        return attribute(pathlib.Path(sys.argv[2]), int(sys.argv[3]))
    paths = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
    if not paths:
        raise SystemExit(f"no ONNX files in {sys.argv[1]}")
    for path in paths:
        shares = run_case(path)
        print(f"{path.name}: shares of the limit "
              + ", ".join(f"{name} {100 * share:.2g} %" for name, share in shares.items()))
    if len(sys.argv) > 2:
        for path in paths:
            check_memory(path, 1)
        check_memory(min(paths, key=lambda path: path.stat().st_size), 1000)


if __name__ == "__main__":
    main()
