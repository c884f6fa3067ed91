#include "emshap/io/onnx_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "emshap/core/error.h"
#include "io/graph_array.h"
#include "io/onnx_message.h"

namespace emshap::io {
namespace {

using Type = onnx::TensorProto;
using Arguments = std::vector<const Array*>;  // null: an optional input left out

/// One node: its attributes with ONNX's defaults, and its results.
struct Call {
  const onnx::NodeProto& node;
  Arguments in;
  std::vector<Array> out;

  const Array& at(std::size_t i) const {
    if (i >= in.size() || in[i] == nullptr) throw IoError(fmt::format("input {} is missing", i));
    return *in[i];
  }
  const onnx::AttributeProto* attribute(const char* name) const {
    for (const auto& a : node.attribute())
      if (a.name() == name) return &a;
    return nullptr;
  }
  std::int64_t integer(const char* name, std::int64_t otherwise) const {
    const auto* a = attribute(name);
    return a != nullptr ? a->i() : otherwise;
  }
  double real(const char* name, double otherwise) const {
    const auto* a = attribute(name);
    return a != nullptr ? static_cast<double>(a->f()) : otherwise;
  }
  std::vector<std::int64_t> integers(const char* name) const {
    const auto* a = attribute(name);
    if (a == nullptr) throw IoError(fmt::format("attribute '{}' is missing", name));
    return {a->ints().begin(), a->ints().end()};
  }
  /// The only entry of input i, a list of integers.
  std::int64_t single(std::size_t i) const {
    if (at(i).elements() != 1)
      throw IoError(fmt::format("input {} has {} entries, expected 1", i, at(i).elements()));
    return static_cast<std::int64_t>(at(i).v[0]);
  }
};

using Operator = void (*)(Call&);
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

/// Of arrays of one shape.
void mean(Call& c) {
  Array sum = c.at(0);
  for (std::size_t i = 1; i < c.in.size(); ++i)
    sum = broadcast(sum.type, sum, c.at(i), [](double a, double b) { return a + b; });
  const auto count = static_cast<double>(c.in.size());
  c.out = {each(sum, [&](double a) { return a / count; })};
}

void gemm(Call& c) {
  Array out = product(c.at(0), c.at(1));
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

const std::unordered_map<std::string, Operator>& operators() {
  static const std::unordered_map<std::string, Operator> table{
      {"Abs", [](Call& c) { unary(c, [](double a) { return std::abs(a); }); }},
      {"Add", [](Call& c) { binary(c, [](double a, double b) { return a + b; }); }},
      {"And", [](Call& c) { relation(c, [](double a, double b) { return a != 0 && b != 0; }); }},
      {"Cast", cast},
      {"Concat", [](Call& c) { c.out = {concatenated(c.in, c.integer("axis", 0))}; }},
      {"Div", [](Call& c) { binary(c, [](double a, double b) { return a / b; }); }},
      {"Equal", [](Call& c) { relation(c, [](double a, double b) { return a == b; }); }},
      {"Erf", [](Call& c) { unary(c, [](double a) { return std::erf(a); }); }},
      {"Exp", [](Call& c) { unary(c, [](double a) { return std::exp(a); }); }},
      {"Expand", expand},
      {"GRU", gru},
      {"Gather",
       [](Call& c) { c.out = {gathered(c.at(0), c.at(1), axis_of(c.at(0), c.integer("axis", 0)))}; }},
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
      {"LessOrEqual", [](Call& c) { relation(c, [](double a, double b) { return a <= b; }); }},
      {"Log", [](Call& c) { unary(c, [](double a) { return std::log(a); }); }},
      {"LogSoftmax",
       [](Call& c) { c.out = {log_softmax(c.at(0), axis_of(c.at(0), c.integer("axis", -1)))}; }},
      {"MatMul", [](Call& c) { c.out = {product(c.at(0), c.at(1))}; }},
      {"Max", [](Call& c) { binary(c, [](double a, double b) { return std::isnan(a) || a > b ? a : b; }); }},
      {"Mean", mean},
      {"Min", [](Call& c) { binary(c, [](double a, double b) { return std::isnan(a) || a < b ? a : b; }); }},
      {"Mul", [](Call& c) { binary(c, [](double a, double b) { return a * b; }); }},
      {"ReduceSum",
       [](Call& c) {
         c.out = {summed(c.at(0), axis_of(c.at(0), c.single(1)), c.integer("keepdims", 1) != 0)};
       }},
      {"Relu", [](Call& c) { unary(c, [](double a) { return a < 0 ? 0 : a; }); }},
      {"Reshape", reshape},
      {"Shape", shape},
      {"Sigmoid", [](Call& c) { unary(c, [](double a) { return 1 / (1 + std::exp(-a)); }); }},
      {"Slice", slice},
      {"Softplus",
       [](Call& c) {
         unary(c, [](double a) { return std::max(a, 0.0) + std::log1p(std::exp(-std::abs(a))); });
       }},
      {"Split", split},
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

using Values = std::unordered_map<std::string, Array>;

void run_node(const onnx::NodeProto& node, Values& values) {
  const auto found = operators().find(node.op_type());
  if (found == operators().end()) throw IoError("the operator is not supported");
  Call call{node, {}, {}};
  for (const std::string& name : node.input()) {
    const auto value = values.find(name);
    if (!name.empty() && value == values.end()) throw IoError(fmt::format("there is no value '{}'", name));
    call.in.push_back(name.empty() ? nullptr : &value->second);
  }
  found->second(call);
  for (int i = 0; i < node.output_size(); ++i)
    if (!node.output(i).empty()) values[node.output(i)] = std::move(call.out.at(static_cast<std::size_t>(i)));
}

Array from_tensor(const ConstTensorView& view) {
  Array a{Type::FLOAT, {view.rows(), view.cols()}, {}};
  for (std::int64_t r = 0; r < view.rows(); ++r)
    for (std::int64_t c = 0; c < view.cols(); ++c)
      a.v.push_back(static_cast<double>(view.ptr<float>()[r * view.row_stride() + c]));
  return a;
}

Shape shape_of(const std::vector<std::int64_t>& dims) {
  switch (dims.size()) {
    case 0:
      return {};
    case 1:
      return {dims[0]};
    case 2:
      return {dims[0], dims[1]};
    case 3:
      return {dims[0], dims[1], dims[2]};
    default:
      return {dims.at(0), dims.at(1), dims.at(2), dims.at(3)};
  }
}

}  // namespace

std::map<std::string, Tensor> run_onnx(const OnnxModel& model,
                                       const std::map<std::string, ConstTensorView>& inputs) {
  Values values;
  for (const OnnxTensor& tensor : model.initialisers()) {
    Array a{Type::FLOAT, tensor.extents, {}};
    const auto read = [&]<class T>(std::int32_t type, T) {
      const std::vector<T> stored = model.values<T>(tensor.name);
      a.type = type;
      a.v.assign(stored.begin(), stored.end());
    };
    if (tensor.type == "float32") read(Type::FLOAT, float{});
    if (tensor.type == "float64") read(Type::DOUBLE, double{});
    if (tensor.type == "int64") read(Type::INT64, std::int64_t{});
    values[tensor.name] = std::move(a);
  }
  for (const OnnxValue& input : model.inputs()) {
    const auto given = inputs.find(input.name);
    if (given == inputs.end())
      throw ConfigError(fmt::format("{}: input '{}' is not given", model.file(), input.name));
    values[input.name] = from_tensor(given->second);
  }
  // Values go with their last reader: an unrolled graph would keep a matrix for each of its steps.
  const auto& nodes = OnnxMessage::of(model).graph().node();
  std::unordered_map<std::string, const onnx::NodeProto*> last;
  for (const onnx::NodeProto& node : nodes) {
    for (const std::string& name : node.output()) last[name] = &node;  // of values that nobody reads
    for (const std::string& name : node.input()) last[name] = &node;
  }
  for (const OnnxValue& output : model.outputs()) last.erase(output.name);
  const auto forget = [&](const onnx::NodeProto& node, const auto& names) {
    for (const std::string& name : names)
      if (const auto found = last.find(name); found != last.end() && found->second == &node)
        values.erase(name);
  };
  for (const onnx::NodeProto& node : nodes) {
    try {
      run_node(node, values);
      forget(node, node.input());
      forget(node, node.output());
    } catch (const std::exception& error) {
      throw IoError(
          fmt::format("{}: node '{}' ({}): {}", model.file(), node.name(), node.op_type(), error.what()));
    }
  }
  std::map<std::string, Tensor> outputs;
  for (const OnnxValue& output : model.outputs()) {
    const auto found = values.find(output.name);
    if (found == values.end() || found->second.type != Type::FLOAT || found->second.rank() > Shape::max_rank)
      throw IoError(fmt::format("{}: output '{}' is no float32 array", model.file(), output.name));
    const Array& a = found->second;
    Tensor tensor(shape_of(a.dims));
    std::transform(a.v.begin(), a.v.end(), tensor.ptr<float>(),
                   [](double value) { return static_cast<float>(value); });
    outputs.emplace(output.name, std::move(tensor));
  }
  return outputs;
}

}  // namespace emshap::io
