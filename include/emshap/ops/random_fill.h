#pragma once
// Bulk random numbers: element (row r of the batch, column c) depends on (key, r, c) only.
#include "emshap/core/context.h"
#include "emshap/core/random.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

/// y ~ U(low, high), (rows, cols): low + (high - low) u with u strictly between 0 and 1, rounded; the same
/// bits at every instruction-set level. Throws ConfigError unless low <= high are finite.
EMSHAP_API void fill_uniform(Context& ctx, const RandomKey& key, double low, double high, TensorView y);
/// y ~ N(mean, sd^2) by the inverse distribution function (Wichura 1988, AS 241). Throws ConfigError unless
/// mean and sd are finite and sd >= 0. In both, float elements are the double ones with fewer digits.
EMSHAP_API void fill_normal(Context& ctx, const RandomKey& key, double mean, double sd, TensorView y);

}  // namespace emshap::ops
