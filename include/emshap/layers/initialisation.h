#pragma once
// Initial weights of a linear map with K inputs and N outputs, stored (K, N). Drawn in double from
// RandomKey{seed, initialisation, index of the parameter} and rounded to the store's type, so that a seed
// gives the same numbers in f32 and f64, on every device.
#include <cstdint>
#include <string>
#include <vector>

#include "emshap/core/random.h"
#include "emshap/layers/parameter_store.h"
#include "emshap/ops/activation.h"

namespace emshap {

enum class Init : std::uint8_t {
  zeros,
  xavier_uniform,   ///< U(-a, a), a = sqrt(6 / (K + N)) (Glorot & Bengio 2010)
  xavier_normal,    ///< N(0, 2 / (K + N))
  kaiming_uniform,  ///< U(-a, a), a = gain sqrt(3 / K) (He et al. 2015), gain of the activation that follows
  kaiming_normal,   ///< N(0, gain^2 / K)
  orthogonal,       ///< gain Q, Q^T Q = I or Q Q^T = I, uniform over such matrices (Saxe et al. 2014)
};
/// Parses "xavier_uniform" ... Throws ConfigError listing the names.
EMSHAP_API Init parse_init(const std::string& name);
EMSHAP_API const char* to_string(Init init);

/// Keeps the variance of a signal through weights and activation: sqrt 2 for relu, gelu, silu and softplus,
/// sqrt(2 / (1 + .01^2)) for leaky_relu, 5/3 for tanh, 1 for identity and sigmoid.
EMSHAP_API double init_gain(Activation activation);

/// K * N values, row-major (K, N). Throws ConfigError for negative extents.
EMSHAP_API std::vector<double> initial_weights(Init init, Activation activation, const RandomKey& key,
                                               std::int64_t K, std::int64_t N);

/// Draws the values of the rank-2 parameter `weight`.
EMSHAP_API void initialise(ParameterStore& store, ParameterId weight, Init init, Activation activation,
                           std::uint64_t seed);

}  // namespace emshap
