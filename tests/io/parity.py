"""Runs the ONNX files of parity_models in ONNX Runtime and compares with what our own code gave.

usage: parity.py FOLDER

Both sides were fed the same float32 values. Passes when |a - b| <= 1e-5 (|b| + sd), sd of the output's column over
the case with the most rows, for every element, and onnx.checker accepts every file. In the EmSHAP model's space, where
columns have unit variance, sd counts as 0.1 at least: a log-variance that hardly changes is not known to 1e-7.
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort

LIMIT = 1e-5
LEAST_SD = dict.fromkeys(("energy", "proposal_mean", "proposal_logvar", "context", "mixture", "categorical"), 0.1)


def run_case(path: pathlib.Path) -> float:
    """The largest share of the limit that any element uses."""
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = [v.name for v in session.get_inputs()]
    outputs = [v.name for v in session.get_outputs()]
    sizes = sorted(int(f.name.split(".")[-3]) for f in path.parent.glob(f"{path.stem}.*.{inputs[0]}.npy"))
    if not sizes:
        raise SystemExit(f"{path}: no inputs beside it")

    def array(rows: int, name: str) -> np.ndarray:
        return np.load(path.parent / f"{path.stem}.{rows}.{name}.npy")

    sd = {}
    for name in outputs:
        largest = array(sizes[-1], name).astype(np.float64)
        sd[name] = np.maximum(largest.std(axis=0) if largest.ndim > 1 else 0.0, LEAST_SD.get(name, 0.0))
    worst = 0.0
    for rows in sizes:
        results = session.run(outputs, {name: array(rows, name) for name in inputs})
        for name, a in zip(outputs, results):
            b = array(rows, name)
            if a.shape != b.shape or a.dtype != b.dtype:
                raise SystemExit(f"{path.name}, {rows} rows: {name} is {a.dtype}{a.shape}, expected {b.dtype}{b.shape}")
            a, b = a.astype(np.float64), b.astype(np.float64)
            if not (np.isfinite(a).all() and np.isfinite(b).all()):
                raise SystemExit(f"{path.name}, {rows} rows: {name} is not finite everywhere")
            share = np.abs(a - b) / (LIMIT * (np.abs(b) + sd[name]) + np.finfo(np.float64).tiny)
            worst = max(worst, float(share.max()))
            if worst > 1:
                at = np.unravel_index(share.argmax(), share.shape)
                raise SystemExit(f"{path.name}, {rows} rows: {name}{list(map(int, at))} is {a[at]!r} in ONNX Runtime, "
                                 f"expected {b[at]!r}: {worst:.3g} times the limit")
    return worst


def main() -> None:
    paths = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
    if not paths:
        raise SystemExit(f"no ONNX files in {sys.argv[1]}")
    print(f"onnx {onnx.__version__}, onnxruntime {ort.__version__}, numpy {np.__version__}")
    for path in paths:
        print(f"{path.name}: largest difference {100 * run_case(path):.2f} % of the limit")


if __name__ == "__main__":
    main()
