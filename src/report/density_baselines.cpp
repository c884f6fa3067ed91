#include "emshap/report/density_baselines.h"

#include <utility>

#include "emshap/explain/gaussian_density.h"

namespace emshap::report {

std::vector<DensityBaseline> fit_density_baselines(const std::vector<std::string>& names,
                                                   ConstTensorView train, ConstTensorView validation,
                                                   FeatureSpaceOptions options, std::uint64_t seed) {
  std::vector<DensityBaseline> out;
  for (const auto& [name, transform] : {std::pair{"Gaussian", FeatureTransform::standardise},
                                        std::pair{"Gaussian copula", FeatureTransform::quantile}}) {
    options.transform = transform;
    GaussianDensity fitted = fit_gaussian_density(names, train, validation, options, seed);
    out.push_back({name, std::move(fitted.space), std::move(fitted.model)});
  }
  return out;
}

}  // namespace emshap::report
