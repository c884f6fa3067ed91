// Functions of one real number: activations, roots, exponentials, rounding.
#include <fmt/format.h>

#include <cmath>

#include "emshap/core/error.h"
#include "emshap/ops/activation.h"
#include "io/foreign_unary.h"

namespace emshap::io::foreign {
namespace {

constexpr auto f32 = Element::f32;
constexpr auto f64 = Element::f64;

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

void absolute(Node& node) {
  lower_real(node, [](auto x) { return std::abs(x); });
}

}  // namespace

const std::map<std::string, Lower>& activation_operators() {
  static const std::map<std::string, Lower> table = {
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
  };
  return table;
}

}  // namespace emshap::io::foreign
