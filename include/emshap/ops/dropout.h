#pragma once
// Inverted dropout (Srivastava et al. 2014). The mask is a function of (key, row counted over the batch,
// column), so that it is the same for any thread count and device, and the backward pass recomputes it
// instead of storing it.
#include "emshap/core/context.h"
#include "emshap/core/random.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

/// y = x * keep / (1 - p), keep = 0 with probability p, drawn in steps of 2^-16. p = 0 copies. y may be x.
/// (rows, cols) Throws ConfigError unless 0 <= p < 1.
EMSHAP_API void dropout_forward(Context& ctx, ConstTensorView x, double p, const RandomKey& key,
                                TensorView y);
/// dx = dy * keep / (1 - p) with the same mask. dx may be dy.
EMSHAP_API void dropout_backward(Context& ctx, ConstTensorView dy, double p, const RandomKey& key,
                                 TensorView dx);

}  // namespace emshap::ops
