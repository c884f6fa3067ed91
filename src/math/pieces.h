#pragma once
// Which piece of a piecewise function holds at a point.
#include <cstdint>

#include "math/host_device.h"

namespace emshap::math {

/// How many of the ascending begin[0..count) are at most x: 0 .. count. NaN is below all of them.
template <class T>
EMSHAP_HD constexpr std::int32_t pieces_begun(const T* begin, std::int32_t count, T x) {
  std::int32_t low = 0, high = count;
  while (low < high) {
    const std::int32_t middle = low + (high - low) / 2;
    if (begin[middle] <= x)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

}  // namespace emshap::math
