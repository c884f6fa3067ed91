#include "emshap/layers/dropout.h"

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/ops/dropout.h"
#include "emshap/ops/elementwise.h"

namespace emshap {

Dropout::Dropout(const DropoutOptions& options) : options_(options) {
  if (!(options.probability >= 0 && options.probability < 1))
    throw ConfigError(fmt::format("dropout probability is {}, expected 0 <= p < 1", options.probability));
}

void Dropout::infer(Context& ctx, ConstTensorView x, TensorView y) const {
  if (x.data() != y.data()) ops::copy(ctx, x, y);
}

void Dropout::forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) const {
  cache.key = {options_.seed, RandomPurpose::dropout, options_.layer, cache.step};
  ops::dropout_forward(ctx, x, options_.probability, cache.key, y);
}

void Dropout::backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) const {
  if (dx.elements() > 0) ops::dropout_backward(ctx, dy, options_.probability, cache.key, dx);
}

}  // namespace emshap
