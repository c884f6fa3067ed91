#pragma once
// Rows picked by index: embeddings, orders, tiles of active rows. N rows of a table, D columns, B indices
// (i32, 0 .. N - 1; on the CPU others are a ShapeError). Not collective: sums cover the rows given.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"
#include "emshap/ops/activation.h"

namespace emshap::ops {

/// y (B, D) = table[index]; table (N, D), index (B).
EMSHAP_API void gather_rows(Context& ctx, ConstTensorView table, ConstTensorView index, TensorView y);
/// table[index[b]] = x[b], b ascending, so that the last of equal indices stays.
EMSHAP_API void scatter_rows(Context& ctx, ConstTensorView x, ConstTensorView index, TensorView table);
/// table[index[b]] += x[b], b ascending: the gradient of gather_rows, always in the same order.
EMSHAP_API void scatter_add_rows(Context& ctx, ConstTensorView x, ConstTensorView index, TensorView table);

/// y (B, D) = base + sum_i (table[k, 0..D) + factor[b, i] table[k, D..2D)) with k = index[b, i], i ascending:
/// a sum of piecewise-linear functions whose pieces lie in a table (N, 2 D). base (D), index (B, n) i32,
/// factor (B, n); `activation`: identity or relu, on the sum.
EMSHAP_API void sum_table_lines(Context& ctx, ConstTensorView table, ConstTensorView index,
                                ConstTensorView factor, ConstTensorView base, Activation activation,
                                TensorView y);

}  // namespace emshap::ops
