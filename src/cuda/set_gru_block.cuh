#pragma once
// What a block of the fused set-GRU kernel holds: weights, the states of its draws, and one number a draw of
// several kinds.
#include "cuda/rows.cuh"
#include "cuda/tile_product.cuh"
#include "ops/set_gru_sampler_backend.h"

namespace emshap::cuda {

/// What the kernel is started with.
struct SetGruLaunch {
  SetGruParameters parameters;
  SetGruTask task;
  math::SamplerTile tile;
  math::SamplerWeights at;
  const float* packed;  ///< weights, rows padded
};

struct SetGruBlock {
  const float* every_step;    ///< shared or packed weights
  float *h, *first, *second;  ///< states and the head's hidden layers, [unit][draw]
  float *means, *heads;
  std::int32_t *row, *position, *end, *feature, *slot;
  float *value, *mu, *log_sd, *log_q;

  __device__ SetGruBlock(const SetGruLaunch& l, float* shared, const float* weights) : every_step(weights) {
    h = shared + l.tile.states[0];
    first = shared + l.tile.states[1];
    second = shared + l.tile.states[2];
    means = shared + l.tile.means;
    heads = shared + l.tile.heads;
    float* numbers = shared + l.tile.numbers;
    const int D = l.tile.draws;
    row = reinterpret_cast<std::int32_t*>(numbers);
    position = row + D;
    end = position + D;
    feature = end + D;
    slot = feature + D;
    value = numbers + 5 * D;
    mu = value + D;
    log_sd = mu + D;
    log_q = log_sd + D;
  }
};

__device__ inline int categories_of(const SetGruParameters& p, int t) {
  return p.offsets == nullptr ? 0 : p.offsets[t + 1] - p.offsets[t];
}
/// The row of wb that feature t reads: its own, or its category's.
__device__ inline std::int32_t slot_of(const SetGruParameters& p, int t, std::int32_t code) {
  const bool embedded = code >= 0 && code < categories_of(p, t);
  return embedded ? static_cast<std::int32_t>(p.sizes.features) + p.offsets[t] + code : t;
}

/// Whether one of the four draws of group g takes part in this step.
__device__ inline bool any_active(const SetGruBlock& b, int g) {
  bool any = false;
  for (int i = 0; i < 4; ++i) any = any || b.feature[4 * g + i] >= 0;
  return any;
}

}  // namespace emshap::cuda
