#include "emshap/layers/mlp_block.h"

#include "layers/scratch.h"

namespace emshap {
namespace {

// What the product takes along: without batch norm, an activation that can be undone from its output.
Activation fused_in_linear(const MlpBlockOptions& o) {
  return !o.batch_norm && derivative_from_output(o.activation) ? o.activation : Activation::identity;
}
bool activation_in_norm(const MlpBlockOptions& o) {
  return o.batch_norm && derivative_from_output(o.activation);
}
bool dropout_in_norm(const MlpBlockOptions& o) {
  return o.batch_norm && o.dropout > 0 && BatchNorm::can_fuse(o.activation, o.dropout);
}

LinearOptions linear_options(const MlpBlockOptions& o) {
  return {.inputs = o.inputs,
          .outputs = o.outputs,
          .bias = !o.batch_norm,
          .activation = fused_in_linear(o),
          .init = o.init,
          .followed_by = o.activation};
}

}  // namespace

MlpBlock::MlpBlock(ParameterStore& store, const std::string& name, const MlpBlockOptions& o)
    : options_(o), linear_(store, name + ".linear", linear_options(o)) {
  if (o.batch_norm)
    norm_.emplace(store, name + ".norm",
                  BatchNormOptions{.features = o.outputs,
                                   .activation = activation_in_norm(o) ? o.activation : Activation::identity,
                                   .dropout = dropout_in_norm(o) ? o.dropout : 0,
                                   .seed = o.seed,
                                   .dropout_layer = o.dropout_layer});
  if (!derivative_from_output(o.activation)) activation_.emplace(o.activation);
  if (o.dropout != 0 && !dropout_in_norm(o))
    dropout_.emplace(DropoutOptions{.probability = o.dropout, .seed = o.seed, .layer = o.dropout_layer});
}

void MlpBlock::initialise(std::uint64_t seed) {
  linear_.initialise(seed);
  if (norm_) norm_->initialise();
}

void MlpBlock::infer(Context& ctx, ConstTensorView x, TensorView y) const {
  if (norm_) {
    const Workspace::Scope scope(ctx.workspace());
    const TensorView z = scratch(ctx, {x.rows(), options_.outputs}, x.dtype());
    linear_.infer(ctx, x, z);
    norm_->infer(ctx, z, y);
  } else {
    linear_.infer(ctx, x, y);
  }
  if (activation_) activation_->infer(ctx, y, y);
}

void MlpBlock::forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) {
  // The last stage writes y, the others a tensor of the cache.
  const auto output = [&](Tensor& kept, bool last) {
    if (last) return y;
    kept.ensure({x.rows(), options_.outputs}, x.dtype(), ctx.device());
    return kept.view();
  };
  TensorView at = output(cache.z, !norm_ && !activation_ && !dropout_);
  linear_.forward(ctx, x, at, cache.linear);
  if (norm_) {
    const TensorView next = output(cache.n, !activation_ && !dropout_);
    cache.norm.step = cache.step;
    norm_->forward(ctx, at, next, cache.norm);
    at = next;
  }
  if (activation_) {
    const TensorView next = output(cache.a, !dropout_);
    activation_->forward(ctx, at, next, cache.activation);
    at = next;
  }
  if (dropout_) {
    cache.dropout.step = cache.step;
    dropout_->forward(ctx, at, y, cache.dropout);
  }
}

void MlpBlock::backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) {
  const Workspace::Scope scope(ctx.workspace());
  ConstTensorView gradient = dy;
  TensorView buffer;
  if (dropout_ || activation_ || norm_) buffer = scratch(ctx, {dy.rows(), dy.cols()}, dy.dtype());
  if (dropout_) {
    dropout_->backward(ctx, cache.dropout, gradient, buffer);
    gradient = buffer;
  }
  if (activation_) {
    activation_->backward(ctx, cache.activation, gradient, buffer);
    gradient = buffer;
  }
  if (norm_) {
    norm_->backward(ctx, cache.norm, gradient, buffer);
    gradient = buffer;
  }
  linear_.backward(ctx, cache.linear, gradient, dx);
}

}  // namespace emshap
