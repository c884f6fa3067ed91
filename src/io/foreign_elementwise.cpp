// Arithmetic, comparisons and choices of several values, entry by entry.
#include <fmt/format.h>

#include <cmath>

#include "emshap/core/error.h"
#include "io/foreign_unary.h"

namespace emshap::io::foreign {
namespace {

constexpr auto f32 = Element::f32;
constexpr auto f64 = Element::f64;
constexpr auto i64 = Element::i64;
constexpr auto boolean = Element::boolean;

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

}  // namespace

const std::map<std::string, Lower>& elementwise_operators() {
  static const std::map<std::string, Lower> table = {
      {"Add", add},
      {"Sub", subtract},
      {"Mul", multiply},
      {"Div", divide},
      {"Pow", power},
      {"PRelu", p_relu},
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
  };
  return table;
}

}  // namespace emshap::io::foreign
