#pragma once
// Rows picked by index: embeddings, orders, tiles of active rows. N rows of a table, D columns, B indices
// (i32, 0 .. N - 1; on the CPU others are a ShapeError). Not collective: sums cover the rows given.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

/// y (B, D) = table[index]; table (N, D), index (B).
EMSHAP_API void gather_rows(Context& ctx, ConstTensorView table, ConstTensorView index, TensorView y);
/// table[index[b]] = x[b], b ascending, so that the last of equal indices stays.
EMSHAP_API void scatter_rows(Context& ctx, ConstTensorView x, ConstTensorView index, TensorView table);
/// table[index[b]] += x[b], b ascending: the gradient of gather_rows, always in the same order.
EMSHAP_API void scatter_add_rows(Context& ctx, ConstTensorView x, ConstTensorView index, TensorView table);

}  // namespace emshap::ops
