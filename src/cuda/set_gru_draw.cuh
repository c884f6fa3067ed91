#pragma once
// What one thread of the fused set-GRU kernel does with the head of its draw: draw, score or write the
// distribution.
#include "cuda/set_gru_block.cuh"
#include "emshap/ops/density.h"
#include "math/category.h"
#include "math/mixture.h"
#include "math/philox.h"
#include "math/random_value.h"

namespace emshap::cuda {

/// The uniform number of feature t in draw n.
__device__ inline float noise_of(const SetGruTask& task, std::int64_t n, int t) {
  const std::int64_t row = n / task.draws, k = n % task.draws;
  if (task.noise.data != nullptr) return row_of(task.noise, task.noise.rows == task.draws ? k : n)[t];
  // The counters of fill_draw_noise.
  const math::PhiloxRow stream =
      math::PhiloxStream(task.key).row(static_cast<std::uint64_t>(task.numbers[row]));
  const std::int64_t blocks = (task.x.cols + 3) / 4;
  return math::uniform_from(
      stream.block(static_cast<std::uint32_t>((task.first_draw + k) * blocks + t / 4)).word[t % 4]);
}

__device__ inline void finish_numeric(const SetGruLaunch& l, const SetGruBlock& b, int d, std::int64_t n) {
  const SetGruTask& task = l.task;
  const int C = static_cast<int>(l.parameters.sizes.components), t = b.feature[d];
  const float *head = b.heads + d * l.tile.head_stride, mu = b.mu[d], log_sd = b.log_sd[d];
  float* work = b.heads + d * l.tile.head_stride + l.tile.head_width;
  if (draws(task.mode)) {
    b.value[d] =
        math::mixture_draw_from_head(C, head, mu, log_sd, ops::mixture_min_scale, noise_of(task, n, t), work);
    row_of(task.drawn, n)[t] = b.value[d];
  } else {
    b.value[d] = row_of(task.x, n)[t];
  }
  b.slot[d] = t;
  if (task.log_q.data == nullptr && task.mixture.data == nullptr) return;
  math::mixture_from_head(C, head, mu, log_sd, ops::mixture_min_scale, work);
  if (task.mixture.data != nullptr) {
    float* out = row_of(task.mixture, n * task.x.cols + t);
    for (int i = 0; i < 3 * C; ++i) out[i] = work[i];
  }
  if (task.log_q.data != nullptr) b.log_q[d] += math::mixture_log_density(C, work, b.value[d], work + 3 * C);
}

__device__ inline void finish_categorical(const SetGruLaunch& l, const SetGruBlock& b, int d,
                                          std::int64_t n) {
  const SetGruTask& task = l.task;
  const SetGruParameters& p = l.parameters;
  const int t = b.feature[d], V = categories_of(p, t), offset = p.offsets[t];
  float* head = b.heads + d * l.tile.head_stride;
  math::categorical_log_probabilities(V, head, p.frequencies + offset, ops::category_base_share, head);
  if (task.categorical.data != nullptr)
    for (int v = 0; v < V; ++v) row_of(task.categorical, n)[offset + v] = head[v];
  std::int32_t code = -1;
  if (draws(task.mode)) {
    const auto drawn = math::categorical_draw(V, head, noise_of(task, n, t));
    code = static_cast<std::int32_t>(drawn.code);
    b.value[d] = p.values[offset + code];
    b.log_q[d] += drawn.log_p;
    row_of(task.drawn, n)[t] = b.value[d];
    row_of(task.drawn_code, n)[t] = code;
  } else {
    code = row_of(task.code, n)[t];
    b.value[d] = row_of(task.x, n)[t];
    if (code >= 0 && code < V) b.log_q[d] += head[code];
  }
  b.slot[d] = slot_of(p, t, code);
}

}  // namespace emshap::cuda
