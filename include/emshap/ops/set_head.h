#pragma once
// The head of the set-GRU (models/set_gru.h) for pairs of a state and a feature, all of one feature. P pairs,
// N states, H hidden units, O outputs (3 C of a mixture or V_t logits):
//   u0 = relu(state[index] + mean m_0 + log_sd m_1 + e),  u = u0 + relu(u0 W),  out = u W_out + b_out
// `state` is W1_h h, computed once per state and not per pair. Not collective: sums cover the pairs given.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

struct SetHeadPairs {
  ConstTensorView index;   ///< (P) i32: row of state (N, H)
  ConstTensorView mean;    ///< (P): of the base
  ConstTensorView log_sd;  ///< (P)
};

struct SetHeadWeights {
  ConstTensorView moments;  ///< (2, H): m
  ConstTensorView feature;  ///< (H): e
  ConstTensorView hidden;   ///< (H, H): W
  ConstTensorView out;      ///< (H, O): W_out; columns of a wider matrix will do
  ConstTensorView bias;     ///< (O)
};

/// What backward adds to, of the shapes of SetHeadWeights.
struct SetHeadGradients {
  TensorView moments, feature, hidden, out, bias;
};

/// u0, u (P, H) and out (P, O). u0 and u are read by backward; without it u0 may be u.
EMSHAP_API void set_head_forward(Context& ctx, const SetHeadPairs& pairs, const SetHeadWeights& weights,
                                 ConstTensorView state, TensorView u0, TensorView u, TensorView out);

/// From dout (P, O) and the results of forward: dstate (N, H) += and the gradients of the weights +=, pairs
/// in order. hidden_t (H, H) and out_t (O, H) are the transposed weights. The moments get no gradient. u0 and
/// u are overwritten.
EMSHAP_API void set_head_backward(Context& ctx, const SetHeadPairs& pairs, ConstTensorView hidden_t,
                                  ConstTensorView out_t, ConstTensorView dout, TensorView u0, TensorView u,
                                  TensorView dstate, const SetHeadGradients& gradients);

}  // namespace emshap::ops
