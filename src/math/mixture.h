#pragma once
// Mixtures of Gaussians: the formulas of ops/density.h for one pair, V = a scalar or a pack of pairs.
// Component c of C has entries c, C + c and 2 C + c in an array of 3 C values.
#include "math/activation.h"
#include "math/exp_log.h"
#include "math/mixture_quantile.h"

namespace emshap::math {

inline constexpr double half_log_2pi = .91893853320467274178;

template <class V>
EMSHAP_HD V clamped(V x, double limit) {
  using S = scalar_of<V>;
  return max(V(S(-limit)), min(V(S(limit)), x));
}

/// exp(x) as a factor: neither 0 nor infinite in float, so that products with it are never 0 * inf.
template <class V>
EMSHAP_HD V factor_exp(V x) {
  return exp(clamped(x, 85.));
}

/// A standardised distance: beyond 1e15 densities are 0 anyway, and its square must not overflow.
template <class V>
EMSHAP_HD V distance(V x) {
  return clamped(x, 1e15);
}

/// max and log of the sum of exp(v[c] - max): logsumexp = max + log_sum, kept apart for accuracy.
template <class V>
struct LogSum {
  V largest, log_sum;
};
template <class V>
EMSHAP_HD LogSum<V> log_sum_exp(const V* v, int count) {
  V largest = v[0];
  for (int c = 1; c < count; ++c) largest = max(largest, v[c]);
  V sum = exp(v[0] - largest);
  for (int c = 1; c < count; ++c) sum += exp(v[c] - largest);
  return {largest, log(sum)};
}

/// -log q(x) of a head's mixture; the first 3 C of work (5 C) receive its gradient with respect to the head.
template <class V>
EMSHAP_HD V mixture_loss(int C, const V* head, V mean, V log_sd, V x, double least, V* work) {
  using S = scalar_of<V>;
  const V z = clamped((x - mean) * factor_exp(-log_sd), 1e30);
  V* const term = work;            // log of weight exp(-d^2 / 2), its density, then gradient of l
  V* const pull = work + C;        // standardised distance, then gradient of a
  V* const spread = work + 2 * C;  // 1 / scale, then gradient of r
  V* const weight = work + 3 * C;  // not normalised
  V* const slope = work + 4 * C;   // d scale / d r
  V largest_l = head[0];
  for (int c = 1; c < C; ++c) largest_l = max(largest_l, head[c]);
  // One function of all components after another: their chains of operations run side by side.
  V sum_l(S(0));
  for (int c = 0; c < C; ++c) {
    weight[c] = exp(head[c] - largest_l);
    sum_l += weight[c];
  }
  for (int c = 0; c < C; ++c) slope[c] = exp(-abs(head[2 * C + c]));
  for (int c = 0; c < C; ++c) spread[c] = max(V(S(0)), head[2 * C + c]) + log1p(slope[c]) + V(S(least));
  V largest(S(0));
  for (int c = 0; c < C; ++c) {
    const V large = V(S(1)) / (V(S(1)) + slope[c]);
    slope[c] = select(head[2 * C + c] < V(S(0)), slope[c] * large, large);
    spread[c] = V(S(1)) / spread[c];
    const V d = distance((z - head[C + c]) * spread[c]);
    pull[c] = d;
    term[c] = (head[c] - largest_l) - V(S(.5)) * (d * d);
    largest = c == 0 ? term[c] : max(largest, term[c]);
  }
  V sum(S(0));  // of weighted densities in units of the base over exp(largest): at least one 1 / scale
  for (int c = 0; c < C; ++c) {
    term[c] = exp(term[c] - largest) * spread[c];
    sum += term[c];
  }
  const V per_sum = V(S(1)) / sum, per_sum_l = V(S(1)) / sum_l;
  for (int c = 0; c < C; ++c) {
    const V responsibility = term[c] * per_sum;
    const V per_scale = responsibility * spread[c];
    const V d = pull[c];
    term[c] = weight[c] * per_sum_l - responsibility;
    pull[c] = -(per_scale * d);
    spread[c] = per_scale * (V(S(1)) - d * d) * slope[c];
  }
  return ((log(sum_l) - log(sum)) - largest) + (log_sd + V(S(half_log_2pi)));
}

/// The canonical form of a head's mixture: C normalised log-weights, C means, C log standard deviations; not
/// in the memory of the head.
template <class V>
EMSHAP_HD void mixture_from_head(int C, const V* head, V mean, V log_sd, double least, V* mixture) {
  using S = scalar_of<V>;
  const auto total = log_sum_exp(head, C);
  const V s = factor_exp(log_sd);
  V* const spread = mixture + 2 * C;
  for (int c = 0; c < C; ++c) {
    // A finite bound: weights of 0 stay numbers that others can compute with.
    mixture[c] = max(V(S(-1e30)), (head[c] - total.largest) - total.log_sum);
    mixture[C + c] = mul_add(s, head[C + c], mean);
    spread[c] = exp(-abs(head[2 * C + c]));
  }
  for (int c = 0; c < C; ++c) spread[c] = max(V(S(0)), head[2 * C + c]) + log1p(spread[c]) + V(S(least));
  for (int c = 0; c < C; ++c) spread[c] = log_sd + log(spread[c]);
}

/// log q(x) of a canonical mixture; work (C).
template <class V>
EMSHAP_HD V mixture_log_density(int C, const V* mixture, V x, V* work) {
  using S = scalar_of<V>;
  for (int c = 0; c < C; ++c) work[c] = factor_exp(-mixture[2 * C + c]);
  for (int c = 0; c < C; ++c) {
    const V d = distance((x - mixture[C + c]) * work[c]);
    work[c] = (mixture[c] - V(S(.5)) * (d * d)) - mixture[2 * C + c];
  }
  const auto total = log_sum_exp(work, C);
  return (total.largest - V(S(half_log_2pi))) + total.log_sum;
}

/// Mean and variance of a canonical mixture.
template <class V>
struct MixtureMoments {
  V mean, variance;
};
template <class V>
EMSHAP_HD MixtureMoments<V> mixture_moments(int C, const V* mixture) {
  using S = scalar_of<V>;
  V mean(S(0)), variance(S(0));
  for (int c = 0; c < C; ++c) mean = mul_add(exp(mixture[c]), mixture[C + c], mean);
  for (int c = 0; c < C; ++c) {
    const V away = mixture[C + c] - mean;
    const V sd = factor_exp(mixture[2 * C + c]);
    variance = mul_add(exp(mixture[c]), mul_add(sd, sd, away * away), variance);
  }
  return {mean, variance};
}

/// The quantile at u of a canonical mixture. work (3 C).
template <class V>
EMSHAP_HD V mixture_draw(int C, const V* mixture, V u, V* work) {
  V *const weight = work, *const sd = work + C;
  for (int c = 0; c < C; ++c) weight[c] = exp(mixture[c]);
  for (int c = 0; c < C; ++c) sd[c] = factor_exp(mixture[2 * C + c]);
  return mixture_quantile(C, weight, mixture + C, sd, u, work + 2 * C);
}

/// The same from a head's mixture, found in units of the base. work (3 C).
template <class V>
EMSHAP_HD V mixture_draw_from_head(int C, const V* head, V mean, V log_sd, double least, V u, V* work) {
  using S = scalar_of<V>;
  V *const weight = work, *const spread = work + C;
  V largest = head[0];
  for (int c = 1; c < C; ++c) largest = max(largest, head[c]);
  for (int c = 0; c < C; ++c) weight[c] = exp(head[c] - largest);
  for (int c = 0; c < C; ++c) spread[c] = softplus(head[2 * C + c]) + V(S(least));
  return mul_add(factor_exp(log_sd), mixture_quantile(C, weight, head + C, spread, u, work + 2 * C), mean);
}

}  // namespace emshap::math
