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

/// out (rows) = log sum_c exp x[r, c], without overflow; -inf for no columns or only -inf. Row by row, not
/// collective, as is its gradient.
EMSHAP_API void log_sum_exp(Context& ctx, ConstTensorView x, TensorView out);
/// dx (rows, cols) = dout[r] exp(x[r, c] - out[r]); dx may be x.
EMSHAP_API void log_sum_exp_backward(Context& ctx, ConstTensorView x, ConstTensorView out,
                                     ConstTensorView dout, TensorView dx);

}  // namespace emshap::ops
