#pragma once
// What densities are scored on: pairs of a row and a mask, and sums over such pairs with their standard
// errors.
#include <cstdint>
#include <span>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/core/tensor.h"
#include "emshap/data/estimate.h"

namespace emshap::report {

/// P pairs. Entries of a row that are missing count as unknown whatever the mask says, and are never scored.
struct MaskedRows {
  std::vector<std::int64_t> row;  ///< (P): which of the rows that are scored
  Tensor mask;                    ///< (P, F) float32: 1 = known, 0 = not

  std::int64_t pairs() const { return static_cast<std::int64_t>(row.size()); }
  MaskedRows clone() const { return {row, mask.clone()}; }
  /// The pairs with these numbers, in this order.
  EMSHAP_API MaskedRows select(std::span<const std::int64_t> numbers) const;
};

/// `per_row` masks for each row of `observed` (N, F; 0 = missing): |S| uniform on 0..n-1, n the number of
/// values present, then S uniform among the sets of that size. Mask j of row r depends on the seed, r and j
/// only. Rows without a value are left out. Pair order: row by row.
EMSHAP_API MaskedRows uniform_masks(ConstTensorView observed, std::int64_t per_row, std::uint64_t seed);

using emshap::Estimate;
using emshap::ratio_estimate;

/// Mean, standard deviation and range of what was added.
class EMSHAP_API Summary {
 public:
  void add(double value);
  void merge(const Summary& other);
  std::int64_t count() const { return count_; }
  double mean() const;
  double sd() const;  ///< population
  double min() const { return min_; }
  double max() const { return max_; }

 private:
  std::int64_t count_ = 0;
  double mean_ = 0, m2_ = 0, min_ = 0, max_ = 0;  // Welford 1962
};

}  // namespace emshap::report
