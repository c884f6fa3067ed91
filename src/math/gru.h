#pragma once
// The gates of a GRU for one unit or a pack of them; see ops/recurrent.h.
#include "math/activation.h"

namespace emshap::math {

template <class V>
struct GruGates {
  V r, z, n;
  V gh_n;  ///< what r multiplies
};

/// e^x for x <= 0, and e^-87 below -87: all that gates need. float: error <= 2 ulp, fewer steps than exp.
template <class V>
EMSHAP_HD V exp_of_negative(V x) {
  static_assert(is_single<V>);
  using I = int_of<V>;
  constexpr float shift = 12582912.f;  // 1.5 2^23: adding it rounds to an integer, found in the low bits
  const V a = max(V(-87.f), x);
  const V shifted = mul_add(a, V(1.44269504f), V(shift));
  const V n = shifted - V(shift);
  const V r = mul_add(n, V(2.12194440e-4f), mul_add(n, V(-.693359375f), a));
  const V p = horner(r, .5f, .166664883f, .0416655578f, .00837226212f, .00140339497f);
  const V e = mul_add(r * r, p, r) + V(1.f);
  return e * as_float((as_int(shifted) - I(as_int(shift) - 127)) << 23);
}

/// r and z, with one division for both.
template <class V>
struct GruRates {
  V r, z;
};
template <class V>
EMSHAP_HD GruRates<V> gru_rates(V a_r, V a_z) {
  if constexpr (is_single<V>) {
    const V one(1.f), zero(0.f);
    const V e_r = exp_of_negative(-abs(a_r)), e_z = exp_of_negative(-abs(a_z));
    const V d_r = one + e_r, d_z = one + e_z;
    const V inverse = one / (d_r * d_z);
    return {inverse * d_z * select(a_r < zero, e_r, one), inverse * d_r * select(a_z < zero, e_z, one)};
  } else {
    return {sigmoid(a_r), sigmoid(a_z)};
  }
}

/// tanh. float: absolute error <= 2e-7, which is what the state has.
template <class V>
EMSHAP_HD V gru_tanh(V x) {
  if constexpr (is_single<V>) {
    const V one(1.f), e = exp_of_negative(V(-2.f) * abs(x));
    return copysign((one - e) / (one + e), x);
  } else {
    return tanh(x);
  }
}

/// exp_of_negative of N packs, one operation of all of them after another: chains of operations as long as
/// these keep a processor waiting unless several run side by side, and it does not look far enough ahead to
/// find them.
template <int N, class V>
EMSHAP_HD void exps_of_negative(V* x) {
  static_assert(is_single<V>);
  using I = int_of<V>;
  constexpr float shift = 12582912.f;
  V shifted[N], r[N], p[N];
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) x[i] = max(V(-87.f), x[i]);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) shifted[i] = mul_add(x[i], V(1.44269504f), V(shift));
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) p[i] = shifted[i] - V(shift);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) r[i] = mul_add(p[i], V(-.693359375f), x[i]);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) r[i] = mul_add(p[i], V(2.12194440e-4f), r[i]);
  constexpr float c[5] = {.5f, .166664883f, .0416655578f, .00837226212f, .00140339497f};
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) p[i] = V(c[4]);
#pragma GCC unroll 4
  for (int k = 3; k >= 0; --k) {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) p[i] = mul_add(p[i], r[i], V(c[k]));
  }
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) x[i] = r[i] * r[i];
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) x[i] = mul_add(x[i], p[i], r[i]) + V(1.f);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) x[i] = x[i] * as_float((as_int(shifted[i]) - I(as_int(shift) - 127)) << 23);
}

/// gru_rates of N packs each, in place.
template <int N, class V>
EMSHAP_HD void gru_rates_of(V* a_r, V* a_z) {
  if constexpr (is_single<V>) {
    const V one(1.f), zero(0.f);
    V e[2 * N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) {
      e[i] = -abs(a_r[i]);
      e[N + i] = -abs(a_z[i]);
    }
    exps_of_negative<2 * N>(e);
    V inverse[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) inverse[i] = one / ((one + e[i]) * (one + e[N + i]));
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) {
      const V d_r = one + e[i], d_z = one + e[N + i];
      a_r[i] = inverse[i] * d_z * select(a_r[i] < zero, e[i], one);
      a_z[i] = inverse[i] * d_r * select(a_z[i] < zero, e[N + i], one);
    }
  } else {
    for (int i = 0; i < N; ++i) {
      const auto rates = gru_rates(a_r[i], a_z[i]);
      a_r[i] = rates.r;
      a_z[i] = rates.z;
    }
  }
}

/// gru_tanh of N packs, in place.
template <int N, class V>
EMSHAP_HD void gru_tanhs(V* x) {
  if constexpr (is_single<V>) {
    const V one(1.f);
    V e[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) e[i] = V(-2.f) * abs(x[i]);
    exps_of_negative<N>(e);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) e[i] = (one - e[i]) / (one + e[i]);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) x[i] = copysign(e[i], x[i]);
  } else {
    for (int i = 0; i < N; ++i) x[i] = gru_tanh(x[i]);
  }
}

/// h' = (1 - z) n + z h
template <class V>
EMSHAP_HD V gru_state(const GruGates<V>& g, V h) {
  return mul_add(g.z, h - g.n, g.n);
}

template <class V>
struct GruGradients {
  V r, z;  ///< with respect to gi_r and gh_r, gi_z and gh_z
  V gi_n, gh_n;
  V h;  ///< the direct share, through z h
};

template <class V>
EMSHAP_HD GruGradients<V> gru_gradients(const GruGates<V>& g, V h, V dh_next) {
  const V one(scalar_of<V>(1));
  const V dn = dh_next * (one - g.z) * (one - g.n * g.n);
  const V dr = dn * g.gh_n * (g.r * (one - g.r));
  const V dz = dh_next * (h - g.n) * (g.z * (one - g.z));
  return {dr, dz, dn, dn * g.r, dh_next * g.z};
}

}  // namespace emshap::math
