#pragma once
// How the Gaussian base (ops/gaussian_base.h) is eliminated by blocks of a GPU: a block takes one row after
// another, with the lower triangle of the row's covariance in shared memory, or in global memory when it is
// too large for that.
#include "math/launch_shape.h"

namespace emshap::math {

/// Where entry (j, m), m <= j, of a lower triangle lies.
EMSHAP_HD constexpr std::int64_t triangle(std::int64_t j) {
  return j * (j + 1) / 2;
}

struct BaseShape {
  int threads = 0;
  std::int64_t blocks = 0;
  std::int64_t shared_bytes = 0;
  std::int64_t triangle_bytes = 0;  ///< of a block in global memory; 0: it is in shared memory
};

/// Lanes that work on one row of the triangle.
inline constexpr int base_lanes = 8;
/// Doubles a feature that a block keeps beside the triangle: mean, value, smallest pivot, column, gain, and
/// half of one each for the sequence and its inverse.
inline constexpr std::int64_t base_vectors = 6;
/// Triangles in global memory, all blocks together.
inline constexpr std::int64_t base_most_bytes = std::int64_t{128} << 20;

/// `most_shared`: bytes of shared memory that a block may have.
EMSHAP_HD constexpr BaseShape base_shape(std::int64_t rows, std::int64_t features, std::int64_t most_shared) {
  if (rows == 0 || features == 0) return {};
  BaseShape s;
  s.threads = features <= 32 ? 32 : features <= 64 ? 64 : features <= 128 ? 128 : 256;
  const std::int64_t size = triangle(features) * 8, vectors = base_vectors * features * 8;
  const bool fits = size + vectors <= most_shared;
  s.shared_bytes = fits ? size + vectors : vectors;
  s.triangle_bytes = fits ? 0 : size;
  std::int64_t most = std::int64_t{1} << 20;
  if (!fits) {
    most = base_most_bytes / size;
    most = most < 1 ? 1 : most < 512 ? most : 512;
  }
  s.blocks = rows < most ? rows : most;
  return s;
}

}  // namespace emshap::math
