#pragma once
// How well a plain Gaussian describes rows with missing entries: enough to compare transforms.
#include <cstdint>
#include <vector>

namespace emshap {

/// Rows of width F, NaN = missing.
struct ScoreRows {
  std::size_t width = 0;
  std::vector<double> values;
  std::size_t rows() const { return width == 0 ? 0 : values.size() / width; }
};

/// Fits mean and covariance to `train` (pairs of entries that are both present; eigenvalues of the
/// correlation matrix at least 1e-3) and gives the mean log-density of the present entries of `test`, per
/// entry.
double gaussian_score(const ScoreRows& train, const ScoreRows& test);

}  // namespace emshap
