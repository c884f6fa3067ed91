#pragma once
// v(S, x) by weighted draws of the unknown features from a density model: EmSHAP's own value function, and
// the Gaussian's and the Gaussian copula's.
#include <memory>
#include <string>
#include <vector>

#include "emshap/data/feature_space.h"
#include "emshap/explain/value_function.h"
#include "emshap/models/emshap_model.h"

namespace emshap {

enum class ValueNoise : std::uint8_t {
  sobol,        ///< G independently scrambled Sobol sets of K / G points, the same for all coalitions and
                ///< explicands
  independent,  ///< Philox, by coalition and explicand
};

struct DrawnValueOptions {
  std::int64_t draws = 128;     ///< K
  std::int64_t replicates = 4;  ///< G, divides K; 1: the most accurate, without standard errors. Ignored by
                                ///< independent noise
  ValueNoise noise = ValueNoise::sobol;
  /// Generation orders of the unknown features, shared out over the replicates: ascending first, then random
  /// ones. 0: one when the energy's weights are used, four otherwise. More than one together with the energy
  /// is refused.
  std::int64_t orders = 0;
  std::uint64_t seed = 42;
};

/// What a GPU does; null: the CPU does it.
struct DeviceParts {
  const EmshapModel* model = nullptr;  ///< a copy of the density model (copy_to_device): draws and weighs
  const Predictor* f = nullptr;        ///< of the predictor (Predictor::on_device), beside the model
};

/// `space`, `model` and `f` must outlive the value function, and so must the copies `on_device`. Rows that
/// lack values under the energy's weights, and coalitions of all features, are left to the CPU. Throws
/// ConfigError for options that do not fit together and for a predictor of other columns than the space's.
EMSHAP_API std::unique_ptr<ValueFunction> drawn_values(std::string name, const FeatureSpace& space,
                                                       const EmshapModel& model, const Predictor& f,
                                                       const DrawnValueOptions& options,
                                                       const DeviceParts& on_device = {});

/// The K uniform points (K, F) f32 shared by all coalitions and explicands, replicate after replicate, and
/// the order (F) in which the draws of each replicate are generated: what an exported graph holds as
/// constants.
struct EMSHAP_API SharedNoise {
  Tensor uniforms;
  std::vector<std::vector<std::int64_t>> order;  ///< (G)
  static SharedNoise make(std::int64_t features, const DrawnValueOptions& options, bool energy_used);
};

}  // namespace emshap
