#pragma once
// Raw values of draws, one feature at a time.
#include <cstdint>
#include <vector>

#include "emshap/data/feature_space.h"

namespace emshap {

/// FeatureSpace::to_raw for single features: inverse transform, widened range, grid, categories. The space
/// must outlive it.
class DrawMap {
 public:
  explicit DrawMap(const FeatureSpace& space);

  std::int64_t features() const { return static_cast<std::int64_t>(input_.size()); }
  /// Raw column of feature t.
  std::int64_t input(std::int64_t t) const { return input_[static_cast<std::size_t>(t)]; }
  /// raw[i raw_stride] from x[i x_stride], i < n. Returns how many lay outside the widened range. Throws
  /// NumericalError for NaN.
  template <class T>
  std::int64_t to_raw(std::int64_t t, const T* x, std::int64_t x_stride, std::int64_t n, float* raw,
                      std::int64_t raw_stride) const;

 private:
  const FeatureSpace* space_;
  std::vector<std::int64_t> input_;
};

}  // namespace emshap
