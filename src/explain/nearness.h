#pragma once
// How near training rows are to a row in some of its columns. Private to the empirical baseline.
#include <cstdint>
#include <vector>

#include "emshap/core/tensor.h"

namespace emshap {

/// Mahalanobis distances in the metric of the rows' own covariance, divided by the number of columns.
class Nearness {
 public:
  static constexpr double ridge = 1e-6;  ///< share of the diagonal that is added to it
  /// `rows` (n, D) f32 must outlive it. A column without variance counts in its own unit.
  explicit Nearness(const Tensor& rows);

  /// distance (explicands, n) from explicands (pointers to D values each) by the columns S, ascending, at
  /// least one. The result for one of them does not depend on the others.
  void squared(const std::vector<const float*>& explicands, const std::vector<std::int64_t>& S,
               double* distance) const;
  static constexpr std::int64_t block = 256;  ///< rows worked on at once

 private:
  const Tensor& rows_;
  std::vector<double> mean_, covariance_;  // (D), (D, D)
};

}  // namespace emshap
