#pragma once
// Random subsets of the observed entries of a row, see ops/masked_input.h.
#include <cstdint>

#include "math/philox.h"
#include "math/random_value.h"

namespace emshap::math {

/// The size that a uniform number u stands for, sizes 0..n-1, with weights `sizes`.
EMSHAP_HD std::int64_t size_of_set(const double* sizes, std::int64_t n, double u) {
  double total = 0;
  for (std::int64_t a = 0; a < n; ++a) total += sizes[a];
  double below = 0;
  for (std::int64_t a = 0; a + 1 < n; ++a) {
    below += sizes[a];
    if (u * total < below) return a;
  }
  return n - 1;
}

/// One row of ops::random_masks; observed, mask and weight (count), mask or weight may be `observed`.
template <class T>
EMSHAP_HD void random_mask(const PhiloxRow& row, const double* sizes, double scale, std::int64_t count,
                           const T* observed, T* mask, T* weight) {
  std::int64_t n = 0;
  for (std::int64_t t = 0; t < count; ++t) n += observed[t] > T(.5);
  PhiloxBlock block = row.block(0);
  const std::int64_t size = n == 0 ? 0 : size_of_set(sizes, n, double(uniform_from(block.word[0])));
  const T share = n == 0 ? T(0) : T(scale / double(n - size));
  // Selection sampling (Knuth, volume 2, algorithm S): of `left` entries, `wanted` are still to be taken.
  std::int64_t left = n, wanted = size;
  for (std::int64_t t = 0; t < count; ++t) {
    const std::int64_t position = t + 1;
    if (position % 4 == 0) block = row.block(static_cast<std::uint32_t>(position / 4));
    const bool candidate = observed[t] > T(.5);
    const bool taken = candidate && uniform_from(block.word[position % 4]) * float(left) < float(wanted);
    mask[t] = taken ? T(1) : T(0);
    weight[t] = candidate && !taken ? share : T(0);
    left -= candidate;
    wanted -= taken;
  }
}

}  // namespace emshap::math
