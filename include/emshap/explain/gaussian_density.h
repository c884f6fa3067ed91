#pragma once
// The Gaussian and the Gaussian copula as density models: what a learned density must beat.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emshap/data/feature_space.h"
#include "emshap/models/emshap_model.h"

namespace emshap {

/// A Gaussian fitted in one of two spaces.
struct GaussianDensity {
  FeatureSpace space;
  std::unique_ptr<EmshapModel> model;  ///< without an energy, f64
};

/// Of standardised columns (FeatureTransform::standardise) or of normal scores (quantile: the copula),
/// without categories; ties as `options` say, which also decide about `automatic` on the validation rows.
/// Raw rows (N, columns.size()) f32, missing values NaN (by EM, Little & Rubin 2002); tied values are spread
/// over their tiles to fit the moments. What is drawn from it may lack any value. Throws DataError as
/// FeatureSpace::fit and GaussianBase::fit do.
EMSHAP_API GaussianDensity fit_gaussian_density(const std::vector<std::string>& columns,
                                                ConstTensorView train, ConstTensorView validation,
                                                const FeatureSpaceOptions& options, std::uint64_t seed);

}  // namespace emshap
