#pragma once
// Raw values of draws, one feature at a time.
#include <cstdint>
#include <vector>

#include "emshap/core/tensor.h"
#include "emshap/data/feature_space.h"
#include "emshap/ops/pieces.h"

namespace emshap {

/// A DrawMap's tables on a device, for ops::complete_rows.
class DeviceDrawMap {
 public:
  ops::Pieces pieces() const { return {first, begin, origin, low, high}; }
  ops::PieceLines lines() const { return {value, slope, least, greatest}; }
  const Tensor& feature() const { return feature_of; }

 private:
  friend class DrawMap;
  Tensor first, begin, origin, low, high, value, slope, least, greatest, feature_of;
};

/// FeatureSpace::to_raw for single features: inverse transform, widened range, grid, categories. All of these
/// together are one increasing function of the draw, made of straight pieces; float32 draws are looked up in
/// a table of them, float64 ones are computed as FeatureSpace does. The space must outlive it.
class DrawMap {
 public:
  explicit DrawMap(const FeatureSpace& space);

  std::int64_t features() const { return static_cast<std::int64_t>(input_.size()); }
  /// Raw column of feature t.
  std::int64_t input(std::int64_t t) const { return input_[static_cast<std::size_t>(t)]; }
  /// raw[i raw_stride] from x[i x_stride], i < n. Returns how many lay outside the widened range. Throws
  /// NumericalError for NaN.
  std::int64_t to_raw(std::int64_t t, const float* x, std::int64_t x_stride, std::int64_t n, float* raw,
                      std::int64_t raw_stride) const;
  std::int64_t to_raw(std::int64_t t, const double* x, std::int64_t x_stride, std::int64_t n, float* raw,
                      std::int64_t raw_stride) const;
  /// What to_raw does with float32 draws, bit for bit.
  DeviceDrawMap on_device(Device device) const;

 private:
  /// Piece j holds from begin[j - 1] (the first float32 on it) on: value[j] + slope[j] (x - origin[j]).
  struct Pieces {
    std::vector<float> begin, origin, value, slope;
    float low = 0, high = 0;  ///< draws beyond these lie outside the widened range
    // Where to look: the range is cut into equal buckets, entry b is the number of pieces that begin in
    // earlier ones.
    float per_width = 0;
    std::vector<std::int32_t> before;
    std::int32_t bucket(float z) const;
    std::size_t find(float z) const;
  };
  static void index(Pieces& p);
  Pieces grid(std::size_t t) const;
  Pieces lines(std::size_t t) const;
  [[noreturn]] void not_a_number(std::int64_t t) const;

  const FeatureSpace* space_;
  std::vector<std::int64_t> input_;
  std::vector<Pieces> pieces_;
};

}  // namespace emshap
