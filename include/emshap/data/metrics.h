#pragma once
// How good predictions are, computed in double.
#include <cstdint>
#include <span>
#include <string>

#include "emshap/core/export.h"

namespace emshap {

struct EMSHAP_API RegressionMetrics {
  std::int64_t rows = 0;
  double mse = 0;   ///< mean (p - t)^2
  double rmse = 0;  ///< sqrt(mse)
  double mae = 0;   ///< mean |p - t|
  double r2 = 0;    ///< 1 - sum (p - t)^2 / sum (t - mean t)^2; NaN when all targets are equal
  double mape =
      0;  ///< mean |p - t| / |t| over rows with t != 0, a fraction (.05 = 5 %); NaN when there are none
  std::int64_t zero_targets = 0;  ///< rows left out of mape because t = 0

  /// {"rows":..., "mse":..., "rmse":..., "mae":..., "r2":..., "mape":..., "zero_targets":...}; NaN becomes
  /// null.
  std::string to_json() const;
};

/// Adds predictions block by block; all metrics are NaN for no rows.
class EMSHAP_API MetricsAccumulator {
 public:
  void add(double prediction, double target);
  void add(std::span<const float> prediction, std::span<const float> target);
  void merge(const MetricsAccumulator& other);
  RegressionMetrics result() const;

 private:
  std::int64_t rows_ = 0, zero_targets_ = 0;
  double squared_ = 0, absolute_ = 0, relative_ = 0;
  double mean_ = 0, m2_ = 0;  // of the targets, Welford 1962; merged by Chan, Golub & LeVeque 1979
};

/// Throws ShapeError for different sizes.
EMSHAP_API RegressionMetrics regression_metrics(std::span<const float> prediction,
                                                std::span<const float> target);

}  // namespace emshap
