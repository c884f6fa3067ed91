#pragma once
// The quantile of a mixture of Gaussians: one uniform number gives one draw, and the draw is a continuous,
// increasing function of it. Choosing a component by one number and a value by another gives the same
// distribution, but a function with jumps of twice as many dimensions, which low-discrepancy points integrate
// less well.
#include "math/exp_log.h"
#include "math/inverse_normal.h"
#include "math/normal.h"

namespace emshap::math {

/// x with sum_c w_c Phi((x - m_c) / s_c) = u sum_c w_c, 0 < u < 1, weights w >= 0 of any scale and not all 0,
/// s > 0. Newton's method on the logarithm of the distribution function, in the half of it that is smaller,
/// kept between the components' own quantiles. Lanes do not depend on each other. The level that x
/// has is u (or 1 - u) to about 1e-6 of itself in float, 1e-8 in double; to 1e-3 in float where components
/// differ a hundredfold in width. work (C).
template <class V>
EMSHAP_HD V mixture_quantile(int C, const V* weight, const V* mean, const V* sd, V u, V* work) {
  using S = scalar_of<V>;
  constexpr int most_steps = 60;                // bisection alone needs about as many in the worst case
  const V near(S(is_single<V> ? 2e-3 : 1e-7));  // from here one more step is enough
  const V smallest(S(is_single<V> ? 1e-30 : 1e-290));
  const auto upper = u > V(S(.5));
  const V level = select(upper, V(S(1)) - u, u);
  const V sign = select(upper, V(S(-1)), V(S(1)));
  const V z = inverse_normal(level);

  V total(S(0)), centre(S(0)), low(S(0)), high(S(0));
  for (int c = 0; c < C; ++c) {
    work[c] = V(S(1)) / sd[c];
    const V quantile = mul_add(sd[c], z, sign * mean[c]);
    // Components without weight do not widen the bracket.
    const auto first = (total == V(S(0)));
    const auto counts = weight[c] > V(S(0));
    low = select(counts & (first | (quantile < low)), quantile, low);
    high = select(counts & (first | (quantile > high)), quantile, high);
    total += weight[c];
    centre = mul_add(weight[c], quantile, centre);
  }
  const V wanted = level * total;
  V x = max(low, min(high, centre / total));
  for (int step = 0; step < most_steps; ++step) {
    V below(S(0)), density(S(0));
    for (int c = 0; c < C; ++c) {
      const NormalValues<V> value = normal_values((x - sign * mean[c]) * work[c]);
      below = mul_add(weight[c], value.cdf, below);
      density = mul_add(weight[c] * work[c], value.density, density);
    }
    const V off = log(max(below, smallest) / wanted);
    const auto left = off < V(S(0));
    const auto open = high > low;  // else x is exact, or as near as numbers come
    low = select(left, x, low);
    high = select(left, high, x);
    const V newton = x - off * below / density;
    const auto inside = (newton >= low) & (newton <= high);  // false for nan
    const V next = select(inside, newton, V(S(.5)) * (low + high));
    const auto done = (!open) | (inside & (abs(off) < near)) | (next == x);
    x = select(open, next, x);
    high = select(done, x, high);
    low = select(done, x, low);
    if (all(done)) break;
  }
  return sign * x;
}

}  // namespace emshap::math
