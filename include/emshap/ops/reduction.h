#pragma once
// Sums. Over rows they cover all rows of the team's batch, as partials per shard added in shard order.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

/// out (cols) = sum over rows of x (B, cols); every member of a team gets the same bits.
EMSHAP_API void sum_over_rows(Context& ctx, ConstTensorView x, TensorView out);
/// out (rows) = sum of each row of x (rows, cols).
EMSHAP_API void sum_over_columns(Context& ctx, ConstTensorView x, TensorView out);
/// out (1) = sum of all elements over the team's batch.
EMSHAP_API void sum(Context& ctx, ConstTensorView x, TensorView out);
/// out (1) = sum of squares of all elements of a tensor that all members share (a parameter or gradient
/// buffer): fixed blocks of 4096 elements, added in order.
EMSHAP_API void sum_of_squares_shared(Context& ctx, ConstTensorView x, TensorView out);

}  // namespace emshap::ops
