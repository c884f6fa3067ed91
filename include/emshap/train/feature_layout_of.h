#pragma once
#include "emshap/data/feature_space.h"
#include "emshap/models/feature_layout.h"

namespace emshap {

/// What the density networks need to know about the columns of a feature space: the categories' values in
/// model space and their frequencies.
EMSHAP_API FeatureLayout feature_layout(const FeatureSpace& space);

}  // namespace emshap
