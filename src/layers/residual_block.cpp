#include "emshap/layers/residual_block.h"

#include "emshap/ops/elementwise.h"
#include "layers/scratch.h"

namespace emshap {

ResidualBlock::ResidualBlock(ParameterStore& store, const std::string& name, const ResidualBlockOptions& o)
    : first_(store, name + ".first",
             {.inputs = o.features,
              .outputs = o.features,
              .batch_norm = o.batch_norm,
              .activation = o.activation,
              .dropout = o.dropout,
              .init = o.init,
              .seed = o.seed,
              .dropout_layer = o.dropout_layer}),
      second_(store, name + ".second",
              {.inputs = o.features, .outputs = o.features, .bias = !o.batch_norm, .init = o.init}) {}

void ResidualBlock::initialise(std::uint64_t seed) {
  first_.initialise(seed);
  second_.initialise(seed);
}

void ResidualBlock::infer(Context& ctx, ConstTensorView x, TensorView y) const {
  const Workspace::Scope scope(ctx.workspace());
  const TensorView h = scratch(ctx, {x.rows(), x.cols()}, x.dtype());
  first_.infer(ctx, x, h);
  second_.infer(ctx, h, y);
  ops::add(ctx, x, y, y);
}

void ResidualBlock::forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) {
  cache.h.ensure({x.rows(), x.cols()}, x.dtype(), ctx.device());
  cache.first.step = cache.step;
  first_.forward(ctx, x, cache.h, cache.first);
  second_.forward(ctx, cache.h, y, cache.second);
  ops::add(ctx, x, y, y);  // in place: without an activation, second_ does not look at its output again
}

void ResidualBlock::backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) {
  const Workspace::Scope scope(ctx.workspace());
  const TensorView dh = scratch(ctx, {dy.rows(), dy.cols()}, dy.dtype());
  second_.backward(ctx, cache.second, dy, dh);
  first_.backward(ctx, cache.first, dh, dx);
  if (wanted(dx)) ops::add(ctx, dx, dy, dx);
}

}  // namespace emshap
