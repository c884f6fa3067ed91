#pragma once
// exp, log, log1p for float, double and packs of them. float: our own polynomials, minimax fits (Remez, 40
// digits) with coefficients rounded to float; the error bounds are tested over all floats. double: the C
// library, lane by lane. The usual limits hold: exp(-inf) = 0, log(0) = -inf, log(x < 0) = nan, nan stays
// nan, subnormals in and out.
#include <type_traits>

#include "math/pack.h"
#include "math/scalar.h"

namespace emshap::math {

template <class V>
inline constexpr bool is_single = std::is_same_v<scalar_of<V>, float>;

/// 2^n for -126 <= n <= 127.
template <class I>
EMSHAP_HD auto power_of_two(I n) {
  return as_float((n + I(127)) << 23);
}

/// exp(a + b) for |b| <= .1, -104 <= a + b <= 89 or nan: b is what was lost when a was rounded.
template <class V>
EMSHAP_HD V exp_sum(V a, V b) {
  static_assert(is_single<V>);
  using I = int_of<V>;
  constexpr float shift = 12582912.f;  // 1.5 2^23: adding it rounds to an integer, found in the low bits
  const V shifted = mul_add(a + b, V(1.44269504f), V(shift));
  const V n = shifted - V(shift);
  const I i = as_int(shifted) - I(as_int(shift));
  const V r = mul_add(n, V(2.12194440e-4f), mul_add(n, V(-.693359375f), a)) +
              b;  // |r| <= ln 2 / 2; ln 2 in two parts
  const V p = horner(r, .5f, .166664883f, .0416655578f, .00837226212f, .00140339497f);
  const V e = mul_add(r * r, p, r) + V(1.f);
  const I half = i >> 1;  // in two steps, so that subnormal and overflowing results come out right
  return e * power_of_two(half) * power_of_two(i - half);
}

/// float: error <= 1.5 ulp.
template <class V>
EMSHAP_HD V exp(V x) {
  if constexpr (is_single<V>) {
    return exp_sum(max(V(-104.f), min(V(89.f), x)), V(0.f));
  } else {
    return per_lane(x, [](double a) EMSHAP_INLINE_LAMBDA { return ::exp(a); });
  }
}

/// log((1 + f) 2^e), sqrt(1/2) <= 1 + f < sqrt(2).
template <class V>
EMSHAP_HD V log_from_parts(V f, V e) {
  const V p = horner(f, .333333313f, -.250008196f, .200012311f, -.166233748f, .142017663f, -.131601825f,
                     .12761575f, -.076344952f);
  const V f2 = f * f;
  const V y = mul_add(f2 * f, p, e * V(-2.12194440e-4f)) - V(.5f) * f2;
  return mul_add(e, V(.693359375f), f + y);
}

/// float: error <= 1 ulp.
template <class V>
EMSHAP_HD V log(V x) {
  if constexpr (is_single<V>) {
    using I = int_of<V>;
    const auto subnormal = x < V(1.17549435e-38f);
    const I sqrt_half(0x3f3504f3);
    const I bits = wrapping_sub(as_int(select(subnormal, x * V(8388608.f), x)), sqrt_half);
    const V e = to_float(bits >> 23) - select(subnormal, V(23.f), V(0.f));
    const V f = as_float((bits & I(0x7fffff)) + sqrt_half) - V(1.f);
    V y = log_from_parts(f, e);
    y = select(x < V(__builtin_inff()), y, x);
    y = select(x < V(0.f), V(__builtin_nanf("")), y);
    return select(x == V(0.f), V(-__builtin_inff()), y);
  } else {
    return per_lane(x, [](double a) EMSHAP_INLINE_LAMBDA { return ::log(a); });
  }
}

/// log(1 + x). float: error <= 2 ulp.
template <class V>
EMSHAP_HD V log1p(V x) {
  if constexpr (is_single<V>) {
    using I = int_of<V>;
    const V u = x + V(1.f);
    const V lost = select(x > V(1.f), V(1.f) - (u - x), x - (u - V(1.f)));
    const I sqrt_half(0x3f3504f3);
    const I bits = wrapping_sub(as_int(u), sqrt_half);
    const I e = bits >> 23;
    // The lost part joins the fraction; above 2^64 it is nothing beside u.
    const V back = select(u < V(1.8446744e19f), as_float((I(127) - e) << 23), V(0.f));
    const V f = mul_add(lost, back, as_float((bits & I(0x7fffff)) + sqrt_half) - V(1.f));
    V y = log_from_parts(f, to_float(e));
    y = select(x < V(__builtin_inff()), y, x);
    y = select(x < V(-1.f), V(__builtin_nanf("")), y);
    y = select(x == V(-1.f), V(-__builtin_inff()), y);
    return select(x == V(0.f), x, y);  // keeps -0
  } else {
    return per_lane(x, [](double a) EMSHAP_INLINE_LAMBDA { return ::log1p(a); });
  }
}

}  // namespace emshap::math
