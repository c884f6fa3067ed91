#pragma once
// What a density model must beat: Gaussians in two spaces, fitted on the same rows and scored by the same
// code.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/data/feature_space.h"
#include "emshap/models/emshap_model.h"

namespace emshap::report {

struct DensityBaseline {
  std::string name;
  FeatureSpace space;
  std::unique_ptr<EmshapModel> model;  ///< without an energy
};

/// "Gaussian" on standardised columns and "Gaussian copula" on normal scores, both without categories; ties
/// as `options` say. Raw rows (N, names.size()) float32, missing values NaN; tied values are spread over
/// their tiles to fit the moments. Throws DataError as FeatureSpace::fit and GaussianBase::fit do.
EMSHAP_API std::vector<DensityBaseline> fit_density_baselines(const std::vector<std::string>& names,
                                                              ConstTensorView train,
                                                              ConstTensorView validation,
                                                              FeatureSpaceOptions options,
                                                              std::uint64_t seed);

}  // namespace emshap::report
