#pragma once
// A mean over rows that need not be independent, and how far it may be off.
#include <cstdint>
#include <span>

#include "emshap/core/export.h"

namespace emshap {

/// A mean and how far it may be off by the choice of rows.
struct Estimate {
  double value = 0, standard_error = 0;  ///< NaN where there is nothing to average; no error for one cluster
};

/// sum y / sum n, with the linearised (sandwich) standard error of a ratio whose entries are independent
/// between clusters only: e_c = sum_c (y - value n), SE^2 = C/(C-1) sum_c e_c^2 / (sum n)^2 (Cochran 1977,
/// ch. 6). `cluster` numbers the cluster of each entry; empty: each its own. Throws ShapeError for lists of
/// different lengths.
EMSHAP_API Estimate ratio_estimate(std::span<const double> y, std::span<const double> n,
                                   std::span<const std::int64_t> cluster);

}  // namespace emshap
