#pragma once
// The activations and their derivatives for one value or a pack; CPU loops, kernels and tests share them.
#include <type_traits>

#include "emshap/ops/activation.h"
#include "math/exp_log.h"
#include "math/normal.h"

namespace emshap::math {

inline constexpr double leaky_slope = .01;

/// sigmoid(x) and sigmoid(-x) = 1 - sigmoid(x), both accurate relative to themselves.
template <class V>
struct Sigmoids {
  V plus, minus;
};
template <class V>
EMSHAP_HD Sigmoids<V> sigmoids(V x) {
  using S = scalar_of<V>;
  const V z = exp(-abs(x));
  const V large = V(S(1)) / (V(S(1)) + z);
  const V small = z * large;
  const auto negative = x < V(S(0));
  return {select(negative, small, large), select(negative, large, small)};
}

/// 1 / (1 + exp(-x)). float: error <= 3 ulp.
template <class V>
EMSHAP_HD V sigmoid(V x) {
  return sigmoids(x).plus;
}

/// float: error <= 2 ulp.
template <class V>
EMSHAP_HD V tanh(V x) {
  if constexpr (is_single<V>) {
    const V a = abs(x);
    const V s = a * a;
    const V near =
        mul_add(a * s, horner(s, -.333332926f, .133316547f, -.0537539572f, .0206783414f, -.00574325351f), a);
    const V far = V(1.f) - V(2.f) / (exp(a + a) + V(1.f));
    return copysign(select(a < V(.625f), near, far), x);
  } else {
    return per_lane(x, [](double v) EMSHAP_INLINE_LAMBDA { return ::tanh(v); });
  }
}

/// 1 - tanh(x)^2 without cancellation.
template <class V>
EMSHAP_HD V tanh_derivative(V x) {
  const auto s = sigmoids(x + x);
  return V(scalar_of<V>(4)) * s.plus * s.minus;
}

/// log(1 + exp x). float: error <= 3 ulp.
template <class V>
EMSHAP_HD V softplus(V x) {
  return max(V(scalar_of<V>(0)), x) + log1p(exp(-abs(x)));
}

/// Values beyond which a product with an underflown factor is 0, not inf * 0; nan stays.
template <class V>
EMSHAP_HD V bounded(V x) {
  using S = scalar_of<V>;
  return max(V(S(-1000)), min(V(S(1000)), x));
}

/// activation(x). float: error <= 9 ulp (gelu), 4 ulp (silu), and where Phi or sigmoid is subnormal |x|
/// 2^-150 more.
template <Activation A, class V>
EMSHAP_HD V activate(V x) {
  using S = scalar_of<V>;
  if constexpr (A == Activation::identity) return x;
  if constexpr (A == Activation::relu) return max(V(S(0)), x);
  if constexpr (A == Activation::leaky_relu) return select(x > V(S(0)), x, x * V(S(leaky_slope)));
  if constexpr (A == Activation::gelu) return max(V(S(-1000)), x) * normal_cdf(x);
  if constexpr (A == Activation::tanh) return tanh(x);
  if constexpr (A == Activation::sigmoid) return sigmoid(x);
  if constexpr (A == Activation::softplus) return softplus(x);
  if constexpr (A == Activation::silu) return max(V(S(-1000)), x) * sigmoid(x);
}

/// dy * activation'(x).
template <Activation A, class V>
EMSHAP_HD V backward_from_input(V x, V dy) {
  using S = scalar_of<V>;
  if constexpr (A == Activation::identity) return dy;
  if constexpr (A == Activation::relu) return select(x > V(S(0)), dy, V(S(0)));
  if constexpr (A == Activation::leaky_relu) return select(x > V(S(0)), dy, dy * V(S(leaky_slope)));
  if constexpr (A == Activation::gelu) {
    const V z = bounded(x);
    const auto n = normal_values(z);
    return dy * mul_add(z, n.density, n.cdf);
  }
  if constexpr (A == Activation::tanh) return dy * tanh_derivative(x);
  if constexpr (A == Activation::sigmoid) {
    const auto s = sigmoids(x);
    return dy * s.plus * s.minus;
  }
  if constexpr (A == Activation::softplus) return dy * sigmoid(x);
  if constexpr (A == Activation::silu) {
    const V z = bounded(x);
    const auto s = sigmoids(z);
    return dy * s.plus * mul_add(z, s.minus, V(S(1)));
  }
}

EMSHAP_HD constexpr bool from_output(Activation a) {
  return a == Activation::identity || a == Activation::relu || a == Activation::leaky_relu ||
         a == Activation::tanh || a == Activation::sigmoid;
}

/// dy * activation'(x) from y = activation(x), where from_output(A).
template <Activation A, class V>
EMSHAP_HD V backward_from_output(V y, V dy) {
  static_assert(from_output(A));
  using S = scalar_of<V>;
  if constexpr (A == Activation::identity) return dy;
  if constexpr (A == Activation::relu) return select(y > V(S(0)), dy, V(S(0)));
  if constexpr (A == Activation::leaky_relu) return select(y > V(S(0)), dy, dy * V(S(leaky_slope)));
  if constexpr (A == Activation::tanh) return dy * (V(S(1)) - y * y);
  if constexpr (A == Activation::sigmoid) return dy * (y * (V(S(1)) - y));
}

/// body(std::integral_constant<Activation, A>()) for the A that `activation` is, so that the choice is made
/// once and not per element.
template <class Body>
EMSHAP_HD void with_activation(Activation activation, const Body& body) {
#define EMSHAP_CASE(name) \
  case Activation::name:  \
    return body(std::integral_constant<Activation, Activation::name>())
  switch (activation) {
    EMSHAP_CASE(identity);
    EMSHAP_CASE(relu);
    EMSHAP_CASE(leaky_relu);
    EMSHAP_CASE(gelu);
    EMSHAP_CASE(tanh);
    EMSHAP_CASE(sigmoid);
    EMSHAP_CASE(softplus);
    EMSHAP_CASE(silu);
  }
#undef EMSHAP_CASE
}

}  // namespace emshap::math
