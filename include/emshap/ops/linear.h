#pragma once
// Affine maps. B rows, K inputs, N outputs. Weights are stored (K, N), inputs by outputs, so that forward
// products read both operands along rows without packing.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"
#include "emshap/ops/activation.h"

namespace emshap::ops {

/// y (B, N) = activation(x (B, K) w (K, N) + bias (N)). `bias` may be an empty view.
EMSHAP_API void linear_forward(Context& ctx, ConstTensorView x, ConstTensorView w, ConstTensorView bias,
                               Activation activation, TensorView y);

/// dx (B, K) = dy (B, N) w^T, or dx += with `accumulate`.
EMSHAP_API void linear_backward_input(Context& ctx, ConstTensorView dy, ConstTensorView w, TensorView dx,
                                      bool accumulate = false);

/// dw (K, N) += x^T dy and db (N) += column sums of dy, over all rows of the team's batch: partial sums per
/// shard, added in shard order. `db` may be an empty view. All members of a team pass the same dw and db.
EMSHAP_API void linear_backward_params(Context& ctx, ConstTensorView x, ConstTensorView dy, TensorView dw,
                                       TensorView db);

}  // namespace emshap::ops
