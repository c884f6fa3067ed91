#pragma once
// Products of the rows given, for networks that work through tiles of rows and add up their gradients
// themselves (see shard_gradients.h). Not collective. All operands may have gaps between rows.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

/// y (M, N) += a (M, K) b (K, N).
EMSHAP_API void add_product(Context& ctx, ConstTensorView a, ConstTensorView b, TensorView y);
/// y (M, N) += a^T b with a (K, M), b (K, N): the gradient of weights.
EMSHAP_API void add_product_at(Context& ctx, ConstTensorView a, ConstTensorView b, TensorView y);
/// y (N) += column sums of x (M, N), rows ascending: the gradient of a bias.
EMSHAP_API void add_column_sums(Context& ctx, ConstTensorView x, TensorView y);
/// y (N, M) = x^T, x (M, N).
EMSHAP_API void transpose(Context& ctx, ConstTensorView x, TensorView y);

}  // namespace emshap::ops
