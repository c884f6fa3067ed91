#pragma once
// The order in which a row's features become known: S ascending, then the others ascending or in a given
// order.
#include <cstdint>

namespace emshap {

struct SequenceCounts {
  std::int32_t known = 0;  ///< entries of S, first in the sequence
  std::int32_t used = 0;   ///< known and wanted entries
};

/// Fills sequence[0..used) for one row of F features: known ones ascending (mask > .5), then the unknown ones
/// for which wanted(t) holds, in the order of `order` (a permutation of the features; null: ascending). The
/// entries behind are the remaining features, so that it is a permutation.
template <class T, class Wanted>
SequenceCounts make_sequence(const T* mask, std::int64_t features, const Wanted& wanted,
                             std::int32_t* sequence, const std::int64_t* order = nullptr) {
  SequenceCounts n;
  for (std::int64_t t = 0; t < features; ++t)
    if (mask[t] > T(.5)) sequence[n.used++] = static_cast<std::int32_t>(t);
  n.known = n.used;
  for (std::int64_t i = 0; i < features; ++i) {
    const std::int64_t t = order == nullptr ? i : order[i];
    if (!(mask[t] > T(.5)) && wanted(t)) sequence[n.used++] = static_cast<std::int32_t>(t);
  }
  std::int64_t end = n.used;
  for (std::int64_t t = 0; t < features; ++t)
    if (!(mask[t] > T(.5)) && !wanted(t)) sequence[end++] = static_cast<std::int32_t>(t);
  return n;
}

}  // namespace emshap
