#!/usr/bin/env python3
"""Writes what pandas makes of a small table of hosts as the reference of tests/data/test_cleaning_golden.cpp.

Run:   python3 -m pip install pandas && python3 tests/golden/make_cleaning.py
The file is committed; the tests do not need pandas. Rows lie in any order, some times occur twice, a fifth of the
cells is empty, host d lacks all of `a`. Rows of part 0 are training rows.
"""
import pathlib

import numpy as np
import pandas as pd

random = np.random.default_rng(20240401)
rows = 96
t = pd.DataFrame({
    "time": 1735689600 + 3600 * random.integers(0, 40, rows),
    "node": random.choice(list("abcd"), rows),
    "a": random.normal(50, 10, rows).astype(np.float32),
    "b": random.standard_t(2, rows).astype(np.float32),
})
for name in "ab":
    t.loc[random.random(rows) < .2, name] = np.nan
t.loc[t.node == "d", "a"] = np.nan
t["part"] = np.select([t.time < 1735689600 + 3600 * 25, t.time < 1735689600 + 3600 * 30], [0, 1], 2)
t = t.astype({"a": np.float64, "b": np.float64})

out = t.copy()
train = t.part == 0
for name in "ab":
    present = t.loc[train, name].dropna()
    q1, q3 = np.quantile(present, [.25, .75])
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    clipped = t[name].clip(low, high)
    ordered = clipped.iloc[np.argsort(t.time, kind="stable")]  # equal times stay in the order of the table
    keys = [t.node.loc[ordered.index], t.part.loc[ordered.index]]
    filled = ordered.groupby(keys).ffill().groupby(keys).bfill().fillna(clipped[train].mean())
    groups = filled.groupby(keys)
    out[f"{name}_low"], out[f"{name}_high"] = low, high
    out[f"{name}_filled"] = filled
    for lag in (1, 2):
        out[f"{name}_lag{lag}"] = groups.shift(lag)
    out[f"{name}_mean3"] = groups.rolling(3).mean().reset_index(level=[0, 1], drop=True)
    out[f"{name}_std3"] = groups.rolling(3).std().reset_index(level=[0, 1], drop=True)
    out[f"{name}_gaps"] = ordered.groupby(keys).rolling(3).mean().reset_index(level=[0, 1], drop=True)
out["ab"] = out.a_filled * out.b_filled
when = pd.to_datetime(t.time, unit="s")
out["hour"], out["day_of_week"] = when.dt.hour, when.dt.day_of_week
out["weekend"] = (when.dt.day_of_week >= 5).astype(int)

path = pathlib.Path(__file__).resolve().parent / "cleaning.csv"
out.to_csv(path, index=False)
print(f"{path.name}: {path.stat().st_size} bytes, pandas {pd.__version__}")
