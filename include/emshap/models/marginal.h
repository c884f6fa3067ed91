#pragma once
// The distribution of one feature given others, on the host in double: what evaluation asks of it.
#include <cstdint>
#include <span>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/models/proposal.h"

namespace emshap {

/// A mixture of C Gaussians, or V values with probabilities.
class EMSHAP_API Marginal {
 public:
  /// Log-weights need not be normalised. Throws ConfigError for no components, lists of different lengths or
  /// numbers that are not finite.
  static Marginal mixture(std::span<const double> log_weights, std::span<const double> means,
                          std::span<const double> log_sds);
  /// Values in any order, probabilities (not negative) are normalised; values given twice are joined.
  static Marginal discrete(std::span<const double> values, std::span<const double> probabilities);
  /// The distribution of feature t in a row of `conditionals`. Throws ShapeError for one out of range.
  static Marginal of(const Conditionals& conditionals, const FeatureLayout& layout, std::int64_t row,
                     std::int64_t t);

  bool is_discrete() const { return discrete_; }

  /// Log of the density at x; discrete: of the probability of x, -inf where it is no value.
  double log_pdf(double x) const;
  double pdf(double x) const;
  /// P(X <= x).
  double cdf(double x) const;
  /// log P(left < X <= right), accurate in both tails; -inf for left >= right.
  double log_interval(double left, double right) const;
  /// The smallest x with P(X <= x) >= p, 0 < p < 1, to about 1e-14 of the distribution's scale. Throws
  /// ConfigError for p outside.
  double quantile(double p) const;
  double mean() const;
  double variance() const;
  /// Continuous ranked probability score of the outcome x: int (F(t) - [t >= x])^2 dt = E|X - x| - E|X - X'|
  /// / 2. Mixture: closed form of Grimit, Gneiting, Berrocal & Johnson 2006.
  double crps(double x) const;

  /// Mixture: weights (not logs), means, standard deviations. Discrete: probabilities, values ascending,
  /// empty.
  const std::vector<double>& weights() const { return weights_; }
  const std::vector<double>& locations() const { return locations_; }
  const std::vector<double>& scales() const { return scales_; }

 private:
  Marginal() = default;
  bool discrete_ = false;
  std::vector<double> weights_, locations_, scales_, log_weights_;
};

/// The score of a (weighted) sample as a distribution of its own: sum_k w_k |x_k - x| - sum_kj w_k w_j |x_k -
/// x_j| / 2, in O(K log K). Weights (K) not negative, or empty for equal ones; they are normalised. Throws
/// ConfigError for an empty sample.
EMSHAP_API double crps_of_sample(std::span<const double> sample, std::span<const double> weights, double x);
/// The smallest value of the sample at which its distribution function reaches p.
EMSHAP_API double quantile_of_sample(std::span<const double> sample, std::span<const double> weights,
                                     double p);

}  // namespace emshap
