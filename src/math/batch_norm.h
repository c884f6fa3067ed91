#pragma once
// Batch normalisation of one column, or of a pack of columns: ops/normalization.h has the formulas.
#include "math/scalar.h"

namespace emshap::math {

/// y = (x - centre) scale + shift, where `centre` is the mean as far as the element type holds it.
template <class V>
struct NormMap {
  V rstd, scale, shift;
};

/// In double. `rounded` is the mean as the element type holds it; what is left of it belongs to the shift.
/// `kept` = 1 / (1 - p) where dropout follows, else 1.
template <class V>
EMSHAP_HD NormMap<V> norm_map(V mean, V rounded, V variance, V gamma, V beta, double eps, V kept) {
  const V r = V(1) / sqrt(variance + V(eps));
  const V slope = gamma * r;
  return {r, kept * slope, kept * (beta - (mean - rounded) * slope)};
}

template <class V>
EMSHAP_HD V normalized(V x, V centre, V scale, V shift) {
  return mul_add(x - centre, scale, shift);
}

/// A running statistic after a batch whose own is `now`.
template <class V>
EMSHAP_HD V followed(V running, V now, double momentum, double factor) {
  return V(1 - momentum) * running + V(momentum * factor) * now;
}

/// dx = a dz - b - c (x - mean)
template <class V>
struct NormBackward {
  V a, b, c;
};
/// From the column sums of dz and dz (x - mean); by_rows = 1 / B.
template <class V>
EMSHAP_HD NormBackward<V> norm_backward(V dz_sum, V product_sum, V gamma, V rstd, V kept, V by_rows) {
  const V slope = kept * gamma * rstd;
  return {slope, slope * dz_sum * by_rows, slope * rstd * rstd * product_sum * by_rows};
}
template <class V>
EMSHAP_HD V norm_input_gradient(const NormBackward<V>& k, V dz, V deviation) {
  return mul_add(k.a, dz, -mul_add(k.c, deviation, k.b));
}

}  // namespace emshap::math
