#pragma once
// Losses of ops/energy_loss.h for one row, in double: scores[0] of the data, scores[1..K] of draws.
#include <cmath>

#include "emshap/ops/energy_loss.h"
#include "math/host_device.h"

namespace emshap::math {

EMSHAP_HD double softplus_in_double(double x) {
  return (x > 0 ? x : 0) + ::log1p(::exp(x > 0 ? -x : x));
}
EMSHAP_HD double sigmoid_in_double(double x) {
  const double e = ::exp(x > 0 ? -x : x);
  return (x < 0 ? e : 1) / (1 + e);
}

/// The row's loss; gradient[i] = weight d loss / d scores[i] unless null; it may be `scores`. Scores of draws
/// above `limit` count as the limit.
template <class T>
EMSHAP_HD double energy_loss_of_row(EnergyLoss kind, const T* scores, std::int64_t K, double limit,
                                    double weight, T* gradient) {
  const double data = static_cast<double>(scores[0]);
  const auto draw = [&](std::int64_t k) EMSHAP_INLINE_LAMBDA {
    const double s = static_cast<double>(scores[k]);
    return s > limit ? limit : s;  // NaN stays
  };
  if (kind == EnergyLoss::binary_nce) {
    double sum = 0;
    const double share = 1 / static_cast<double>(K);
    for (std::int64_t k = 1; k <= K; ++k) {
      const double s = draw(k);
      const bool cut = static_cast<double>(scores[k]) > limit;
      sum += softplus_in_double(s);
      if (gradient != nullptr) gradient[k] = static_cast<T>(cut ? 0 : weight * share * sigmoid_in_double(s));
    }
    if (gradient != nullptr) gradient[0] = static_cast<T>(-weight * sigmoid_in_double(-data));
    return softplus_in_double(-data) + share * sum;
  }
  const bool ranking = kind == EnergyLoss::ranking_nce;
  double largest = ranking ? data : draw(1);
  for (std::int64_t k = 1; k <= K; ++k) {
    const double s = draw(k);
    if (!(s <= largest)) largest = s;
  }
  double sum = ranking ? ::exp(data - largest) : 0;
  for (std::int64_t k = 1; k <= K; ++k) sum += ::exp(draw(k) - largest);
  if (gradient != nullptr) {
    for (std::int64_t k = 1; k <= K; ++k) {
      const bool cut = static_cast<double>(scores[k]) > limit;
      gradient[k] = static_cast<T>(cut ? 0 : weight * (::exp(draw(k) - largest) / sum));
    }
    gradient[0] = static_cast<T>(weight * ((ranking ? ::exp(data - largest) / sum : 0) - 1));
  }
  const double log_sum = largest + ::log(sum) - data;
  return ranking ? log_sum : log_sum - ::log(static_cast<double>(K));
}

/// Weights w_k / sum w and what they are worth, from log w (K).
struct ImportanceSummary {
  double log_z, effective, error;
};
template <class T>
EMSHAP_HD ImportanceSummary importance_weights_of_row(const T* log_w, std::int64_t K, T* weights) {
  double largest = -__builtin_inf();
  for (std::int64_t k = 0; k < K; ++k) {
    const double l = static_cast<double>(log_w[k]);
    if (l > largest || l != l) largest = l;
    if (l != l) break;
  }
  if (largest == -__builtin_inf()) {
    if (weights != nullptr)
      for (std::int64_t k = 0; k < K; ++k) weights[k] = static_cast<T>(1 / static_cast<double>(K));
    return {largest, 0, __builtin_inf()};
  }
  double sum = 0, squares = 0;
  for (std::int64_t k = 0; k < K; ++k) {
    const double w = ::exp(static_cast<double>(log_w[k]) - largest);
    sum += w;
    squares += w * w;
  }
  if (weights != nullptr)
    for (std::int64_t k = 0; k < K; ++k)
      weights[k] = static_cast<T>(::exp(static_cast<double>(log_w[k]) - largest) / sum);
  const double n = static_cast<double>(K), effective = sum * sum / squares;
  const double excess = n / effective - 1;
  return {largest + ::log(sum / n), effective, K > 1 ? ::sqrt((excess > 0 ? excess : 0) / (n - 1)) : 0};
}

}  // namespace emshap::math
