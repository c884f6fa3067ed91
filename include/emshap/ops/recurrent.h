#pragma once
// The gated recurrent unit (Cho et al. 2014) as PyTorch computes it, without the products. B rows, H hidden
// units; gates stand in the order r, z, n:
//   gi = x W_ih + b_ih, gh = h W_hh + b_hh   (B, 3 H)
//   r = sigmoid(gi_r + gh_r), z = sigmoid(gi_z + gh_z), n = tanh(gi_n + r * gh_n), h' = (1 - z) * n + z * h
// ONNX writes the same unit as GRU with linear_before_reset = 1 and the gate order z, r, h (h is our n).
//
// `gates` (B, 4 H) keeps r, z, n, gh_n for the backward pass.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

/// h_next (B, H) from gi, gh (B, 3 H) and h (B, H); `gates` (B, 4 H) may be an empty view, h_next may be h.
EMSHAP_API void gru_forward(Context& ctx, ConstTensorView gi, ConstTensorView gh, ConstTensorView h,
                            TensorView h_next, TensorView gates);

/// From dh_next (B, H): dgi, dgh (B, 3 H), and the share of dh (B, H) that does not pass through gh: dh_next
/// * z. dh may be dh_next.
EMSHAP_API void gru_backward(Context& ctx, ConstTensorView gates, ConstTensorView h, ConstTensorView dh_next,
                             TensorView dgi, TensorView dgh, TensorView dh);

/// What a row reads in a step of the token form: gi = value wa[feature] + wb[slot]. A row with feature -1
/// reads nothing in this step: its state stays. All (B).
struct GruTokens {
  ConstTensorView value;    ///< of the type of the other tensors
  ConstTensorView feature;  ///< i32, row of wa (F, 3 H), or -1
  ConstTensorView slot;     ///< i32, row of wb (S, 3 H)
};

/// gru_forward with gi taken from tokens, so that no product with the input is formed.
EMSHAP_API void gru_token_forward(Context& ctx, const GruTokens& tokens, ConstTensorView wa,
                                  ConstTensorView wb, ConstTensorView gh, ConstTensorView h,
                                  TensorView h_next, TensorView gates);

/// Backward of gru_token_forward. `gates` (B, 4 H) is overwritten by dgh (columns 0 .. 3 H) and dgi_n (the
/// last H columns); dgi_r = dgh_r, dgi_z = dgh_z. dh (B, H) holds dh_next before and dh_next * z (dh_next for
/// a row without token) after. dwa[feature] += value dgi and dwb[slot] += dgi, rows in order.
EMSHAP_API void gru_token_backward(Context& ctx, const GruTokens& tokens, ConstTensorView h, TensorView gates,
                                   TensorView dh, TensorView dwa, TensorView dwb);

}  // namespace emshap::ops
