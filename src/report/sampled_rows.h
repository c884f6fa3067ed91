#pragma once
#include "emshap/report/density_evaluation.h"

namespace emshap::report {

/// As many unconditional draws as raw rows (at most 2,000), with the energy's weights where the model uses
/// them (sampling-importance resampling), and the feature pairs with the strongest rank correlation in the
/// data.
SampledRows sample_rows(const FeatureSpace& space, const EmshapModel& model, const Tensor& raw,
                        std::uint64_t seed);

}  // namespace emshap::report
