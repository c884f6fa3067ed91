#pragma once
// One feature's predictive distribution against its outcome, in raw units divided by the training sd.
#include <cstdint>
#include <span>
#include <vector>

#include "emshap/data/feature_space.h"
#include "emshap/models/marginal.h"

namespace emshap::report {

struct ForecastScore {
  double crps = 0;
  double error = 0;  ///< mean - outcome
  double pit = 0;    ///< probability integral transform
};

/// Brings distributions of feature t from model space to raw units.
class ColumnForecast {
 public:
  ColumnForecast(const FeatureSpace& space, std::int64_t t);
  /// Log-density of the outcome per sd; of its tile or category divided by the width.
  double log_likelihood(const Marginal& q, double raw) const;
  /// `uniform` on (0, 1) places the transform inside the step of a tied value or category.
  ForecastScore score(const Marginal& q, double raw, double uniform) const;

 private:
  std::size_t category(double raw) const;
  double pit(const Marginal& q, double raw, double uniform) const;
  ForecastScore on_grid(const Marginal& q, double raw) const;
  ForecastScore between_nodes(const Marginal& q, double raw) const;

  const FeatureSpace* space_;
  const FeatureColumn* column_;
  std::int64_t feature_;
  double low_, high_;          // where draws are clamped to
  std::vector<double> edges_;  // model space: between neighbouring values of a column on a grid
};

/// Scores of the empirical distribution of `sorted` (n >= 1, ascending), divided by `sd`.
class EmpiricalForecast {
 public:
  EmpiricalForecast(std::vector<double> values, double sd);
  ForecastScore score(double raw, double uniform) const;

 private:
  std::vector<double> sorted_, sum_;   // sum_[i]: of the first i
  double sd_, mean_ = 0, spread_ = 0;  // spread: E|X - X'|
};

}  // namespace emshap::report
