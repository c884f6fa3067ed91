#pragma once
// How much work goes to one block of a kernel or one step of a loop, as plain numbers, so that tests on a
// machine without a GPU can take the sizes at which loops turn over.
#include <cstdint>

#include "math/host_device.h"

namespace emshap::math {

/// a / b rounded up; a >= 0, b > 0, and no overflow near the largest a.
EMSHAP_HD constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return a / b + (a % b != 0);
}
EMSHAP_HD constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) {
  return ceil_div(a, b) * b;
}

inline constexpr int warp_threads = 32;
inline constexpr int block_threads = 256;  ///< of elementwise kernels and of reductions
inline constexpr int elements_per_thread =
    4;  ///< of elementwise kernels, so that a block covers 1024 elements
inline constexpr std::int64_t most_blocks = 65535;

/// Blocks of an elementwise kernel over n elements: enough to cover them, or most_blocks which then take
/// turns.
EMSHAP_HD constexpr std::int64_t elementwise_blocks(std::int64_t n) {
  const std::int64_t blocks = ceil_div(n, std::int64_t{block_threads} * elements_per_thread);
  return blocks < most_blocks ? blocks : most_blocks;
}

/// Sizes where a loop over blocks of `block` turns over: 0, 1, 2, a warp and its neighbours, a block and its
/// neighbours.
struct TurnOverSizes {
  std::int64_t size[10];
};
constexpr TurnOverSizes turn_over_sizes(std::int64_t block) {
  return {{0, 1, 2, warp_threads - 1, warp_threads, warp_threads + 1, block - 1, block, block + 1,
           3 * block + 7}};
}

}  // namespace emshap::math
