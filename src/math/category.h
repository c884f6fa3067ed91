#pragma once
// Categories: the formulas of ops/density.h for one pair, V = a scalar or a pack of pairs; `count`
// categories.
#include "math/exp_log.h"
#include "math/mixture.h"

namespace emshap::math {

/// The smallest probability whose logarithm is taken.
template <class V>
inline constexpr scalar_of<V> least_probability = is_single<V> ? scalar_of<V>(1e-37) : scalar_of<V>(1e-300);

/// -log p_code, p_v = (1 - share) softmax(logits)_v + share frequency_v; gradient (count) with respect to the
/// logits. code is a number 0..count-1; others give NaN. frequencies: scalars.
template <class V, class T>
EMSHAP_HD V categorical_loss(int count, const V* logits, const T* frequencies, V code, double share,
                             V* gradient) {
  using S = scalar_of<V>;
  V largest = logits[0];
  for (int v = 1; v < count; ++v) largest = max(largest, logits[v]);
  V sum(S(0)), chosen(S(0)), base = V(S(__builtin_nanf("")));
  for (int v = 0; v < count; ++v) {
    const V e = exp(logits[v] - largest);
    const auto here = code == V(S(v));
    sum += e;
    chosen = select(here, e, chosen);
    base = select(here, V(S(frequencies[v])), base);
    gradient[v] = e;
  }
  const V per_sum = V(S(1)) / sum;
  const V from_logits = V(S(1 - share)) * (chosen * per_sum);
  const V given = from_logits + V(S(share)) * base;
  const V p = select(given < V(least_probability<V>), V(least_probability<V>), given);  // NaN stays
  const V pull = from_logits / p;
  for (int v = 0; v < count; ++v)
    gradient[v] = pull * (gradient[v] * per_sum - select(code == V(S(v)), V(S(1)), V(S(0))));
  return -log(p);
}

/// log_p (count) = log p_v; may be the logits.
template <class V, class T>
EMSHAP_HD void categorical_log_probabilities(int count, const V* logits, const T* frequencies, double share,
                                             V* log_p) {
  using S = scalar_of<V>;
  V largest = logits[0];
  for (int v = 1; v < count; ++v) largest = max(largest, logits[v]);
  V sum(S(0));
  for (int v = 0; v < count; ++v) {
    log_p[v] = exp(logits[v] - largest);
    sum += log_p[v];
  }
  const V per_sum = V(S(1 - share)) / sum;
  for (int v = 0; v < count; ++v)
    log_p[v] = log(max(V(least_probability<V>), mul_add(log_p[v], per_sum, V(S(share * frequencies[v])))));
}

/// The first category whose cumulative probability exceeds u times the sum, and its log probability.
template <class V>
struct DrawnCategory {
  V code, log_p;
};
template <class V>
EMSHAP_HD DrawnCategory<V> categorical_draw(int count, const V* log_p, V u) {
  using S = scalar_of<V>;
  V total(S(0));
  for (int v = 0; v < count; ++v) total += exp(log_p[v]);
  const V level = u * total;
  V below(S(0)), code(S(0)), taken = log_p[0];
  for (int v = 1; v < count; ++v) {
    below += exp(log_p[v - 1]);
    const auto further = (level >= below) & (exp(log_p[v]) > V(S(0)));
    code = select(further, V(S(v)), code);
    taken = select(further, log_p[v], taken);
  }
  return {code, taken};
}

}  // namespace emshap::math
