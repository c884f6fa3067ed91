#pragma once
// Losses of ops/energy_loss.h for one row, in double: scores[0] of the data, scores[1..K] of draws. A row may
// be shared by several lanes, each with some of its draws.
#include <cmath>

#include "emshap/ops/energy_loss.h"
#include "math/host_device.h"

namespace emshap::math {

/// A row that nobody shares: lane 0 of 1.
struct SingleLane {
  std::int64_t lane = 0, lanes = 1;
  /// The sum of the lanes' values, the largest, NaN if there is one; the lanes meet before any goes on.
  EMSHAP_HD double sum(double value) const { return value; }
  EMSHAP_HD double largest(double value) const { return value; }
  /// What lanes read before, others may overwrite afterwards.
  EMSHAP_HD void meet() const {}
};

EMSHAP_HD double softplus_in_double(double x) {
  return (x > 0 ? x : 0) + ::log1p(::exp(x > 0 ? -x : x));
}
EMSHAP_HD double sigmoid_in_double(double x) {
  const double e = ::exp(x > 0 ? -x : x);
  return (x < 0 ? e : 1) / (1 + e);
}

/// The row's loss, for every lane; gradient[i] = weight d loss / d scores[i] unless null; it may be `scores`.
/// Scores of draws above `limit` count as the limit.
template <class T, class Lanes>
EMSHAP_HD double energy_loss_of_row(EnergyLoss kind, const T* scores, std::int64_t K, double limit,
                                    double weight, T* gradient, const Lanes& lanes) {
  const double data = static_cast<double>(scores[0]);
  const std::int64_t first = 1 + lanes.lane, step = lanes.lanes;
  const bool leads = lanes.lane == 0;
  const auto draw = [&](std::int64_t k) EMSHAP_INLINE_LAMBDA {
    const double s = static_cast<double>(scores[k]);
    return s > limit ? limit : s;  // NaN stays
  };
  lanes.meet();
  if (kind == EnergyLoss::binary_nce) {
    double sum = 0;
    const double share = 1 / static_cast<double>(K);
    for (std::int64_t k = first; k <= K; k += step) {
      const double s = draw(k);
      const bool cut = static_cast<double>(scores[k]) > limit;
      sum += softplus_in_double(s);
      if (gradient != nullptr) gradient[k] = static_cast<T>(cut ? 0 : weight * share * sigmoid_in_double(s));
    }
    if (gradient != nullptr && leads) gradient[0] = static_cast<T>(-weight * sigmoid_in_double(-data));
    return softplus_in_double(-data) + share * lanes.sum(sum);
  }
  const bool ranking = kind == EnergyLoss::ranking_nce;
  double largest = ranking ? data : -__builtin_inf();
  for (std::int64_t k = first; k <= K; k += step) {
    const double s = draw(k);
    if (!(s <= largest)) largest = s;
  }
  largest = lanes.largest(largest);
  double sum = ranking && leads ? ::exp(data - largest) : 0;
  for (std::int64_t k = first; k <= K; k += step) sum += ::exp(draw(k) - largest);
  sum = lanes.sum(sum);
  if (gradient != nullptr) {
    for (std::int64_t k = first; k <= K; k += step) {
      const bool cut = static_cast<double>(scores[k]) > limit;
      gradient[k] = static_cast<T>(cut ? 0 : weight * (::exp(draw(k) - largest) / sum));
    }
    if (leads) gradient[0] = static_cast<T>(weight * ((ranking ? ::exp(data - largest) / sum : 0) - 1));
  }
  const double log_sum = largest + ::log(sum) - data;
  return ranking ? log_sum : log_sum - ::log(static_cast<double>(K));
}

/// Weights w_k / sum w and what they are worth, from log w (K).
struct ImportanceSummary {
  double log_z, effective, error;
};
template <class T, class Lanes>
EMSHAP_HD ImportanceSummary importance_weights_of_row(const T* log_w, std::int64_t K, T* weights,
                                                      const Lanes& lanes) {
  const std::int64_t first = lanes.lane, step = lanes.lanes;
  double largest = -__builtin_inf();
  for (std::int64_t k = first; k < K; k += step) {
    const double l = static_cast<double>(log_w[k]);
    if (l > largest || l != l) largest = l;
    if (l != l) break;
  }
  largest = lanes.largest(largest);
  if (largest == -__builtin_inf()) {
    if (weights != nullptr)
      for (std::int64_t k = first; k < K; k += step) weights[k] = static_cast<T>(1 / static_cast<double>(K));
    return {largest, 0, __builtin_inf()};
  }
  double sum = 0, squares = 0;
  for (std::int64_t k = first; k < K; k += step) {
    const double w = ::exp(static_cast<double>(log_w[k]) - largest);
    sum += w;
    squares += w * w;
  }
  sum = lanes.sum(sum);
  squares = lanes.sum(squares);
  if (weights != nullptr)
    for (std::int64_t k = first; k < K; k += step)
      weights[k] = static_cast<T>(::exp(static_cast<double>(log_w[k]) - largest) / sum);
  const double n = static_cast<double>(K), effective = sum * sum / squares;
  const double excess = n / effective - 1;
  return {largest + ::log(sum / n), effective, K > 1 ? ::sqrt((excess > 0 ? excess : 0) / (n - 1)) : 0};
}

}  // namespace emshap::math
