// Operators that work entry by entry.
#include <fmt/format.h>

#include <cmath>

#include "emshap/core/error.h"
#include "emshap/ops/activation.h"
#include "io/foreign_broadcast.h"
#include "io/foreign_node.h"

namespace emshap::io::foreign {
namespace {

constexpr auto f32 = Element::f32;
constexpr auto f64 = Element::f64;
constexpr auto i64 = Element::i64;
constexpr auto boolean = Element::boolean;

template <class T, class Y = T, class F>
void unary(Node& node, const F& f) {
  const int x = node.id(0);
  const int y = node.out(0, element_of<Y>(), node.in(0).dims);
  const int from = node.storage(x), to = node.storage(y);
  const std::int64_t size = node.plan().storages[n(to)].size;
  node.emit({x}, {y}, [=](const Frame& frame) {
    map_entries(frame.rows * size, frame.get<T>(from), frame.get<Y>(to), f);
  });
}

template <class F>
void real_unary(Node& node, const F& f) {
  node.expect(0, {f32, f64});
  if (node.in(0).element == f32)
    unary<float>(node, f);
  else
    unary<double>(node, f);
}

/// Functions of one real number that ONNX Runtime computes in the input's type, too.
template <class F>
void lower_real(Node& node, const F& f) {
  real_unary(node, f);
  node.write_same();
}

/// With the library's own loops where the type is f32 and rows are many.
template <Activation activation, bool written = true, class F>
void lower_activation(Node& node, const F& f, const GraphAttributes& attributes = {}) {
  node.expect(0, {f32, f64});
  if (node.in(0).element == f32 && node.in(0).per_row()) {
    if (!fuse_activation(node, activation)) {
      const int x = node.id(0);
      const int y = node.out(0, f32, node.in(0).dims);
      const int from = node.storage(x), to = node.storage(y);
      const std::int64_t size = node.plan().storages[n(to)].size;
      node.emit({x}, {y}, [=](const Frame& frame) {
        const Shape shape{frame.rows, size};
        ops::activation_forward(frame.ctx, activation, {frame.get<float>(from), shape, DType::f32},
                                {frame.get<float>(to), shape, DType::f32});
      });
    }
  } else {
    real_unary(node, f);
  }
  if (written) node.write_same(attributes);
}

template <class T>
T sigmoid(T x) {
  const T e = std::exp(-std::abs(x));
  return (x >= 0 ? T(1) : e) / (T(1) + e);
}
template <class T>
T softplus(T x) {
  return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)));
}
template <class T>
T gelu(T x) {
  return x * T(0.5) * (T(1) + std::erf(x * T(0.70710678118654752440)));
}

void relu(Node& node) {
  lower_activation<Activation::relu>(node, [](auto x) { return x > 0 ? x : static_cast<decltype(x)>(0); });
}
void tanh(Node& node) {
  lower_activation<Activation::tanh>(node, [](auto x) { return std::tanh(x); });
}
void logistic(Node& node) {
  lower_activation<Activation::sigmoid>(node, [](auto x) { return sigmoid(x); });
}
void soft_plus(Node& node) {
  lower_activation<Activation::softplus>(node, [](auto x) { return softplus(x); });
}

void leaky_relu(Node& node) {
  const float alpha = node.real("alpha", .01F);
  const auto f = [alpha](auto x) { return x >= 0 ? x : static_cast<decltype(x)>(alpha) * x; };
  if (alpha == .01F) return lower_activation<Activation::leaky_relu>(node, f, {{"alpha", alpha}});
  real_unary(node, f);
  node.write_same({{"alpha", alpha}});
}

void elu(Node& node) {
  const float alpha = node.real("alpha", 1);
  real_unary(node,
             [alpha](auto x) { return x >= 0 ? x : static_cast<decltype(x)>(alpha) * (std::expm1(x)); });
  node.write_same({{"alpha", alpha}});
}

void selu(Node& node) {
  const float alpha = node.real("alpha", 1.67326319217681884765625F);
  const float gamma = node.real("gamma", 1.05070102214813232421875F);
  real_unary(node, [=](auto x) {
    using T = decltype(x);
    return static_cast<T>(gamma) * (x > 0 ? x : static_cast<T>(alpha) * std::expm1(x));
  });
  node.write_same({{"alpha", alpha}, {"gamma", gamma}});
}

void celu(Node& node) {
  const float alpha = node.real("alpha", 1);
  if (alpha == 0) node.fail("its attribute 'alpha' is 0");
  real_unary(node, [alpha](auto x) {
    const auto a = static_cast<decltype(x)>(alpha);
    return x >= 0 ? x : a * std::expm1(x / a);
  });
  node.write_same({{"alpha", alpha}});
}

void thresholded_relu(Node& node) {
  const float alpha = node.real("alpha", 1);
  real_unary(node, [alpha](auto x) { return x > static_cast<decltype(x)>(alpha) ? x : decltype(x)(0); });
  node.write_same({{"alpha", alpha}});
}

/// x tanh(softplus(x)); opset 17 has no Mish.
void mish(Node& node) {
  real_unary(node, [](auto x) { return x * std::tanh(softplus(x)); });
  node.write(
      [](GraphWriter& g, const GraphValues& in) -> GraphValues {
        return {g.op("Mul", {in[0], g.op("Tanh", {g.op("Softplus", {in[0]})})})};
      },
      {node.id(0)}, {node.result()});
}

void hard_sigmoid(Node& node) {
  const float alpha = node.real("alpha", .2F), beta = node.real("beta", .5F);
  real_unary(node, [=](auto x) {
    using T = decltype(x);
    return std::clamp(static_cast<T>(alpha) * x + static_cast<T>(beta), T(0), T(1));
  });
  node.write_same({{"alpha", alpha}, {"beta", beta}});
}

void hard_swish(Node& node) {
  real_unary(node, [](auto x) {
    using T = decltype(x);
    return x * std::clamp(x / T(6) + T(0.5), T(0), T(1));
  });
  node.write_same();
}

/// Opset 17 has no Gelu.
void write_gelu(Node& node) {
  const bool wide = node.in(0).element == f64;
  node.write(
      [wide](GraphWriter& g, const GraphValues& in) -> GraphValues {
        const auto number = [&](double v) { return wide ? g.scalar(v) : g.scalar(static_cast<float>(v)); };
        const GraphValue erf = g.op("Erf", {g.op("Mul", {in[0], number(0.70710678118654752440)})});
        return {g.op("Mul", {g.op("Mul", {in[0], number(0.5)}), g.op("Add", {erf, number(1)})})};
      },
      {node.id(0)}, {node.result()});
}

void gelu_node(Node& node) {
  const std::string form = node.text("approximate", "none");
  if (form == "none") {
    lower_activation<Activation::gelu, false>(node, [](auto x) { return gelu(x); });
    write_gelu(node);
  } else if (form == "tanh") {
    real_unary(node, [](auto x) {
      using T = decltype(x);
      return T(0.5) * x * (T(1) + std::tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x)));
    });
    node.cannot_write({node.result()});
  } else {
    node.fail(fmt::format("its attribute 'approximate' is '{}', expected none or tanh", form));
  }
}

/// Before opset 7 the second operand is laid along an axis of the first, on request only.
Dims legacy_shape(Node& node) {
  Dims shape = node.in(1).dims;
  if (node.opset() >= 7 || node.integer("broadcast", 0) == 0) return shape;
  const std::int64_t rank = node.in(0).rank();
  const std::int64_t axis = node.integer("axis", rank - node.in(1).rank());
  if (axis < 0 || axis > rank - node.in(1).rank()) node.fail(fmt::format("its attribute 'axis' is {}", axis));
  const std::int64_t trailing = rank - axis - node.in(1).rank();
  shape.insert(shape.end(), n(trailing), 1);
  return shape;
}

template <class T, class Y, class F>
void binary_step(Node& node, const Broadcast& b, int y, const F& f) {
  const Operand left = b.operands[0], right = b.operands[1];
  const std::int64_t size = b.size;
  const int to = node.storage(y);
  node.emit({left.value, right.value}, {y}, [=](const Frame& frame) {
    map_entries(frame.rows, size, left, frame.get<T>(left.storage), right, frame.get<T>(right.storage),
                frame.get<Y>(to), f);
  });
}

void expect_alike(Node& node) {
  for (int i = 1; i < node.inputs(); ++i) node.expect(i, {node.in(0).element});
}

/// The second operand as opset 17 wants it.
void write_binary(Node& node, int y, const Dims& shape) {
  if (shape == node.in(1).dims) return node.write_same();
  const bool reshaped = shape.size() != node.in(1).dims.size();
  const std::string op = node.proto().op_type();
  node.write(
      [=](GraphWriter& g, const GraphValues& in) -> GraphValues {
        return {g.op(op, {in[0], reshaped ? g.op("Reshape", {in[1], g.integers(shape)}) : in[1]})};
      },
      {node.id(0), node.id(1)}, {y});
}

template <class F>
void arithmetic(Node& node, const F& f) {
  node.expect(0, {f32, f64, i64});
  expect_alike(node);
  if (f32 == node.in(0).element && fuse_bias(node)) return node.write_same();
  const Dims shape = legacy_shape(node);
  const Broadcast b = broadcast(node, {node.id(0), node.id(1)}, {node.in(0).dims, shape});
  const Element element = node.in(0).element;
  const int y = node.out(0, element, b.dims);
  if (element == f32)
    binary_step<float, float>(node, b, y, f);
  else if (element == f64)
    binary_step<double, double>(node, b, y, f);
  else
    binary_step<std::int64_t, std::int64_t>(node, b, y, f);
  write_binary(node, y, shape);
}

// Integers wrap around, which signed arithmetic of C++ does not promise.
template <class T, class F>
T wrapped(T a, T b, const F& f) {
  if constexpr (std::is_same_v<T, std::int64_t>)
    return static_cast<T>(f(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b)));
  else
    return f(a, b);
}

void add(Node& node) {
  arithmetic(node, [](auto a, auto b) { return wrapped(a, b, [](auto p, auto q) { return p + q; }); });
}
void subtract(Node& node) {
  arithmetic(node, [](auto a, auto b) { return wrapped(a, b, [](auto p, auto q) { return p - q; }); });
}
void multiply(Node& node) {
  arithmetic(node, [](auto a, auto b) { return wrapped(a, b, [](auto p, auto q) { return p * q; }); });
}
void divide(Node& node) {
  arithmetic(node, []<class T>(T a, T b) {
    if constexpr (std::is_same_v<T, std::int64_t>) {
      if (b == 0) throw NumericalError("an integer is divided by 0");
      if (b == -1) return static_cast<T>(0 - static_cast<std::uint64_t>(a));
    }
    return a / b;
  });
}

template <class T>
T power_of(T a, T b) {
  if (b == T(2)) return a * a;
  return std::pow(a, b);
}

/// The exponent may be of another type than the base, whose type the result has.
void power(Node& node) {
  node.expect(0, {f32, f64});
  node.expect(1, {f32, f64, i64});
  const Dims shape = legacy_shape(node);
  const Broadcast b = broadcast(node, {node.id(0), node.id(1)}, {node.in(0).dims, shape});
  const int y = node.out(0, node.in(0).element, b.dims);
  const Operand left = b.operands[0], right = b.operands[1];
  const std::int64_t size = b.size;
  const int to = node.storage(y);
  const auto step = [&]<class T, class E>(T, E) {
    node.emit({left.value, right.value}, {y}, [=](const Frame& frame) {
      map_entries(frame.rows, size, left, frame.get<T>(left.storage), right, frame.get<E>(right.storage),
                  frame.get<T>(to), [](T base, E e) { return power_of<T>(base, static_cast<T>(e)); });
    });
  };
  const auto with_base = [&]<class T>(T base) {
    if (node.in(1).element == f32) return step(base, float());
    if (node.in(1).element == f64) return step(base, double());
    step(base, std::int64_t());
  };
  node.in(0).element == f32 ? with_base(float()) : with_base(double());
  write_binary(node, y, shape);
}

template <class F>
void compare(Node& node, const F& f) {
  node.expect(0, {f32, f64, i64, boolean});
  expect_alike(node);
  const Dims shape = legacy_shape(node);
  const Broadcast b = broadcast(node, {node.id(0), node.id(1)}, {node.in(0).dims, shape});
  const int y = node.out(0, boolean, b.dims);
  switch (node.in(0).element) {
    case f32:
      binary_step<float, std::uint8_t>(node, b, y, f);
      break;
    case f64:
      binary_step<double, std::uint8_t>(node, b, y, f);
      break;
    case i64:
      binary_step<std::int64_t, std::uint8_t>(node, b, y, f);
      break;
    default:
      binary_step<std::uint8_t, std::uint8_t>(node, b, y, f);
  }
  write_binary(node, y, shape);
}

template <class F>
void combine(Node& node, const F& f) {
  node.expect(0, {boolean});
  node.expect(1, {boolean});
  compare(node, f);
}

/// The slope is laid against the last axes; before opset 7 it may also be one per channel.
void p_relu(Node& node) {
  node.expect(0, {f32, f64});
  expect_alike(node);
  Dims slope = node.in(1).dims;
  if (node.opset() < 7 && slope.size() == 1 && node.in(0).rank() > 2)
    slope.insert(slope.end(), n(node.in(0).rank() - 2), 1);
  const Broadcast b = broadcast(node, {node.id(0), node.id(1)}, {node.in(0).dims, slope});
  if (b.dims != node.in(0).dims) node.fail("has a slope of more axes than its input");
  const int y = node.out(0, node.in(0).element, b.dims);
  const auto f = [](auto x, auto a) { return x < 0 ? a * x : x; };
  if (node.in(0).element == f32)
    binary_step<float, float>(node, b, y, f);
  else
    binary_step<double, double>(node, b, y, f);
  write_binary(node, y, slope);
}

void negation(Node& node) {
  node.expect(0, {boolean});
  unary<std::uint8_t>(node, [](std::uint8_t a) { return static_cast<std::uint8_t>(a == 0); });
  node.write_same();
}

void is_nan(Node& node) {
  node.expect(0, {f32, f64});
  const auto f = [](auto x) { return static_cast<std::uint8_t>(std::isnan(x)); };
  if (node.in(0).element == f32)
    unary<float, std::uint8_t>(node, f);
  else
    unary<double, std::uint8_t>(node, f);
  node.write_same();
}

/// Max, Min, Sum, Mean of any number of inputs.
template <class F>
void fold_inputs(Node& node, bool mean, const F& f) {
  node.expect(0, {f32, f64});
  expect_alike(node);
  if (node.inputs() < 1) node.fail("has no inputs");
  int so_far = node.id(0);
  const auto finish = [&]<class T>(T) {
    const T count = static_cast<T>(node.inputs());
    for (int i = 1; i < node.inputs(); ++i) {
      const Broadcast b = broadcast(node, {so_far, node.id(i)});
      const int y = i + 1 == node.inputs() ? node.out(0, node.in(0).element, b.dims)
                                           : node.temporary(node.in(0).element, b.dims);
      if (mean && i + 1 == node.inputs())
        binary_step<T, T>(node, b, y, [f, count](T a, T v) { return f(a, v) / count; });
      else
        binary_step<T, T>(node, b, y, f);
      so_far = y;
    }
  };
  if (node.inputs() == 1)
    node.alias(0, so_far, node.in(0).dims);
  else if (node.in(0).element == f32)
    finish(float());
  else
    finish(double());
  node.write_same();
}

void where(Node& node) {
  node.expect(0, {boolean});
  node.expect(1, {f32, f64, i64, boolean});
  node.expect(2, {node.in(1).element});
  const Broadcast b = broadcast(node, {node.id(0), node.id(1), node.id(2)});
  const Element element = node.in(1).element;
  const int y = node.out(0, element, b.dims);
  const int to = node.storage(y);
  const Operand c = b.operands[0], p = b.operands[1], q = b.operands[2];
  const std::int64_t size = b.size;
  const auto at = [](const Operand& operand, std::int64_t r, std::int64_t j) {
    return r * operand.stride + (operand.single ? 0 : operand.map.empty() ? j : operand.map[n(j)]);
  };
  const auto step = [&]<class T>(T) {
    node.emit({c.value, p.value, q.value}, {y}, [=](const Frame& frame) {
      const auto* condition = frame.get<std::uint8_t>(c.storage);
      const T *yes = frame.get<T>(p.storage), *no = frame.get<T>(q.storage);
      T* result = frame.get<T>(to);
      for (std::int64_t r = 0; r < frame.rows; ++r)
        for (std::int64_t j = 0; j < size; ++j)
          *result++ = condition[at(c, r, j)] != 0 ? yes[at(p, r, j)] : no[at(q, r, j)];
    });
  };
  if (element == f32) step(float());
  if (element == f64) step(double());
  if (element == i64) step(std::int64_t());
  if (element == boolean) step(std::uint8_t());
  node.write_same();
}

/// A bound of Clip as a number; attributes before opset 11, constants from then on.
template <class T>
T bound(Node& node, int input, const char* name, T otherwise) {
  if (node.opset() < 11)
    return node.attribute(name) != nullptr ? static_cast<T>(node.real(name, 0)) : otherwise;
  if (!node.has(input)) return otherwise;
  const auto& values = node.constant(input, element_of<T>()).template as<T>();
  if (values.size() != 1) node.fail(fmt::format("its {} has {} values, expected 1", name, values.size()));
  return values[0];
}

void clip(Node& node) {
  node.expect(0, {f32, f64, i64});
  const auto lower = [&]<class T>(T) {
    const T low = bound<T>(node, 1, "min", std::numeric_limits<T>::lowest());
    const T high = bound<T>(node, 2, "max", std::numeric_limits<T>::max());
    unary<T>(node, [=](T x) { return x < low ? (low < high ? low : high) : x > high ? high : x; });
    node.write(
        [=](GraphWriter& g, const GraphValues& in) -> GraphValues {
          if constexpr (std::is_same_v<T, std::int64_t>) {
            const GraphValue none = g.op("Squeeze", {g.integers({low})});
            return {g.op("Clip", {in[0], none, g.op("Squeeze", {g.integers({high})})})};
          } else {
            return {g.op("Clip", {in[0], g.scalar(low), g.scalar(high)})};
          }
        },
        {node.id(0)}, {node.result()});
  };
  if (node.in(0).element == f32) lower(float());
  if (node.in(0).element == f64) lower(double());
  if (node.in(0).element == i64) lower(std::int64_t());
}

template <class To, class From>
To converted(From x) {
  if constexpr (std::is_same_v<To, std::uint8_t>) {
    return x != 0;
  } else if constexpr (std::is_same_v<To, std::int64_t> && std::is_floating_point_v<From>) {
    if (std::isnan(x)) return 0;
    if (x >= static_cast<From>(9.2e18)) return std::numeric_limits<To>::max();
    if (x <= static_cast<From>(-9.2e18)) return std::numeric_limits<To>::min();
    return static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

void cast_to(Node& node, Element to) {
  node.expect(0, {f32, f64, i64, boolean});
  if (to == node.in(0).element) {
    node.alias(0, node.id(0), node.in(0).dims);
  } else {
    const auto from = [&]<class From>(From) {
      const auto f = [](auto target) {
        return [target](From x) { return converted<decltype(target), From>(x); };
      };
      if (to == f32) unary<From, float>(node, f(float()));
      if (to == f64) unary<From, double>(node, f(double()));
      if (to == i64) unary<From, std::int64_t>(node, f(std::int64_t()));
      if (to == boolean) unary<From, std::uint8_t>(node, f(std::uint8_t()));
    };
    if (node.in(0).element == f32) from(float());
    if (node.in(0).element == f64) from(double());
    if (node.in(0).element == i64) from(std::int64_t());
    if (node.in(0).element == boolean) from(std::uint8_t());
  }
  constexpr std::int64_t numbers[] = {onnx::TensorProto::FLOAT, onnx::TensorProto::DOUBLE,
                                      onnx::TensorProto::INT64, onnx::TensorProto::BOOL};
  node.write("Cast", {node.id(0)}, {node.result()}, {{"to", numbers[static_cast<std::size_t>(to)]}});
}

void cast(Node& node) {
  std::int32_t type = 0;
  const auto* a = node.attribute("to");
  if (a == nullptr) node.fail("its attribute 'to' is missing");
  if (a->has_s()) {  // before opset 6
    onnx::TensorProto::DataType parsed = onnx::TensorProto::UNDEFINED;
    if (!onnx::TensorProto::DataType_Parse(a->s(), &parsed))
      node.fail(fmt::format("casts to '{}', expected a type", a->s()));
    type = parsed;
  } else {
    type = static_cast<std::int32_t>(node.integer("to", 0));
  }
  Element to = f32;
  const bool whole = type == onnx::TensorProto::INT64 || type == onnx::TensorProto::INT32;
  if (!element_of_type(type, &to) || to == Element::string || (to == i64 && !whole))
    node.fail(fmt::format("casts to {}, expected float32, float64, int32, int64 or bool", type_text(type)));
  cast_to(node, to);
}

void cast_like(Node& node) {
  node.expect(1, {f32, f64, i64, boolean});
  cast_to(node, node.in(1).element);
}

void identity(Node& node) {
  node.alias(0, node.id(0), node.in(0).dims);
  node.write("Identity", {node.id(0)}, {node.result()});
}

void dropout(Node& node) {
  if (node.has(2) && node.opset() >= 12) {
    const auto& training = node.constant(2, boolean).as<std::uint8_t>();
    if (training.size() != 1 || training[0] != 0) node.fail("is a dropout in training mode");
  }
  identity(node);
}

void absolute(Node& node) {
  lower_real(node, [](auto x) { return std::abs(x); });
}

}  // namespace

const std::map<std::string, Lower>& elementwise_operators() {
  static const std::map<std::string, Lower> table = {
      {"Add", add},
      {"Sub", subtract},
      {"Mul", multiply},
      {"Div", divide},
      {"Pow", power},
      {"Relu", relu},
      {"Tanh", tanh},
      {"Sigmoid", logistic},
      {"Softplus", soft_plus},
      {"LeakyRelu", leaky_relu},
      {"Elu", elu},
      {"Selu", selu},
      {"Celu", celu},
      {"ThresholdedRelu", thresholded_relu},
      {"Mish", mish},
      {"PRelu", p_relu},
      {"HardSigmoid", hard_sigmoid},
      {"HardSwish", hard_swish},
      {"Gelu", gelu_node},
      {"Abs", absolute},
      {"Sqrt", [](Node& node) { lower_real(node, [](auto x) { return std::sqrt(x); }); }},
      {"Exp", [](Node& node) { lower_real(node, [](auto x) { return std::exp(x); }); }},
      {"Log", [](Node& node) { lower_real(node, [](auto x) { return std::log(x); }); }},
      {"Erf", [](Node& node) { lower_real(node, [](auto x) { return std::erf(x); }); }},
      {"Neg", [](Node& node) { lower_real(node, [](auto x) { return -x; }); }},
      {"Reciprocal", [](Node& node) { lower_real(node, [](auto x) { return 1 / x; }); }},
      {"Floor", [](Node& node) { lower_real(node, [](auto x) { return std::floor(x); }); }},
      {"Ceil", [](Node& node) { lower_real(node, [](auto x) { return std::ceil(x); }); }},
      {"Round", [](Node& node) { lower_real(node, [](auto x) { return std::nearbyint(x); }); }},
      {"Sin", [](Node& node) { lower_real(node, [](auto x) { return std::sin(x); }); }},
      {"Cos", [](Node& node) { lower_real(node, [](auto x) { return std::cos(x); }); }},
      {"Softsign", [](Node& node) { lower_real(node, [](auto x) { return x / (1 + std::abs(x)); }); }},
      {"Sign",
       [](Node& node) {
         lower_real(node, [](auto x) { return static_cast<decltype(x)>((x > 0) - (x < 0)); });
       }},
      {"Equal", [](Node& node) { compare(node, [](auto a, auto b) { return a == b; }); }},
      {"Greater", [](Node& node) { compare(node, [](auto a, auto b) { return a > b; }); }},
      {"Less", [](Node& node) { compare(node, [](auto a, auto b) { return a < b; }); }},
      {"GreaterOrEqual", [](Node& node) { compare(node, [](auto a, auto b) { return a >= b; }); }},
      {"LessOrEqual", [](Node& node) { compare(node, [](auto a, auto b) { return a <= b; }); }},
      {"And", [](Node& node) { combine(node, [](auto a, auto b) { return a != 0 && b != 0; }); }},
      {"Or", [](Node& node) { combine(node, [](auto a, auto b) { return a != 0 || b != 0; }); }},
      {"Xor", [](Node& node) { combine(node, [](auto a, auto b) { return (a != 0) != (b != 0); }); }},
      {"Not", negation},
      {"IsNaN", is_nan},
      {"Max", [](Node& node) { fold_inputs(node, false, [](auto a, auto b) { return b > a ? b : a; }); }},
      {"Min", [](Node& node) { fold_inputs(node, false, [](auto a, auto b) { return b < a ? b : a; }); }},
      {"Sum", [](Node& node) { fold_inputs(node, false, [](auto a, auto b) { return a + b; }); }},
      {"Mean", [](Node& node) { fold_inputs(node, true, [](auto a, auto b) { return a + b; }); }},
      {"Where", where},
      {"Clip", clip},
      {"Cast", cast},
      {"CastLike", cast_like},
      {"Identity", identity},
      {"Dropout", dropout},
  };
  return table;
}

}  // namespace emshap::io::foreign
