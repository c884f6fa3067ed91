// The fused set-GRU: a block carries a tile of draws (or rows) from their first step to their last. What a
// block reads from global memory is weights once, two rows of the tokens' tables, a row of gains and a number
// per draw and step; what it writes is results. So products bound it: 2 (4 H^2 + H^2 + 3 C H) operations a
// draw and step, 16 multiplications a load from shared memory at the gates.
//
// Draws stand at the same STEP, not at the same feature: rows with different masks, orders and missing
// features share a tile, and its length is that of the longest sequence in it. All weights but a few rows are
// the same for all features.
#include "cuda/set_gru_draw.cuh"
#include "cuda/set_gru_layers.cuh"
#include "emshap/core/error.h"

namespace emshap::cuda {
namespace {

// -- packing ----------------------------------------------------------------------------------------------

/// rows x parts x cols numbers, each run of `cols` padded with zeros.
struct Piece {
  const float* from;
  std::int64_t rows, parts, cols, stride, padded, to;
};
constexpr int pieces = 11;
struct Pieces {
  Piece piece[pieces];
};

__global__ void pack_weights_kernel(Pieces all, float* to) {
  const Piece& p = all.piece[blockIdx.y];
  const std::int64_t total = p.rows * p.parts * p.padded,
                     step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total;
       i += step) {
    const std::int64_t c = i % p.padded, part = i / p.padded % p.parts, r = i / p.padded / p.parts;
    to[p.to + i] = c < p.cols ? p.from[r * p.stride + part * p.cols + c] : 0.f;
  }
}

// -- sequences --------------------------------------------------------------------------------------------

constexpr int order_part = 512;
struct OrderPart {
  std::int32_t feature[order_part];
};

/// One row a thread; positions [first, first + n) of the order, the known features before them when first =
/// 0.
__global__ void set_sequences_kernel(Floats mask, Floats target, OrderPart part, bool ascending,
                                     std::int64_t first, std::int64_t n, Mat<std::int32_t> sequence,
                                     std::int32_t* known, std::int32_t* count) {
  const std::int64_t r = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (r >= sequence.rows) return;
  const float *m = row_of(mask, r), *wanted = target.data == nullptr ? nullptr : row_of(target, r);
  std::int32_t* to = row_of(sequence, r);
  std::int32_t used = first == 0 ? 0 : count[r];
  if (first == 0) {
    for (std::int64_t t = 0; t < mask.cols; ++t)
      if (m[t] > .5f) to[used++] = static_cast<std::int32_t>(t);
    known[r] = used;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t t = ascending ? first + i : part.feature[i];
    if (!(m[t] > .5f) && (wanted == nullptr || wanted[t] > .5f)) to[used++] = static_cast<std::int32_t>(t);
  }
  count[r] = used;
}

// -- all steps --------------------------------------------------------------------------------------------

/// Rows, positions, states, means and what is known of the results, before the first step.
__device__ void begin_draws(const SetGruLaunch& l, const SetGruBlock& b, std::int64_t first) {
  const SetGruTask& task = l.task;
  const int D = l.tile.draws, F = static_cast<int>(l.parameters.sizes.features);
  const int H = static_cast<int>(l.parameters.sizes.hidden), units = static_cast<int>(l.at.units);
  const bool context = task.mode == SetGruMode::context;
  const std::int64_t total = task.rows * task.draws;
  const int me = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  for (int d = me; d < D; d += threads) {
    const bool there = first + d < total;
    const std::int64_t row = there ? (first + d) / task.draws : 0;
    b.row[d] = static_cast<std::int32_t>(row);
    b.position[d] = !there || context ? 0 : task.known[row];
    b.end[d] = !there ? 0 : context ? task.known[row] : task.count[row];
    b.feature[d] = -1;
    b.slot[d] = 0;
    b.value[d] = b.mu[d] = b.log_sd[d] = b.log_q[d] = 0.f;
  }
  __syncthreads();
  for (int i = me; i < units * D; i += threads) {
    const int k = i / D, d = i % D;
    float state = 0.f;
    if (k < H) state = context ? l.parameters.start[k] : row_of(task.context_in, b.row[d])[k];
    b.h[k * l.tile.stride + d] = state;
    b.first[k * l.tile.stride + d] = b.second[k * l.tile.stride + d] = 0.f;
  }
  if (context) return;
  for (int i = me; i < D * F; i += threads) {
    const int d = i / F, t = i % F, row = b.row[d];
    b.means[d * l.tile.mean_stride + t] = row_of(task.base_mean, row)[t];
    if (!draws(task.mode) || first + d >= total) continue;
    const bool known = row_of(task.mask, row)[t] > .5f;
    row_of(task.drawn, first + d)[t] = known ? row_of(task.x, row)[t] : 0.f;
    if (task.drawn_code.data != nullptr)
      row_of(task.drawn_code, first + d)[t] = known ? row_of(task.code, row)[t] : -1;
  }
}

/// The feature of each draw at this step and what its head or the GRU takes in.
__device__ void begin_step(const SetGruLaunch& l, const SetGruBlock& b, int step) {
  const SetGruTask& task = l.task;
  for (int d = static_cast<int>(threadIdx.x); d < l.tile.draws; d += static_cast<int>(blockDim.x)) {
    const int p = b.position[d] + step, row = b.row[d];
    const int t = p < b.end[d] ? row_of(task.sequence, row)[p] : -1;
    b.feature[d] = t;
    if (t < 0) continue;
    if (task.mode == SetGruMode::context) {
      b.value[d] = row_of(task.x, row)[t];
      b.slot[d] = slot_of(l.parameters, t, task.code.data == nullptr ? -1 : row_of(task.code, row)[t]);
    } else {
      b.mu[d] = b.means[d * l.tile.mean_stride + t];
      b.log_sd[d] = row_of(task.base_log_sd, row)[takes_in(task.mode) ? p : t];
    }
  }
}

/// The base's mean of all features once a draw's value is known.
__device__ void update_means(const SetGruLaunch& l, const SetGruBlock& b, int step) {
  const int F = static_cast<int>(l.parameters.sizes.features);
  for (int i = static_cast<int>(threadIdx.x); i < l.tile.draws * F; i += static_cast<int>(blockDim.x)) {
    const int d = i / F, t = i % F;
    if (b.feature[d] < 0) continue;
    const float gain =
        row_of(l.task.gains, static_cast<std::int64_t>(b.row[d]) * F + b.position[d] + step)[t];
    float& mean = b.means[d * l.tile.mean_stride + t];
    mean = math::mul_add(gain, b.value[d] - b.mu[d], mean);
  }
}

__device__ void write_results(const SetGruLaunch& l, const SetGruBlock& b, std::int64_t first) {
  const SetGruTask& task = l.task;
  const int D = l.tile.draws, H = static_cast<int>(l.parameters.sizes.hidden);
  const std::int64_t total = task.rows * task.draws;
  const int me = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  if (task.mode == SetGruMode::context)
    for (int i = me; i < D * H; i += threads)
      if (first + i / H < total)
        row_of(task.context, first + i / H)[i % H] = b.h[i % H * l.tile.stride + i / H];
  if (task.log_q.data != nullptr)
    for (int d = me; d < D; d += threads)
      if (first + d < total) task.log_q.data[first + d] = b.log_q[d];
}

template <bool SharedWeights>
__global__ void __launch_bounds__(math::sampler_threads) set_gru_kernel(SetGruLaunch l) {
  float* shared = shared_memory<float>();
  if (SharedWeights) copy_quads(l.packed, l.at.every_step, shared);
  SetGruBlock b(l, shared, SharedWeights ? shared : l.packed);
  const int D = l.tile.draws;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * D;
  const SetGruMode mode = l.task.mode;
  begin_draws(l, b, first);
  __syncthreads();
  int steps = 0;
  for (int d = 0; d < D; ++d) {
    const int length = b.end[d] - b.position[d];
    steps = length > steps ? length : steps;
  }
  for (int step = 0; step < steps; ++step) {
    begin_step(l, b, step);
    __syncthreads();
    if (mode != SetGruMode::context) {
      first_head_layer(l, b);
      __syncthreads();
      second_head_layer(l, b);
      __syncthreads();
      head_outputs(l, b);
      __syncthreads();
      for (int d = static_cast<int>(threadIdx.x); d < D; d += static_cast<int>(blockDim.x)) {
        if (b.feature[d] < 0) continue;
        if (categories_of(l.parameters, b.feature[d]) > 0)
          finish_categorical(l, b, d, first + d);
        else
          finish_numeric(l, b, d, first + d);
      }
      __syncthreads();
      if (!takes_in(mode) || step + 1 == steps) continue;
      update_means(l, b, step);
    }
    advance_states(l, b);
    __syncthreads();
    float* before = b.h;
    b.h = b.first;
    b.first = before;
  }
  write_results(l, b, first);
}

Pieces pieces_of(const SetGruParameters& p, const math::SamplerWeights& at) {
  const std::int64_t H = p.sizes.hidden, O = 3 * p.sizes.components, U = at.units;
  return {{{p.weight_hh.data, H, 3, H, p.weight_hh.stride, U, at.weight_hh},
           {p.bias_hh, 1, 3, H, 0, U, at.bias_hh},
           {p.state.data, H, 1, H, p.state.stride, U, at.state},
           {p.hidden.data, H, 1, H, p.hidden.stride, U, at.hidden},
           {p.mixture.data, H, 1, O, p.mixture.stride, at.outputs, at.mixture},
           {p.mixture_bias, 1, 1, O, 0, at.outputs, at.mixture_bias},
           {p.moments.data, 2, 1, H, p.moments.stride, U, at.moments},
           {p.feature.data, p.feature.rows, 1, H, p.feature.stride, U, at.feature},
           {p.wa.data, p.wa.rows, 3, H, p.wa.stride, U, at.wa},
           {p.wb.data, p.wb.rows, 3, H, p.wb.stride, U, at.wb},
           {p.start, 1, 1, H, 0, U, at.start}}};
}

}  // namespace

void set_sequences(Context& ctx, Floats mask, Floats target, const std::int64_t* order,
                   Mat<std::int32_t> sequence, std::int32_t* known, std::int32_t* count) {
  const std::int64_t F = mask.cols, at_once = order == nullptr ? F : order_part;
  const Grid grid{math::ceil_div(sequence.rows, math::pointwise_threads), math::pointwise_threads};
  for (std::int64_t first = 0; first < F; first += at_once) {
    const std::int64_t n = F - first < at_once ? F - first : at_once;
    OrderPart part{};  // travels with the launch: no copy to wait for
    if (order != nullptr)
      for (std::int64_t i = 0; i < n; ++i) part.feature[i] = static_cast<std::int32_t>(order[first + i]);
    launch(ctx, "set_sequences", set_sequences_kernel, grid, mask, target, part, order == nullptr, first, n,
           sequence, known, count);
  }
}

void run_set_gru(Context& ctx, const SetGruParameters& parameters, const SetGruTask& task) {
  const std::int64_t total = task.rows * task.draws;
  if (total == 0) return;
  const math::SamplerTile tile =
      math::sampler_tile(parameters.sizes, total, block_shared_limit(ctx.device().index));
  if (tile.draws == 0)
    throw DeviceError(
        "the set-GRU is too large for the GPU: four draws with their states, base means and heads "
        "do not fit into the shared memory of a block; use --device cpu");
  const math::SamplerWeights at = math::sampler_weights(parameters.sizes);
  const Workspace::Scope scope(ctx.workspace());
  float* packed = ctx.workspace().take<float>(at.total);
  launch(ctx, "set_gru_pack", pack_weights_kernel, Grid{8, 256, 0, pieces}, pieces_of(parameters, at),
         packed);
  const Grid grid{math::ceil_div(total, tile.draws), math::sampler_threads, tile.bytes};
  const SetGruLaunch l{parameters, task, tile, at, packed};
  launch(ctx, "set_gru", tile.shared_weights ? set_gru_kernel<true> : set_gru_kernel<false>, grid, l);
}

}  // namespace emshap::cuda
