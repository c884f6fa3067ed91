#include "io/onnx_operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "emshap/core/error.h"

namespace emshap::io {
namespace {

using Type = onnx::TensorProto;

template <class F>
Array each(const Array& a, const F& f) {
  Array out = a;
  for (double& value : out.v) value = f(value);
  out.round();
  return out;
}
template <class F>
void binary(Call& c, const F& f) {
  c.out = {broadcast(c.at(0).type, c.at(0), c.at(1), f)};
}
template <class F>
void several(Call& c, const F& f) {
  Array out = c.at(0);
  for (std::size_t i = 1; i < c.in.size(); ++i) out = broadcast(out.type, out, c.at(i), f);
  c.out = {std::move(out)};
}
template <class F>
void relation(Call& c, const F& f) {
  c.out = {broadcast(Type::BOOL, c.at(0), c.at(1), [&](double a, double b) { return f(a, b) ? 1.0 : 0.0; })};
}
template <class F>
void unary(Call& c, const F& f) {
  c.out = {each(c.at(0), f)};
}

void cast(Call& c) {
  Array out = c.at(0);
  out.type = static_cast<std::int32_t>(c.integer("to", Type::FLOAT));
  if (out.type == Type::INT64)
    for (double& value : out.v) value = std::trunc(value);
  if (out.type == Type::BOOL)
    for (double& value : out.v) value = value != 0 ? 1 : 0;
  out.round();
  c.out = {std::move(out)};
}

void shape(Call& c) {
  const std::int64_t rank = c.at(0).rank();
  const std::int64_t begin = c.integer("start", 0), end = std::min(c.integer("end", rank), rank);
  Array out{Type::INT64, {end - begin}, {}};
  for (std::int64_t i = begin; i < end; ++i)
    out.v.push_back(static_cast<double>(c.at(0).dims.at(static_cast<std::size_t>(i))));
  c.out = {std::move(out)};
}

std::vector<std::int64_t> as_extents(const Array& list) {
  return {list.v.begin(), list.v.end()};
}

void expand(Call& c) {
  const Array ones{c.at(0).type, as_extents(c.at(1)), {}};
  Array filled = Array::zeros(c.at(0).type, joined(c.at(0).dims, ones.dims));
  c.out = {broadcast(c.at(0).type, c.at(0), filled, [](double a, double) { return a; })};
}

void reshape(Call& c) {
  Array out = c.at(0);
  out.dims = as_extents(c.at(1));
  const auto open = std::find(out.dims.begin(), out.dims.end(), -1);
  if (open != out.dims.end()) {
    *open = 1;
    const std::int64_t others = Array::zeros(out.type, out.dims).elements();
    *open = others > 0 ? out.elements() / others : 0;
  }
  if (Array::zeros(out.type, out.dims).elements() != out.elements()) throw IoError("the shapes do not fit");
  c.out = {std::move(out)};
}

void unsqueeze(Call& c) {
  Array out = c.at(0);
  out.dims.insert(out.dims.begin() + c.single(1), 1);
  c.out = {std::move(out)};
}

void squeeze(Call& c) {
  Array out = c.at(0);
  const std::size_t axis = axis_of(out, c.single(1));
  if (out.dims[axis] != 1)
    throw IoError(fmt::format("axis {} has extent {}, expected 1", axis, out.dims[axis]));
  out.dims.erase(out.dims.begin() + static_cast<std::ptrdiff_t>(axis));
  c.out = {std::move(out)};
}

void split(Call& c) {
  const std::size_t axis = axis_of(c.at(0), c.integer("axis", 0));
  const std::int64_t parts = c.node.output_size(), extent = c.at(0).dims[axis] / parts;
  for (std::int64_t i = 0; i < parts; ++i)
    c.out.push_back(sliced(c.at(0), axis, i * extent, (i + 1) * extent));
}

void slice(Call& c) {
  const std::size_t axis = axis_of(c.at(0), c.single(3));
  c.out = {sliced(c.at(0), axis, c.single(1), std::min(c.single(2), c.at(0).dims[axis]))};
}

/// Inference on (rows, columns, ...).
void batch_normalization(Call& c) {
  Array out = c.at(0);
  const auto [rows, columns, after] = around(out, 1);
  const double epsilon = c.real("epsilon", 1e-5);
  for (std::int64_t i = 0; i < rows * columns * after; ++i) {
    const auto column = static_cast<std::size_t>(i / after % columns);
    const double scale = c.at(1).v.at(column) / std::sqrt(c.at(4).v.at(column) + epsilon);
    double& value = out.v[static_cast<std::size_t>(i)];
    value = (value - c.at(3).v.at(column)) * scale + c.at(2).v.at(column);
  }
  out.round();
  c.out = {std::move(out)};
}

void reduce_mean(Call& c) {
  const std::vector<std::int64_t> axes = c.integers("axes");
  if (axes.size() != 1) throw IoError("only one axis is supported");
  const std::size_t axis = axis_of(c.at(0), axes[0]);
  const auto extent = static_cast<double>(c.at(0).dims[axis]);
  c.out = {each(summed(c.at(0), axis, c.integer("keepdims", 1) != 0), [&](double a) { return a / extent; })};
}

void flatten(Call& c) {
  Array out = c.at(0);
  const std::int64_t axis = c.integer("axis", 1);
  std::int64_t before = 1;
  for (std::int64_t i = 0; i < axis; ++i) before *= out.dims.at(static_cast<std::size_t>(i));
  out.dims = {before, before == 0 ? 0 : out.elements() / before};
  c.out = {std::move(out)};
}

void mean(Call& c) {
  several(c, [](double a, double b) { return a + b; });
  const Array sum = std::move(c.out[0]);
  const auto count = static_cast<double>(c.in.size());
  c.out = {each(sum, [&](double a) { return a / count; })};
}

void gemm(Call& c) {
  const auto turned = [&](const Array& a, const char* name) {
    return c.integer(name, 0) != 0 ? transposed(a, {1, 0}) : a;
  };
  Array out = product(turned(c.at(0), "transA"), turned(c.at(1), "transB"));
  const double alpha = c.real("alpha", 1);
  if (alpha != 1) out = each(out, [&](double a) { return alpha * a; });
  if (c.in.size() > 2 && c.real("beta", 1) != 1) throw IoError("beta is not 1, which is not supported");
  if (c.in.size() > 2) out = broadcast(out.type, out, c.at(2), [](double a, double b) { return a + b; });
  c.out = {std::move(out)};
}

void gru(Call& c) {
  if (c.integer("linear_before_reset", 0) != 1 || c.in.size() != 6 || c.in[4] != nullptr)
    throw IoError(
        "only linear_before_reset = 1 with an initial state and without sequence_lens is supported");
  c.out.push_back(gru_states(c.at(0), c.at(1), c.at(2), c.at(3), c.at(5)));
  const Array& all = c.out[0];
  Array last = all.dims[0] == 0 ? c.at(5) : sliced(all, 0, all.dims[0] - 1, all.dims[0]);
  last.dims = c.at(5).dims;
  c.out.push_back(std::move(last));
}

/// visit(i, j): element i of `indices` stands for element j of `a` along the axis.
template <class Visit>
void for_each_index(const Array& a, const Array& indices, std::size_t axis, const Visit& visit) {
  if (indices.rank() != a.rank()) throw IoError("indices have another rank than the values");
  for (std::size_t i = 0; i < a.dims.size(); ++i)
    if (i != axis && indices.dims[i] > a.dims[i]) throw IoError("there are more indices than values");
  std::vector<std::int64_t> at(a.dims.size(), 0);
  for (std::int64_t i = 0; i < indices.elements(); ++i) {
    std::int64_t j = 0;
    for (std::size_t d = 0; d < at.size(); ++d) {
      std::int64_t place = at[d];
      if (d == axis) {
        place = static_cast<std::int64_t>(indices.v[static_cast<std::size_t>(i)]);
        if (place < 0) place += a.dims[d];
        if (place < 0 || place >= a.dims[d])
          throw IoError(fmt::format("entry {} of {} was asked for", place, a.dims[d]));
      }
      j = j * a.dims[d] + place;
    }
    visit(static_cast<std::size_t>(i), static_cast<std::size_t>(j));
    for (std::size_t d = at.size(); d-- > 0;) {
      if (++at[d] < indices.dims[d]) break;
      at[d] = 0;
    }
  }
}

void gather_elements(Call& c) {
  Array out = Array::zeros(c.at(0).type, c.at(1).dims);
  for_each_index(c.at(0), c.at(1), axis_of(c.at(0), c.integer("axis", 0)),
                 [&](std::size_t i, std::size_t j) { out.v[i] = c.at(0).v[j]; });
  c.out = {std::move(out)};
}

void scatter_elements(Call& c) {
  Array out = c.at(0);
  for_each_index(c.at(0), c.at(1), axis_of(c.at(0), c.integer("axis", 0)),
                 [&](std::size_t i, std::size_t j) { out.v[j] = c.at(2).v.at(i); });
  c.out = {std::move(out)};
}

/// Whole entries along the first axis.
void scatter_entries(Call& c) {
  Array out = c.at(0);
  const Array &where = c.at(1), &values = c.at(2);
  if (where.rank() != 2 || where.dims[1] != 1 || values.rank() != out.rank())
    throw IoError("only indices of entries along the first axis are supported");
  const Around shape = around(out, 0);
  if (values.elements() != where.elements() * shape.after) throw IoError("the shapes do not fit");
  for (std::int64_t i = 0; i < where.elements(); ++i) {
    const auto entry = static_cast<std::int64_t>(where.v[static_cast<std::size_t>(i)]);
    if (entry < 0 || entry >= shape.extent)
      throw IoError(fmt::format("entry {} of {} was asked for", entry, shape.extent));
    const auto from = values.v.begin() + static_cast<std::ptrdiff_t>(i * shape.after);
    std::copy_n(from, shape.after, out.v.begin() + static_cast<std::ptrdiff_t>(entry * shape.after));
  }
  c.out = {std::move(out)};
}

/// Indices of a list's entries other than 0.
void non_zero(Call& c) {
  if (c.at(0).rank() != 1) throw IoError("only lists are supported");
  Array out{Type::INT64, {1, 0}, {}};
  for (std::size_t i = 0; i < c.at(0).v.size(); ++i)
    if (c.at(0).v[i] != 0) out.v.push_back(static_cast<double>(i));
  out.dims[1] = out.elements();
  c.out = {std::move(out)};
}

void range(Call& c) {
  const double begin = c.at(0).v.at(0), end = c.at(1).v.at(0), step = c.at(2).v.at(0);
  Array out{c.at(0).type, {0}, {}};
  if (!(step > 0)) throw IoError(fmt::format("a step of {} is not supported", step));
  for (double value = begin; value < end; value += step) out.v.push_back(value);
  out.dims[0] = static_cast<std::int64_t>(out.v.size());
  c.out = {std::move(out)};
}

void softmax(Call& c) {
  const Array logs = log_softmax(c.at(0), axis_of(c.at(0), c.integer("axis", -1)));
  c.out = {each(logs, [](double a) { return std::exp(a); })};
}

void clip(Call& c) {
  const auto limit = [&](std::size_t i, double otherwise) {
    return i < c.in.size() && c.in[i] != nullptr ? c.in[i]->v.at(0) : otherwise;
  };
  const double low = limit(1, -HUGE_VAL), high = limit(2, HUGE_VAL);
  c.out = {each(c.at(0), [&](double a) { return std::min(std::max(a, low), high); })};
}

const std::unordered_map<std::string, Operator>& operators() {
  static const std::unordered_map<std::string, Operator> table{
      {"Abs", [](Call& c) { unary(c, [](double a) { return std::abs(a); }); }},
      {"Add", [](Call& c) { binary(c, [](double a, double b) { return a + b; }); }},
      {"And", [](Call& c) { relation(c, [](double a, double b) { return a != 0 && b != 0; }); }},
      {"BatchNormalization", batch_normalization},
      {"Cast", cast},
      {"Ceil", [](Call& c) { unary(c, [](double a) { return std::ceil(a); }); }},
      {"Clip", clip},
      {"Concat", [](Call& c) { c.out = {concatenated(c.in, c.integer("axis", 0))}; }},
      {"Cos", [](Call& c) { unary(c, [](double a) { return std::cos(a); }); }},
      {"Div", [](Call& c) { binary(c, [](double a, double b) { return a / b; }); }},
      {"Equal", [](Call& c) { relation(c, [](double a, double b) { return a == b; }); }},
      {"Elu",
       [](Call& c) {
         const double scale = c.real("alpha", 1);
         unary(c, [&](double a) { return a < 0 ? scale * std::expm1(a) : a; });
       }},
      {"Erf", [](Call& c) { unary(c, [](double a) { return std::erf(a); }); }},
      {"Exp", [](Call& c) { unary(c, [](double a) { return std::exp(a); }); }},
      {"Expand", expand},
      {"Flatten", flatten},
      {"Floor", [](Call& c) { unary(c, [](double a) { return std::floor(a); }); }},
      {"GRU", gru},
      {"Gather",
       [](Call& c) { c.out = {gathered(c.at(0), c.at(1), axis_of(c.at(0), c.integer("axis", 0)))}; }},
      {"GatherElements", gather_elements},
      {"Gemm", gemm},
      {"Greater", [](Call& c) { relation(c, [](double a, double b) { return a > b; }); }},
      {"GreaterOrEqual", [](Call& c) { relation(c, [](double a, double b) { return a >= b; }); }},
      {"Identity", [](Call& c) { c.out = {c.at(0)}; }},
      {"IsNaN",
       [](Call& c) {
         c.out = {each(c.at(0), [](double a) { return std::isnan(a) ? 1.0 : 0.0; })};
         c.out[0].type = Type::BOOL;
       }},
      {"LeakyRelu",
       [](Call& c) {
         const double slope = c.real("alpha", .01);
         unary(c, [&](double a) { return a < 0 ? slope * a : a; });
       }},
      {"Less", [](Call& c) { relation(c, [](double a, double b) { return a < b; }); }},
      {"LessOrEqual", [](Call& c) { relation(c, [](double a, double b) { return a <= b; }); }},
      {"Log", [](Call& c) { unary(c, [](double a) { return std::log(a); }); }},
      {"LogSoftmax",
       [](Call& c) { c.out = {log_softmax(c.at(0), axis_of(c.at(0), c.integer("axis", -1)))}; }},
      {"MatMul", [](Call& c) { c.out = {product(c.at(0), c.at(1))}; }},
      {"Max", [](Call& c) { several(c, [](double a, double b) { return std::isnan(a) || a > b ? a : b; }); }},
      {"Mean", mean},
      {"Min", [](Call& c) { several(c, [](double a, double b) { return std::isnan(a) || a < b ? a : b; }); }},
      {"Mul", [](Call& c) { binary(c, [](double a, double b) { return a * b; }); }},
      {"Neg", [](Call& c) { unary(c, [](double a) { return -a; }); }},
      {"Not", [](Call& c) { unary(c, [](double a) { return a == 0 ? 1.0 : 0.0; }); }},
      {"NonZero", non_zero},
      {"Or", [](Call& c) { relation(c, [](double a, double b) { return a != 0 || b != 0; }); }},
      {"Pow", [](Call& c) { binary(c, [](double a, double b) { return std::pow(a, b); }); }},
      {"Range", range},
      {"Reciprocal", [](Call& c) { unary(c, [](double a) { return 1 / a; }); }},
      {"ReduceMean", reduce_mean},
      {"ReduceSum",
       [](Call& c) {
         c.out = {summed(c.at(0), axis_of(c.at(0), c.single(1)), c.integer("keepdims", 1) != 0)};
       }},
      {"Relu", [](Call& c) { unary(c, [](double a) { return a < 0 ? 0 : a; }); }},
      {"Reshape", reshape},
      {"Round", [](Call& c) { unary(c, [](double a) { return std::nearbyint(a); }); }},
      {"ScatterElements", scatter_elements},
      {"ScatterND", scatter_entries},
      {"Shape", shape},
      {"Sigmoid", [](Call& c) { unary(c, [](double a) { return 1 / (1 + std::exp(-a)); }); }},
      {"Sign", [](Call& c) { unary(c, [](double a) { return a > 0   ? 1.0
                                                            : a < 0 ? -1.0
                                                                    : a; }); }},
      {"Sin", [](Call& c) { unary(c, [](double a) { return std::sin(a); }); }},
      {"Slice", slice},
      {"Softmax", softmax},
      {"Softplus",
       [](Call& c) {
         unary(c, [](double a) { return std::max(a, 0.0) + std::log1p(std::exp(-std::abs(a))); });
       }},
      {"Softsign", [](Call& c) { unary(c, [](double a) { return a / (1 + std::abs(a)); }); }},
      {"Split", split},
      {"Sqrt", [](Call& c) { unary(c, [](double a) { return std::sqrt(a); }); }},
      {"Squeeze", squeeze},
      {"Sub", [](Call& c) { binary(c, [](double a, double b) { return a - b; }); }},
      {"Tanh", [](Call& c) { unary(c, [](double a) { return std::tanh(a); }); }},
      {"Transpose", [](Call& c) { c.out = {transposed(c.at(0), c.integers("perm"))}; }},
      {"Unsqueeze", unsqueeze},
      {"Where",
       [](Call& c) {
         c.out = {broadcast(c.at(1).type, c.at(0), c.at(1), c.at(2),
                            [](double which, double a, double b) { return which != 0 ? a : b; })};
       }},
  };
  return table;
}

}  // namespace

Operator find_operator(const std::string& op_type) {
  const auto found = operators().find(op_type);
  return found == operators().end() ? nullptr : found->second;
}

}  // namespace emshap::io
