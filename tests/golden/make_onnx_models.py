#!/usr/bin/env python3
"""Makes the ONNX models of other programs in tests/golden/onnx, with inputs and ONNX Runtime's outputs.

Made with: torch 2.15.0, onnx 1.23.2, onnxruntime 1.32.0, skl2onnx 1.20.0, onnxmltools 1.16.0,
lightgbm 4.7.0, xgboost 3.2.0, scikit-learn 1.9.1, numpy 2.4.6, pandas 3.1.1, onnxscript 0.7.2.

    python tests/golden/make_onnx_models.py

For each model m: m.onnx, m.x.npy (rows, all columns), m.y.npy (rows, the entries of all outputs that hold real
numbers side by side). models.txt has a line for each of these outputs: model, output, entries, and "exact" where
results must be equal bit for bit (sums over trees), else "close".
"""
import pathlib
import warnings

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

warnings.filterwarnings("ignore")
OUT = pathlib.Path(__file__).parent / "onnx"
ROWS = 37
lines = []


def save(name, model, x, exact=(), feeds=None):
    """Runs `model` on the rows x and saves all three; feeds maps input names to arrays."""
    model.graph.name = name  # converters draw one
    data = model.SerializeToString()
    assert len(data) < 60000, (name, len(data))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    if feeds is None:
        inputs = session.get_inputs()
        if len(inputs) == 1:
            feeds = {inputs[0].name: x}
        else:
            feeds = {i.name: x[:, j:j + 1] for j, i in enumerate(inputs)}
        kind = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
        feeds = {i.name: feeds[i.name].astype(kind[i.type]) for i in inputs}
    columns = []
    for info in session.get_outputs():
        value = session.run([info.name], feeds)[0]
        if isinstance(value, list):  # ZipMap
            value = np.array([[row[k] for k in row] for row in value], np.float32)
        if value.dtype not in (np.float32, np.float64):
            continue
        value = value.reshape(len(x), -1).astype(np.float32)
        if not np.isfinite(value).all():
            continue  # of a transform that has no value there
        columns.append(value)
        how = "exact" if info.name in exact or exact == "all" else "close"
        lines.append(f"{name} {info.name} {value.shape[1]} {how}")
    (OUT / f"{name}.onnx").write_bytes(data)
    np.save(OUT / f"{name}.x.npy", x.astype(np.float32))
    np.save(OUT / f"{name}.y.npy", np.concatenate(columns, axis=1))
    print(f"{name}: {len(data)} bytes, {[c.shape[1] for c in columns]}")


def data(columns=5):
    rng = np.random.default_rng(columns)
    x = rng.normal(size=(200, columns)).astype(np.float32)
    y = x[:, 0] - 2 * x[:, 1] * (x[:, 2] > 0) + .3 * rng.normal(size=200)
    return x, y.astype(np.float32), (y > 0).astype(int), np.digitize(y, [-1, 1])


def sklearn_models():
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    from sklearn.ensemble import (GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier,
                                  RandomForestRegressor)
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.svm import SVR
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, Normalizer, PolynomialFeatures, StandardScaler
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer

    x, y, two, three = data()
    rows = x[:ROWS]
    raw = {"zipmap": False}

    def convert(model, **more):
        return to_onnx(model, x[:1], **more)

    save("linear_regression", convert(LinearRegression().fit(x, y)), rows)
    save("linear_regression_double",
         to_onnx(LinearRegression().fit(x, y), initial_types=[("X", DoubleTensorType([None, 5]))]), rows)
    save("logistic_two", convert(LogisticRegression().fit(x, two)), rows)
    save("logistic_three", convert(LogisticRegression().fit(x, np.array(["cold", "mild", "warm"])[three]),
                                   options=raw), rows)
    mlp = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(16, 8), max_iter=60, random_state=1)).fit(x, y)
    save("scaler_mlp", convert(mlp), rows)
    save("scaler_mlp_open", to_onnx(mlp, initial_types=[("X", FloatTensorType([None, None]))]), rows)
    tanh = make_pipeline(MinMaxScaler(), MLPClassifier(hidden_layer_sizes=(6,), activation="tanh", max_iter=60, random_state=1))
    save("minmax_mlp_three", convert(tanh.fit(x, three), options=raw), rows)
    two_mlp = MLPClassifier(hidden_layer_sizes=(4,), max_iter=60, random_state=1).fit(x, two)
    save("mlp_two", convert(two_mlp, options=raw), rows)
    for kernel in ("rbf", "poly", "sigmoid", "linear"):
        save("svr_" + kernel, convert(SVR(kernel=kernel, C=.1, epsilon=1).fit(x, y)), rows)
    save("bayes_three", convert(GaussianNB().fit(x, three), options=raw), rows)
    save("normalizer_l1", convert(make_pipeline(Normalizer("l1"), LinearRegression()).fit(x, y)), rows)
    save("normalizer_l2", convert(make_pipeline(Normalizer("l2"), LinearRegression()).fit(x, y)), rows)
    save("normalizer_max", convert(make_pipeline(Normalizer("max"), LinearRegression()).fit(x, y)), rows)
    forest = {"n_estimators": 5, "max_depth": 5, "random_state": 1}
    save("forest_regressor", convert(RandomForestRegressor(**forest).fit(x, y)), rows, "all")
    save("forest_regressor_two", convert(RandomForestRegressor(**forest).fit(x, np.stack([y, -y * y], 1))), rows,
         "all")
    save("forest_two", convert(RandomForestClassifier(**forest).fit(x, two), options=raw), rows)
    save("forest_three", convert(RandomForestClassifier(**forest).fit(x, three), options=raw), rows)
    boost = {"n_estimators": 12, "max_depth": 3, "random_state": 1}
    save("boosting_regressor", convert(GradientBoostingRegressor(**boost).fit(x, y)), rows, "all")
    save("boosting_two", convert(GradientBoostingClassifier(**boost).fit(x, two), options=raw), rows)
    save("boosting_three", convert(GradientBoostingClassifier(**boost | {"n_estimators": 5}).fit(x, three),
                                   options=raw), rows)
    names = ["wind", "temp", "hour", "load", "rain"]
    types = [(n, FloatTensorType([None, 1])) for n in names]
    table = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), [0, 1]), (MinMaxScaler(), [2]), (PolynomialFeatures(2), [3]),
        remainder="passthrough")
    import pandas
    frame = pandas.DataFrame(x, columns=names)
    save("columns_forest", to_onnx(make_pipeline(table, RandomForestRegressor(**forest)).fit(frame, y),
                                   initial_types=types), rows)
    save("columns_linear_opset23", to_onnx(make_pipeline(table, LinearRegression()).fit(frame, y),
                                           initial_types=types, target_opset={"": 21, "ai.onnx.ml": 3}), rows)


def boosted_models():
    import lightgbm
    import xgboost
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    x, y, two, three = data()
    rows = x[:ROWS]
    rows = rows.copy()
    types = [("input", FloatTensorType([None, 5]))]
    small = {"n_estimators": 8, "num_leaves": 8, "min_child_samples": 5, "verbose": -1, "random_state": 1}
    save("lightgbm_regressor", convert_lightgbm(lightgbm.LGBMRegressor(**small).fit(x, y), initial_types=types),
         rows)
    save("lightgbm_two", convert_lightgbm(lightgbm.LGBMClassifier(**small).fit(x, two), initial_types=types), rows)
    save("lightgbm_three", convert_lightgbm(
        lightgbm.LGBMClassifier(**small | {"n_estimators": 4}).fit(x, three), initial_types=types), rows)
    rng = np.random.default_rng(5)
    kinds = x.copy()
    kinds[:, 4] = rng.integers(0, 6, len(x))
    target = y + (kinds[:, 4] % 2) * 3
    # A set of categories becomes a chain of "==" whose branches meet again.
    save("lightgbm_categories", convert_lightgbm(
        lightgbm.LGBMRegressor(**small | {"n_estimators": 4}, min_data_per_group=1, cat_smooth=1,
                               max_cat_to_onehot=1).fit(kinds, target, categorical_feature=[4]),
        initial_types=types), kinds[:ROWS])
    small = {"n_estimators": 8, "max_depth": 3, "random_state": 1}
    save("xgboost_regressor", convert_xgboost(xgboost.XGBRegressor(**small).fit(x, y), initial_types=types), rows)
    save("xgboost_two", convert_xgboost(xgboost.XGBClassifier(**small).fit(x, two), initial_types=types), rows)
    save("xgboost_three", convert_xgboost(xgboost.XGBClassifier(**small).fit(x, three), initial_types=types), rows)


def torch_models():
    import torch
    from torch import nn

    torch.manual_seed(3)
    x, _, _, _ = data(6)
    rows = x[:ROWS]

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(16, 1)
            self.norm = nn.BatchNorm1d(8)

        def forward(self, z):
            h = nn.functional.gelu(self.norm(self.a(z)))
            g = nn.functional.softplus(self.b(h)) * torch.sigmoid(h[:, :1])
            g = torch.where(g > 0.7, nn.functional.elu(g - 1), nn.functional.leaky_relu(h, 0.2))
            pooled = torch.cat([g, h.clamp(-0.5, 2.0)], dim=1)
            pooled = pooled.view(z.size(0), 4, 4).permute(0, 2, 1).reshape(z.size(0), -1)
            return self.c(pooled) + torch.erf(z).pow(2).mean(dim=1, keepdim=True)

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.qkv, self.out = nn.Parameter(torch.randn(6, 4)), nn.Linear(4, 12), nn.Linear(24, 1)

        def forward(self, z):
            q, k, v = self.qkv(z.unsqueeze(-1) * self.token).chunk(3, -1)
            return self.out((torch.softmax(q @ k.transpose(1, 2) / 2, -1) @ v).flatten(1)).squeeze(-1)

    odd = Odd().train()
    for _ in range(5):
        odd(torch.randn(64, 6) * 2 + 1)
    odd.eval()
    plain = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3), nn.Softmax(1))

    def legacy(module, path, **more):
        torch.onnx.export(module, (torch.from_numpy(rows),), path, dynamo=False, input_names=["x"],
                          output_names=["y"], **more)
        return onnx.load(path)

    path = "/tmp/emshap_torch.onnx"
    batch = {"x": {0: "batch"}, "y": {0: "batch"}}
    for opset in (9, 12, 17):
        save(f"torch_odd_opset{opset}", legacy(odd, path, opset_version=opset, dynamic_axes=batch), rows)
    save("torch_attention", legacy(Attention(), path, opset_version=17, dynamic_axes=batch), rows)
    save("torch_softmax", legacy(plain, path, opset_version=13, dynamic_axes=batch), rows)
    new = torch.onnx.export(odd, (torch.from_numpy(rows),), dynamo=True, opset_version=21, input_names=["x"],
                            output_names=["y"], dynamic_shapes={"z": {0: torch.export.Dim("batch")}})
    for node in new.model_proto.graph.node:  # the exporter writes where the source file lies
        node.ClearField("doc_string")
        del node.metadata_props[:]
    save("torch_odd_opset21", new.model_proto, rows)
    # Made for one row at a time.
    torch.onnx.export(odd, (torch.from_numpy(rows[:1]),), path, dynamo=False, opset_version=17, input_names=["x"],
                      output_names=["y"])
    single = onnx.load(path)
    open_batch = onnx.load(path)
    save_single("torch_odd_one_row", single, rows)


def save_single(name, model, x):
    """A model whose batch is 1: ONNX Runtime gets one row at a time."""
    raw = model.SerializeToString()
    session = ort.InferenceSession(raw, providers=["CPUExecutionProvider"])
    y = np.concatenate([session.run(None, {session.get_inputs()[0].name: row[None]})[0] for row in x])
    lines.append(f"{name} {session.get_outputs()[0].name} {y.shape[1]} close")
    (OUT / f"{name}.onnx").write_bytes(raw)
    np.save(OUT / f"{name}.x.npy", x)
    np.save(OUT / f"{name}.y.npy", y.astype(np.float32))
    print(f"{name}: {len(raw)} bytes")


class Graph:
    """Many small computations on one input as the outputs of one file."""

    def __init__(self, columns, opset, ml=None, ir=None, kind=TensorProto.FLOAT):
        self.nodes, self.outputs, self.constants = [], [], []
        self.columns, self.kind = columns, kind
        self.opsets = [helper.make_opsetid("", opset)]
        if ml:
            self.opsets.append(helper.make_opsetid("ai.onnx.ml", ml))
        self.ir = ir or {9: 4, 11: 6, 12: 7, 13: 7, 15: 8, 17: 8, 18: 8, 21: 10, 22: 10, 23: 11}[opset]

    def const(self, value, dtype=np.float32):
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def ints(self, *values):
        return self.const(values, np.int64)

    def node(self, op, *inputs, outputs=1, domain=None, **attributes):
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"n{len(self.nodes)}_{op}", domain=domain,
                                           **attributes))
        return names[0] if outputs == 1 else names

    def out(self, name, value, kind=TensorProto.FLOAT):
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, kind, None))

    def model(self):
        x = helper.make_tensor_value_info("x", self.kind, ["N", self.columns])
        graph = helper.make_graph(self.nodes, "operators", [x], self.outputs, self.constants)
        return helper.make_model(graph, opset_imports=self.opsets, ir_version=self.ir, producer_name="helper")


def operators(opset):
    rng = np.random.default_rng(opset)
    g = Graph(6, opset)
    late = opset >= 13
    axes = lambda *a: {"axes": list(a)}
    for op in ("Relu", "Sigmoid", "Tanh", "Softplus", "Erf", "Exp", "Abs", "Neg", "Floor", "Ceil", "Sign", "Sin",
               "Cos", "Softsign", "Selu", "HardSigmoid"):
        g.out(op, g.node(op, "x"))
    if opset >= 11:
        g.out("Round", g.node("Round", "x"))
    g.out("ThresholdedRelu", g.node("ThresholdedRelu", "x", alpha=.4) if opset >= 10 else "x")
    g.out("PRelu", g.node("PRelu", "x", g.const(rng.normal(size=6))))
    if opset >= 12:
        g.out("Celu", g.node("Celu", "x", alpha=.7))
    if opset >= 18:
        g.out("Mish", g.node("Mish", "x"))
    g.out("LeakyRelu", g.node("LeakyRelu", "x", alpha=.3))
    g.out("Elu", g.node("Elu", "x", alpha=.7))
    positive = g.node("Abs", "x")
    g.out("Sqrt", g.node("Sqrt", positive))
    g.out("Log", g.node("Log", positive))
    g.out("Reciprocal", g.node("Reciprocal", positive))
    g.out("Pow", g.node("Pow", positive, g.const(1.7)))
    g.out("Pow2", g.node("Pow", "x", g.const([2, 3, 2, 2, 2, 3])))
    row, column = g.const(rng.normal(size=(1, 6))), g.const(rng.normal(size=(4, 1)))
    g.out("Add", g.node("Add", "x", row))
    g.out("Sub", g.node("Sub", row, "x"))
    g.out("Div", g.node("Div", "x", g.const(3)))
    taken = g.node("Gather", "x", g.ints(4, -6, 2), axis=1)
    one = g.node("Gather", "x", g.const(1, np.int64), axis=1)
    g.out("Gather", taken)
    if late:
        wide = g.node("Unsqueeze", "x", g.ints(1))
        one_column = g.node("Unsqueeze", one, g.ints(-1))
    else:
        wide = g.node("Unsqueeze", "x", **axes(1))
        one_column = g.node("Unsqueeze", one, **axes(1))
    g.out("Mul", g.node("Mul", one_column, "x"))
    cube = g.node("Mul", wide, column)  # (N, 4, 6)
    g.out("broadcast", cube)
    g.out("Transpose", g.node("Transpose", cube, perm=[0, 2, 1]))
    g.out("ReduceMean", g.node("ReduceMean", cube, g.ints(1)) if opset >= 18 else
          g.node("ReduceMean", cube, axes=[1]))
    g.out("ReduceMax", g.node("ReduceMax", cube, g.ints(-1), keepdims=0) if opset >= 18 else
          g.node("ReduceMax", cube, axes=[2], keepdims=0))
    g.out("ReduceSum", g.node("ReduceSum", cube, g.ints(1, 2), keepdims=0) if late else
          g.node("ReduceSum", cube, axes=[1, 2], keepdims=0))
    g.out("ReduceL2", g.node("ReduceL2", cube, g.ints(2)) if opset >= 18 else g.node("ReduceL2", cube, axes=[2]))
    g.out("ReduceLogSumExp", g.node("ReduceLogSumExp", cube, g.ints(2)) if opset >= 18 else
          g.node("ReduceLogSumExp", cube, axes=[2]))
    g.out("Softmax", g.node("Softmax", cube))
    g.out("Softmax1", g.node("Softmax", cube, axis=1))
    g.out("LogSoftmax", g.node("LogSoftmax", "x", axis=1))
    g.out("Flatten", g.node("Flatten", cube))
    g.out("Reshape", g.node("Softmax", g.node("Reshape", cube, g.ints(0, 3, -1))))
    shape = g.node("Shape", cube)
    rows = g.node("Slice", shape, g.ints(0), g.ints(1)) if opset >= 10 else g.node("Slice", shape, starts=[0], ends=[1])
    target = g.node("Concat", rows, g.ints(2, -1), axis=0)
    g.out("ReshapeShape", g.node("Softmax", g.node("Reshape", cube, target)))
    if opset >= 10:
        g.out("Slice", g.node("Slice", "x", g.ints(-1), g.ints(-6), g.ints(1), g.ints(-2)))
        g.out("SliceBox", g.node("Slice", cube, g.ints(1, 0), g.ints(100, -1), g.ints(1, 2)))
    else:
        g.out("Slice", g.node("Slice", "x", starts=[-4], ends=[-1], axes=[1]))
        g.out("SliceBox", g.node("Slice", cube, starts=[1, 0], ends=[100, -1], axes=[1, 2]))
    if opset >= 11:
        g.out("Clip", g.node("Clip", "x", g.const(-.5), g.const(1.)))
        g.out("ClipUp", g.node("Clip", "x", "", g.const(.2)))
    else:
        g.out("Clip", g.node("Clip", "x", min=-.5, max=1.))
        g.out("ClipUp", g.node("Clip", "x", max=.2))
    a, b = (g.node("Split", "x", g.ints(2, 4), axis=1, outputs=2) if late else
            g.node("Split", "x", axis=1, split=[2, 4], outputs=2))
    g.out("Concat", g.node("Concat", b, a, "x", axis=-1))
    weights = g.const(rng.normal(size=(6, 3)))
    g.out("MatMul", g.node("MatMul", "x", weights))
    g.out("MatMul3", g.node("MatMul", cube, weights))
    g.out("MatMulBoth", g.node("MatMul", cube, g.node("Transpose", cube, perm=[0, 2, 1])))
    g.out("MatMulVector", g.node("MatMul", "x", g.const(rng.normal(size=6))))
    turned = g.node("MatMul", g.const(rng.normal(size=(3, 6))), g.node("Transpose", "x"))
    g.out("MatMulLeft", g.node("Transpose", g.node("Add", turned, g.const([[1], [2], [3]]))))
    g.out("Gemm", g.node("Gemm", "x", g.const(rng.normal(size=(3, 6))), g.const([[1, 2, 3]]), transB=1, alpha=.5,
                         beta=2.))
    g.out("GemmA", g.node("Gemm", g.node("Transpose", "x"), weights, g.const(.25), transA=1))
    dense = g.node("Add", g.node("MatMul", "x", weights), g.const([.1, .2, .3]))
    g.out("fused", g.node("Relu", dense))
    g.out("unfused", g.node("Add", dense, g.node("Sigmoid", dense)))
    stats = [g.const(v) for v in (rng.normal(size=4), rng.normal(size=4), rng.normal(size=4), [.5, 1, 2, 3])]
    g.out("BatchNormalization", g.node("BatchNormalization", cube, *stats, epsilon=.01))
    less = g.node("Less", "x", row)
    g.out("Where", g.node("Where", less, g.const(1.5), "x"))
    both = g.node("And", less, g.node("Not", g.node("Greater", g.const(-1.), "x")))
    g.out("And", g.node("Cast", both, to=TensorProto.FLOAT))
    g.out("Cast", g.node("Cast", g.node("Cast", "x", to=TensorProto.INT64), to=TensorProto.FLOAT))
    g.out("CastDouble", g.node("Cast", g.node("Exp", g.node("Cast", "x", to=TensorProto.DOUBLE)),
                               to=TensorProto.FLOAT))
    g.out("Max", g.node("Max", "x", row, g.const(0.)))
    g.out("Mean", g.node("Mean", "x", row, one_column))
    g.out("ArgMax", g.node("Cast", g.node("ArgMax", "x", axis=1), to=TensorProto.FLOAT))
    table = g.const(rng.normal(size=(3, 2)))
    index = g.node("Cast", g.node("Clip", one_column, g.const(0.), g.const(2.)) if opset >= 11 else
                   g.node("Clip", one_column, min=0., max=2.), to=TensorProto.INT64)
    g.out("GatherTable", g.node("Gather", table, index))
    g.out("Expand", g.node("Mul", g.node("Expand", g.const([[2.]]), g.node("Shape", "x")), "x"))
    g.out("Dropout", g.node("Dropout", "x"))
    if late:
        squeezed = g.node("Squeeze", g.node("Unsqueeze", "x", g.ints(0, -1)), g.ints(0))
    else:
        squeezed = g.node("Squeeze", g.node("Unsqueeze", "x", axes=[0, 3]), axes=[0])
    g.out("Squeeze", squeezed)
    if opset >= 17:
        g.out("LayerNormalization", g.node("LayerNormalization", "x", g.const(rng.normal(size=6)),
                                           g.const(rng.normal(size=6))))
    if opset >= 20:
        g.out("Gelu", g.node("Gelu", "x"))
        g.out("GeluTanh", g.node("Gelu", "x", approximate="tanh"))
    if opset >= 14:
        g.out("HardSwish", g.node("HardSwish", "x"))
    save(f"operators_opset{opset}", g.model(), data(6)[0][:11])


def scores():
    """Linear and tree classifiers in every form that files give them, which the standard leaves open."""
    g = Graph(3, 15, ml=3)
    ml = "ai.onnx.ml"
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(ROWS, 3)) * .6 + .4).astype(np.float32)
    transforms = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")
    small = rng.uniform(-.2, .2, size=9)
    for t in transforms:
        shrink = .05 if t == "PROBIT" else 1
        lift = .8 if t == "PROBIT" else 0
        for outputs in (1, 2, 3):
            tag = f"{t}{outputs}"
            c, b = small[:3 * outputs] * shrink, small[-outputs:] * shrink + lift
            labels = {1: [7, 9], 2: [7, 9], 3: [7, 8, 9]}[outputs]
            if t == "PROBIT" and outputs == 1:
                continue  # ONNX Runtime leaves memory as it was
            _, p = g.node("LinearClassifier", "x", outputs=2, domain=ml, coefficients=c, intercepts=b,
                          classlabels_ints=labels, post_transform=t)
            g.out("linear_classifier_" + tag, p)
            r = g.node("LinearRegressor", "x", domain=ml, coefficients=c, intercepts=b, targets=outputs,
                       post_transform=t)
            g.out("linear_regressor_" + tag, r)
    g.out("scaler", g.node("Scaler", "x", domain=ml, offset=[.1, .2, .3], scale=[2., 3., 4.]))
    g.out("scaler_one", g.node("Scaler", "x", domain=ml, offset=[.1], scale=[2.]))
    for norm in ("MAX", "L1", "L2"):
        g.out("normalizer_" + norm, g.node("Normalizer", "x", domain=ml, norm=norm))
    g.out("extractor", g.node("ArrayFeatureExtractor", "x", g.ints(2, 0), domain=ml))
    g.out("binarizer", g.node("Binarizer", "x", domain=ml, threshold=.4))
    save("scores_linear", g.model(), x)

    def trees(prefix, mode, ids, weights):
        """Two trees of three leaves each; ids per leaf."""
        nodes = dict(nodes_treeids=[0] * 5 + [1] * 5, nodes_nodeids=[0, 1, 2, 3, 4] * 2,
                     nodes_featureids=[0, 1, 0, 0, 0, 2, 0, 0, 0, 0],
                     nodes_modes=[mode, mode, "LEAF", "LEAF", "LEAF"] * 2,
                     nodes_values=[.5, .25, 0, 0, 0, .4, .6, 0, 0, 0],
                     nodes_truenodeids=[1, 3, 0, 0, 0] * 2, nodes_falsenodeids=[2, 4, 0, 0, 0] * 2,
                     nodes_missing_value_tracks_true=[0] * 10)
        leaves = [(t, leaf) for t in (0, 1) for leaf in (2, 3, 4)]
        votes = [(t, leaf, i) for t, leaf in leaves for i in ids]
        nodes[prefix + "_treeids"] = [v[0] for v in votes]
        nodes[prefix + "_nodeids"] = [v[1] for v in votes]
        nodes[prefix + "_ids"] = [v[2] for v in votes]
        nodes[prefix + "_weights"] = [weights[k % len(weights)] for k in range(len(votes))]
        return nodes

    positive, mixed = [.1, .2, .05, .15, .3, .25, .12], [.1, -.2, .05, -.15, .3, -.25, .12]
    for t in transforms:
        g = Graph(3, 15, ml=3)
        for name, weights in (("positive", positive), ("mixed", mixed)):
            if t == "PROBIT" and name == "mixed":
                continue
            for ids, classes in (([0], 2), ([1], 2), ([0, 1], 2), ([0, 1, 2], 3)):
                for base in ([], [.05], [.05, .1], [.05, .1, .15]):
                    if len(base) not in (0, classes) and not (classes == 2 and len(base) == 1):
                        continue
                    if t == "PROBIT" and classes == 2 and ids != [0, 1]:
                        continue
                    more = {"base_values": base} if base else {}
                    _, p = g.node("TreeEnsembleClassifier", "x", outputs=2, domain=ml,
                                  classlabels_int64s=list(range(classes)), post_transform=t, **more,
                                  **trees("class", "BRANCH_LEQ", ids, weights))
                    g.out(f"class_{t}_{name}_{''.join(map(str, ids))}_{len(base)}", p)
        save("scores_trees_" + t.lower(), g.model(), x)

    g = Graph(3, 15, ml=3)
    grid = np.round(x * 4) / 4 + np.float32(0)  # ties with thresholds
    grid[:6] = [[.5, .25, .4], [.5, .6, .4], [.25, .25, .25], [.4, .6, .6], [.5, .5, .5], [0, 0, 0]]
    for mode in ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"):
        r = g.node("TreeEnsembleRegressor", "x", domain=ml, n_targets=1, **trees("target", mode, [0], mixed))
        g.out("mode_" + mode, r)
    for how in ("SUM", "AVERAGE", "MIN", "MAX"):
        for targets, base in ((1, []), (1, [.5]), (2, []), (2, [.5, -.5])):
            more = {"base_values": base} if base else {}
            r = g.node("TreeEnsembleRegressor", "x", domain=ml, n_targets=targets, aggregate_function=how, **more,
                       **trees("target", "BRANCH_LEQ", list(range(targets)), mixed))
            g.out(f"aggregate_{how}_{targets}_{len(base)}", r)
    for t in transforms[1:]:
        for targets in (1, 2):
            r = g.node("TreeEnsembleRegressor", "x", domain=ml, n_targets=targets, post_transform=t,
                       **trees("target", "BRANCH_LEQ", list(range(targets)), positive))
            g.out(f"transform_{t}_{targets}", r)
    save("scores_tree_regressor", g.model(), grid)

    g = Graph(3, 15, ml=3, kind=TensorProto.DOUBLE)  # thresholds and weights as tensors of doubles
    for prefix, op in (("target", "TreeEnsembleRegressor"), ("class", "TreeEnsembleClassifier")):
        said = trees(prefix, "BRANCH_LEQ", [0, 1], mixed)
        for key in ("nodes_values", prefix + "_weights"):
            said[key + "_as_tensor"] = numpy_helper.from_array(np.array(said.pop(key)) + 1e-9)
        if prefix == "target":
            g.out("regressor", g.node(op, "x", domain=ml, n_targets=2, **said))
        else:
            g.out("classifier", g.node(op, "x", domain=ml, outputs=2, classlabels_strings=["no", "yes"],
                                       post_transform="SOFTMAX", **said)[1])
    save("scores_tree_double", g.model(), grid)


def new_trees(kind, name, opset, ml=5):
    """TreeEnsemble of ai.onnx.ml 5, all modes and set membership."""
    g = Graph(3, opset, ml=ml, kind=kind)
    dtype = np.float32 if kind == TensorProto.FLOAT else np.float64

    rng = np.random.default_rng(4)

    def tensor(values, as_type=dtype):
        return numpy_helper.from_array(np.asarray(values, as_type))

    for how in range(4):
        for mode in (0, 1, 2, 3, 4, 5):
            r = g.node("TreeEnsemble", "x", domain="ai.onnx.ml", n_targets=2, aggregate_function=how, post_transform=0,
                       tree_roots=[0, 2], nodes_modes=tensor([mode, mode, mode], np.uint8),
                       nodes_featureids=[0, 1, 2], nodes_splits=tensor([.5, .25, .5]),
                       nodes_truenodeids=[1, 0, 2], nodes_trueleafs=[0, 1, 1],
                       nodes_falsenodeids=[1, 2, 3], nodes_falseleafs=[1, 1, 1],
                       leaf_targetids=[0, 1, 0, 1], leaf_weights=tensor([1.5, -2.25, .75, 3.5]))
            g.out(f"ensemble_{how}_{mode}", r, kind)
    if kind == TensorProto.FLOAT:
        r = g.node("TreeEnsemble", "x", domain="ai.onnx.ml", n_targets=1, tree_roots=[0],
                   nodes_modes=tensor([6, 6], np.uint8), nodes_featureids=[0, 1], nodes_splits=tensor([0, 0]),
                   nodes_truenodeids=[0, 1], nodes_trueleafs=[1, 1], nodes_falsenodeids=[1, 2],
                   nodes_falseleafs=[0, 1], leaf_targetids=[0, 0, 0], leaf_weights=tensor([1, 2, 4]),
                   membership_values=tensor([.5, 1, np.nan, .25, .75, np.nan]))
        g.out("ensemble_member", r, kind)
    x = np.round((rng.normal(size=(ROWS, 3)) * .5 + .5) * 4) / 4
    save(name, g.model(), x, "all")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for opset in (9, 12, 13, 18, 21, 23):
        operators(opset)
    scores()
    new_trees(TensorProto.FLOAT, "tree_ensemble", 21)
    new_trees(TensorProto.DOUBLE, "tree_ensemble_double", 22)
    sklearn_models()
    boosted_models()
    torch_models()
    (OUT / "models.txt").write_text("\n".join(lines) + "\n")
