#pragma once
// Which features are known in training: how large S is in each step, and masks drawn at random.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/core/random.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

enum class Masking : std::uint8_t {
  uniform,    ///< every size of S equally often
  bernoulli,  ///< every feature is known with probability 1/2
  kernel,     ///< sizes by the mass of the Shapley kernel, (F - 1) / (a (F - a)); size 0, where the kernel is
              ///< infinite, like size 1 (Lundberg & Lee 2017, theorem 2)
  linear,     ///< one size a step: the mask rate rises evenly from min_mask_rate to max_mask_rate
  progressive,  ///< uniform over the mask rates from min_mask_rate to where `linear` stands
};
/// Throws ConfigError.
EMSHAP_API Masking parse_masking(const std::string& name);
EMSHAP_API const char* to_string(Masking masking);

/// The mask rate is the share of features that are hidden, |U| / F; only linear and progressive have one.
struct MaskingOptions {
  Masking kind = Masking::uniform;
  double min_mask_rate = .2, max_mask_rate = .8;
  friend bool operator==(const MaskingOptions&, const MaskingOptions&) = default;
};

/// P(|S| = a) for a = 0..F-1 at `step` (from 0) of `total_steps`; the sum is 1. Throws ConfigError for rates
/// outside 0..1 or in the wrong order, and for F < 1.
EMSHAP_API std::vector<double> size_weights(const MaskingOptions& options, std::int64_t step,
                                            std::int64_t total_steps, std::int64_t features);

/// mask (B, F), float32 or float64 on the CPU: row i gets |S| uniform on 0..n-1, n its number of observed
/// entries, and S uniform among the observed subsets of that size, by `key` and rows[i] alone. `observed` is
/// (B, F), of the mask's type, or empty when everything is. Takes no memory.
EMSHAP_API void draw_masks(const RandomKey& key, std::span<const std::int64_t> rows, ConstTensorView observed,
                           TensorView mask);

}  // namespace emshap
