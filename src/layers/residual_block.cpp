#include "emshap/layers/residual_block.h"

#include "emshap/ops/elementwise.h"
#include "layers/scratch.h"

namespace emshap {
namespace {

MlpBlockOptions half(const ResidualBlockOptions& o, Activation activation, double dropout) {
  return {.inputs = o.features,
          .outputs = o.features,
          .batch_norm = o.batch_norm,
          .activation = activation,
          .dropout = dropout,
          .init = o.init,
          .seed = o.seed,
          .dropout_layer = o.dropout_layer};
}

}  // namespace

ResidualBlock::ResidualBlock(ParameterStore& store, const std::string& name, const ResidualBlockOptions& o)
    : first_(store, name + ".first", half(o, o.activation, o.dropout)),
      second_(store, name + ".second", half(o, Activation::identity, 0)) {}

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
  cache.first.step = cache.second.step = cache.step;
  first_.forward(ctx, x, cache.h, cache.first);
  second_.forward(ctx, cache.h, y,
                  cache.second);  // ends without activation, so backward does not need its output
  ops::add(ctx, x, y, y);
}

void ResidualBlock::backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) {
  const Workspace::Scope scope(ctx.workspace());
  const TensorView dh = scratch(ctx, {dy.rows(), dy.cols()}, dy.dtype());
  second_.backward(ctx, cache.second, dy, dh);
  first_.backward(ctx, cache.first, dh, dx);
  if (wanted(dx)) ops::add(ctx, dx, dy, dx);
}

}  // namespace emshap
