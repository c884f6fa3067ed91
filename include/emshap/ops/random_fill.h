#pragma once
// Bulk random numbers: element (row r of the batch, column c) depends on (key, r, c) only.
#include "emshap/core/context.h"
#include "emshap/core/random.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

/// y ~ U(low, high), (rows, cols).
EMSHAP_API void fill_uniform(Context& ctx, const RandomKey& key, double low, double high, TensorView y);
/// y ~ N(mean, sd^2) by the inverse distribution function (Wichura 1988, AS 241).
EMSHAP_API void fill_normal(Context& ctx, const RandomKey& key, double mean, double sd, TensorView y);

}  // namespace emshap::ops
