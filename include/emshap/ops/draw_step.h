#pragma once
// One step of drawing from the set-GRU (models/set_gru.h) for pairs of a state and one feature, each in a
// single pass over small blocks, so that nothing but states and draws leaves the cache. P pairs, H hidden
// units, C components. States h (N, H): N = P, or N = 1 where all pairs share one. Pairs are independent:
// their values do not depend on how they are cut into calls (but at level eigen). Not collective.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"
#include "emshap/ops/set_head.h"

namespace emshap::ops {

/// Draws x (P) of a numeric feature: u0 = relu(h W_state + mean m_0 + log_sd m_1 + e) and on as in set_head.h
/// (O = 3 C), the mixture as in density.h. mean (N), log_sd one number, state (H, H). `uniform` (P):
/// numbers strictly between 0 and 1, whose quantiles are drawn. log_q (P) += log q(x), or an empty view.
EMSHAP_API void draw_from_state(Context& ctx, ConstTensorView h, ConstTensorView mean, double log_sd,
                                ConstTensorView state, const SetHeadWeights& weights, ConstTensorView uniform,
                                TensorView x, TensorView log_q);

/// h_next (P, H) = GRU(h, token) as gru_token_forward: gi = value wa + wb[slot], gh = h weight + bias. value
/// (P), wa (3 H), wb (S, 3 H), slot (P) i32 or an empty view (all 0), weight (H, 3 H), bias (3 H). h_next may
/// be h.
EMSHAP_API void advance_state(Context& ctx, ConstTensorView h, ConstTensorView value, ConstTensorView wa,
                              ConstTensorView wb, ConstTensorView slot, ConstTensorView weight,
                              ConstTensorView bias, TensorView h_next);

}  // namespace emshap::ops
