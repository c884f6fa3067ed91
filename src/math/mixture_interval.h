#pragma once
// Probability of an interval under a mixture of Gaussians, in double whatever the element type.
#include "math/normal_interval.h"

namespace emshap::math {

/// log(F(right) - F(left)) of a canonical mixture: C normalised log-weights, C means, C log standard
/// deviations.
template <class T>
EMSHAP_HD double mixture_log_interval(int C, const T* mixture, double left, double right) {
  double largest = -__builtin_inf(), sum = 0;
  for (int c = 0; c < C; ++c) {
    const double mean = static_cast<double>(mixture[C + c]);
    const double per_sd = ::exp(-static_cast<double>(mixture[2 * C + c]));
    const double term = static_cast<double>(mixture[c]) +
                        log_normal_interval((left - mean) * per_sd, (right - mean) * per_sd);
    if (term > largest) {
      sum = sum * ::exp(largest - term) + 1;
      largest = term;
    } else if (term > -__builtin_inf()) {
      sum += ::exp(term - largest);
    } else if (term != term) {
      sum = term;
    }
  }
  return largest + ::log(sum);
}

}  // namespace emshap::math
