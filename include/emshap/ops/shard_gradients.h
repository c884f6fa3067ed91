#pragma once
// The end of a training step whose rows are independent: every member has worked through its shards alone and
// added their gradients to one slab per shard.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

/// Collective. gradient (n) += sum of the rows of all members' `slabs` (local shards, n) and loss (1) = sum
/// of all members' `losses` (local shards) f64, both in the order of the shards, so that the bits do not
/// depend on the number of threads. All members pass the same gradient; each gets the loss. `slabs` must stay
/// alive until every member is through, which memory of the context's workspace or of a model does.
EMSHAP_API void add_shard_gradients(Context& ctx, ConstTensorView slabs, ConstTensorView losses,
                                    TensorView gradient, TensorView loss);

}  // namespace emshap::ops
