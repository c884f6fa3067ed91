#pragma once
// The Gaussian that every proposal starts from: mean and covariance of the training rows in model space, and
// its conditional moments, all in float64.
//   mu_{t|A} = mu_t + Sigma_tA Sigma_AA^-1 (x_A - mu_A),  s^2_{t|A} = Sigma_tt - Sigma_tA Sigma_AA^-1
//   Sigma_At
#include <cstdint>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/tensor.h"

namespace emshap {

struct EMSHAP_API GaussianBase {
  std::vector<double> mean;        ///< (F)
  std::vector<double> covariance;  ///< (F, F), row-major, the ridge included

  static constexpr double ridge =
      1e-3;  ///< Sigma <- Sigma + ridge diag Sigma: duplicate columns make it singular

  std::int64_t features() const { return static_cast<std::int64_t>(mean.size()); }
  /// From rows (N, F) of float32 or float64 with NaN where missing; with missing values by EM (Little & Rubin
  /// 2002, ch. 11), started at the moments of what is present, at most 200 iterations. Throws DataError for
  /// no rows or a column without a value.
  static GaussianBase fit(ConstTensorView rows);
  friend bool operator==(const GaussianBase&, const GaussianBase&) = default;
};

}  // namespace emshap
