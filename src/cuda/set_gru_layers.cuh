#pragma once
// The layers of the fused set-GRU kernel: gates and head, for all draws of a block. A thread's items are four
// draws and four units; gates never leave its registers.
#include "cuda/set_gru_block.cuh"
#include "math/gru.h"

namespace emshap::cuda {

/// first = relu(h W_state + mu m_0 + log_sd m_1 + e_t)
__device__ inline void first_head_layer(const SetGruLaunch& l, const SetGruBlock& b) {
  const int units = static_cast<int>(l.at.units), groups = units / 4, S = l.tile.stride;
  const float *w = b.every_step + l.at.state, *m = b.every_step + l.at.moments;
  const float* features = l.packed + l.at.feature;
  for (int item = static_cast<int>(threadIdx.x); item < groups * (l.tile.draws / 4);
       item += static_cast<int>(blockDim.x)) {
    const int u = item % groups * 4, g = item / groups;
    if (!any_active(b, g)) continue;
    float sum[1][4][4] = {};
    add_tile_product<1>(b.h + 4 * g, S, w + u, units, 0, static_cast<int>(l.parameters.sizes.hidden), sum);
    const Quad m0 = load_quad(m + u), m1 = load_quad(m + units + u);
    Quad out[4];
    EMSHAP_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int d = 4 * g + i, t = b.feature[d] < 0 ? 0 : b.feature[d];
      const Quad e = load_quad(features + static_cast<std::int64_t>(t) * units + u);
      EMSHAP_UNROLL
      for (int j = 0; j < 4; ++j) {
        const float fixed = math::mul_add(b.log_sd[d], m1.at[j], e.at[j]);
        const float z = math::mul_add(b.mu[d], m0.at[j], sum[0][i][j] + fixed);
        out[j].at[i] = z < 0.f ? 0.f : z;  // keeps NaN
      }
    }
    EMSHAP_UNROLL
    for (int j = 0; j < 4; ++j) store_quad(b.first + (u + j) * S + 4 * g, out[j]);
  }
}

/// second = first + relu(first W_hidden)
__device__ inline void second_head_layer(const SetGruLaunch& l, const SetGruBlock& b) {
  const int units = static_cast<int>(l.at.units), groups = units / 4, S = l.tile.stride;
  const float* w = b.every_step + l.at.hidden;
  for (int item = static_cast<int>(threadIdx.x); item < groups * (l.tile.draws / 4);
       item += static_cast<int>(blockDim.x)) {
    const int u = item % groups * 4, g = item / groups;
    if (!any_active(b, g)) continue;
    float sum[1][4][4] = {};
    add_tile_product<1>(b.first + 4 * g, S, w + u, units, 0, static_cast<int>(l.parameters.sizes.hidden),
                        sum);
    EMSHAP_UNROLL
    for (int j = 0; j < 4; ++j) {
      Quad out = load_quad(b.first + (u + j) * S + 4 * g);
      EMSHAP_UNROLL
      for (int i = 0; i < 4; ++i) out.at[i] += sum[0][i][j] < 0.f ? 0.f : sum[0][i][j];
      store_quad(b.second + (u + j) * S + 4 * g, out);
    }
  }
}

/// heads: 3 C outputs of numeric features, the logits of categorical ones.
__device__ inline void head_outputs(const SetGruLaunch& l, const SetGruBlock& b) {
  const SetGruParameters& p = l.parameters;
  const int D = l.tile.draws, S = l.tile.stride, H = static_cast<int>(p.sizes.hidden);
  const int outputs = static_cast<int>(3 * p.sizes.components), groups = static_cast<int>(l.at.outputs) / 4;
  const float *w = b.every_step + l.at.mixture, *bias = b.every_step + l.at.mixture_bias;
  // One draw and four outputs a thread: there are too few outputs for larger items.
  for (int item = static_cast<int>(threadIdx.x); item < D * groups; item += static_cast<int>(blockDim.x)) {
    const int d = item % D, o = item / D * 4, t = b.feature[d];
    if (t < 0 || categories_of(p, t) > 0) continue;
    Quad sum{};
    for (int k = 0; k < H; ++k) {
      const float x = b.second[k * S + d];
      const Quad y = load_quad(w + k * l.at.outputs + o);
      EMSHAP_UNROLL
      for (int j = 0; j < 4; ++j) sum.at[j] = math::mul_add(x, y.at[j], sum.at[j]);
    }
    EMSHAP_UNROLL
    for (int j = 0; j < 4 && o + j < outputs; ++j)
      b.heads[d * l.tile.head_stride + o + j] = sum.at[j] + bias[o + j];
  }
  const int widest = static_cast<int>(p.sizes.widest);
  for (int item = static_cast<int>(threadIdx.x); item < D * widest; item += static_cast<int>(blockDim.x)) {
    const int d = item % D, v = item / D, t = b.feature[d];
    if (t < 0 || v >= categories_of(p, t)) continue;
    const int column = p.offsets[t] + v;
    float sum = 0;
    for (int k = 0; k < H; ++k) sum = math::mul_add(b.second[k * S + d], row_of(p.category, k)[column], sum);
    b.heads[d * l.tile.head_stride + v] = sum + p.category_bias[column];
  }
}

/// first = GRU(h, token) for draws that take part, h for the others.
__device__ inline void advance_states(const SetGruLaunch& l, const SetGruBlock& b) {
  const int units = static_cast<int>(l.at.units), groups = units / 4, S = l.tile.stride;
  const float *w = b.every_step + l.at.weight_hh, *bias = b.every_step + l.at.bias_hh;
  const float *wa = l.packed + l.at.wa, *wb = l.packed + l.at.wb;
  for (int item = static_cast<int>(threadIdx.x); item < groups * (l.tile.draws / 4);
       item += static_cast<int>(blockDim.x)) {
    const int u = item % groups * 4, g = item / groups;
    float gh[3][4][4];
    EMSHAP_UNROLL
    for (int p = 0; p < 3; ++p) {
      const Quad start = load_quad(bias + p * units + u);
      EMSHAP_UNROLL
      for (int i = 0; i < 4; ++i) {
        EMSHAP_UNROLL
        for (int j = 0; j < 4; ++j) gh[p][i][j] = start.at[j];
      }
    }
    if (any_active(b, g))
      add_tile_product<3>(b.h + 4 * g, S, w + u, 3 * units, units,
                          static_cast<int>(l.parameters.sizes.hidden), gh);
    Quad next[4];
    EMSHAP_UNROLL
    for (int j = 0; j < 4; ++j) next[j] = load_quad(b.h + (u + j) * S + 4 * g);
    EMSHAP_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int d = 4 * g + i, t = b.feature[d];
      if (t < 0) continue;
      const float value = b.value[d];
      Quad gi[3];
      EMSHAP_UNROLL
      for (int p = 0; p < 3; ++p) {
        const Quad a = load_quad(wa + static_cast<std::int64_t>(t) * 3 * units + p * units + u);
        const Quad c = load_quad(wb + static_cast<std::int64_t>(b.slot[d]) * 3 * units + p * units + u);
        EMSHAP_UNROLL
        for (int j = 0; j < 4; ++j) gi[p].at[j] = math::mul_add(value, a.at[j], c.at[j]);
      }
      EMSHAP_UNROLL
      for (int j = 0; j < 4; ++j) {
        const auto rates = math::gru_rates(gi[0].at[j] + gh[0][i][j], gi[1].at[j] + gh[1][i][j]);
        const float n = math::gru_tanh(math::mul_add(rates.r, gh[2][i][j], gi[2].at[j]));
        const math::GruGates<float> gates{rates.r, rates.z, n, gh[2][i][j]};
        next[j].at[i] = math::gru_state(gates, next[j].at[i]);
      }
    }
    EMSHAP_UNROLL
    for (int j = 0; j < 4; ++j) store_quad(b.first + (u + j) * S + 4 * g, next[j]);
  }
}

}  // namespace emshap::cuda
