#pragma once
// erf and the standard normal distribution for float, double and packs. float: minimax fits as in exp_log.h.
#include "math/exp_log.h"

namespace emshap::math {

/// exp(-x^2 / 2) for finite |x| <= 20 or nan: the square is kept in two parts, since an error of half an ulp
/// in it would be one of many ulp in the result.
template <class V>
EMSHAP_HD V exp_minus_half_square(V x) {
  if constexpr (is_single<V>) {
    const V high = x * x;
#if EMSHAP_FUSED
    const V low = mul_add(x, x, -high);
#else
    const V head = as_float(as_int(x) & int_of<V>(static_cast<std::int32_t>(0xfffff000u)));
    const V tail = x - head;  // Dekker 1971: head^2, head tail and tail^2 are exact
    const V low = ((head * head - high) + V(2.f) * head * tail) + tail * tail;
#endif
    return exp_sum(max(V(-104.f), V(-.5f) * high), V(-.5f) * low);
  } else {
    return exp(V(-.5) * x * x);
  }
}

/// Phi(-a) / exp(-a^2 / 2) for 0 <= a <= 20: the normal tail without its exponential. A quotient of
/// polynomials with positive coefficients, whose sums lose nothing by cancellation.
template <class V>
EMSHAP_HD V normal_tail_ratio(V a) {
  static_assert(is_single<V>);
  return horner(a, .5f, .438293695f, .18323417f, .0406328775f, .00411625206f) /
         horner(a, 1.f, 1.67447233f, 1.20249927f, .469468027f, .101857968f, .010317794f);
}

template <class V>
struct NormalValues {
  V cdf;      ///< Phi(x), accurate relative to itself in both tails
  V density;  ///< phi(x) = exp(-x^2 / 2) / sqrt(2 pi)
};

template <class V>
EMSHAP_HD NormalValues<V> normal_values(V x) {
  using S = scalar_of<V>;
  constexpr S inverse_sqrt_2pi = S(.39894228040143267794);
  if constexpr (is_single<V>) {
    const V a = min(V(20.f), abs(x));
    const V e = exp_minus_half_square(a);
    const V tail = e * normal_tail_ratio(a);
    return {select(x < V(0.f), tail, V(1.f) - tail), V(inverse_sqrt_2pi) * e};
  } else {
    const V half_erfc =
        per_lane(x, [](double v) EMSHAP_INLINE_LAMBDA { return .5 * ::erfc(v * -.70710678118654752440); });
    return {half_erfc, V(inverse_sqrt_2pi) * exp_minus_half_square(x)};
  }
}

/// Phi(x). float: error <= 8 ulp, in the far left tail too.
template <class V>
EMSHAP_HD V normal_cdf(V x) {
  return normal_values(x).cdf;
}

/// float: error <= 2 ulp.
template <class V>
EMSHAP_HD V erf(V x) {
  if constexpr (is_single<V>) {
    const V a = abs(x);
    const V s = a * a;
    const V near = mul_add(a,
                           horner(s, .128379166f, -.37612626f, .112835787f, -.0268533472f, .0051871622f,
                                  -.00079978531f, 7.80690389e-5f),
                           a);
    const V b = min(V(20.f), a * V(1.41421356f));
    const V far = V(1.f) - V(2.f) * exp_minus_half_square(b) * normal_tail_ratio(b);
    return copysign(select(a < V(1.f), near, far), x);
  } else {
    return per_lane(x, [](double v) EMSHAP_INLINE_LAMBDA { return ::erf(v); });
  }
}

}  // namespace emshap::math
