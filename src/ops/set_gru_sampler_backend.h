#pragma once
// Backend of set_gru_sampler.h: CUDA alone has it.
#include "core/mat.h"
#include "emshap/core/context.h"
#include "emshap/core/random.h"
#include "math/sampler_shape.h"

namespace emshap::cuda {

using Floats = Mat<const float>;
using Integers = Mat<const std::int32_t>;

struct SetGruParameters {
  math::SamplerSizes sizes;
  Floats wa, wb, weight_hh, state, moments, feature, hidden, mixture, category;
  const float *bias_hh, *start, *mixture_bias, *category_bias, *values, *frequencies;
  const std::int32_t* offsets;
};

enum class SetGruMode : std::uint8_t { context, draw, draw_one_shot, score, conditionals };
/// Whether features are drawn, and whether values are taken in.
constexpr bool draws(SetGruMode m) {
  return m == SetGruMode::draw || m == SetGruMode::draw_one_shot;
}
constexpr bool takes_in(SetGruMode m) {
  return m != SetGruMode::draw_one_shot && m != SetGruMode::conditionals;
}

struct SetGruTask {
  SetGruMode mode;
  std::int64_t rows, draws;  ///< B; K, 1 but for drawing
  Floats x, mask;
  Integers code, sequence;
  const std::int32_t *known, *count;
  Floats base_mean, base_log_sd, gains;  ///< gains (B F, F)
  Floats context_in;
  Floats noise;  ///< empty: made from the key
  RandomKey key;
  const std::int32_t* numbers;
  std::int64_t first_draw;
  Mat<float> context;                             ///< out
  Mat<float> drawn, log_q, mixture, categorical;  ///< out, data null where not wanted; mixture (B F, 3 C)
  Mat<std::int32_t> drawn_code;
};

void set_sequences(Context& ctx, Floats mask, Floats target, const std::int64_t* order,
                   Mat<std::int32_t> sequence, std::int32_t* known, std::int32_t* count);
void run_set_gru(Context& ctx, const SetGruParameters& parameters, const SetGruTask& task);

}  // namespace emshap::cuda
