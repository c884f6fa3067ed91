// Clip, casts, and operators that change nothing.
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

}  // namespace

const std::map<std::string, Lower>& cast_operators() {
  static const std::map<std::string, Lower> table = {
      {"Clip", clip}, {"Cast", cast}, {"CastLike", cast_like}, {"Identity", identity}, {"Dropout", dropout},
  };
  return table;
}

}  // namespace emshap::io::foreign
