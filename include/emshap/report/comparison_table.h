#pragma once
#include <string>

#include "emshap/core/export.h"
#include "emshap/explain/comparison.h"

namespace emshap::report {

/// Methods beside each other, lowest MSEv first, with what they are behind and cost, and the recommendation.
/// Where `variance` (of f over the rows) is positive, MSEv is given as a share of it.
EMSHAP_API std::string comparison_table(const MethodComparison& comparison, double variance = 0);

}  // namespace emshap::report
