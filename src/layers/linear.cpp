#include "emshap/layers/linear.h"

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/ops/linear.h"
#include "layers/scratch.h"

namespace emshap {

Linear::Linear(ParameterStore& store, const std::string& name, const LinearOptions& options)
    : options_(options), store_(&store) {
  if (options.inputs < 1 || options.outputs < 1)
    throw ConfigError(fmt::format("linear layer '{}' has {} inputs and {} outputs, expected at least 1", name,
                                  options.inputs, options.outputs));
  if (!derivative_from_output(options.activation))
    throw ConfigError(fmt::format("linear layer '{}' cannot fuse {}, whose derivative needs its input", name,
                                  to_string(options.activation)));
  weight_ = store.add(name + ".weight", {options.inputs, options.outputs}, Decay::yes);
  if (options.bias) bias_ = store.add(name + ".bias", {options.outputs}, Decay::no);
}

void Linear::initialise(std::uint64_t seed) {
  const bool fused = options_.activation != Activation::identity;
  emshap::initialise(*store_, weight_, options_.init, fused ? options_.activation : options_.followed_by,
                     seed);
  if (options_.bias) store_->set(bias_, std::vector<double>(static_cast<std::size_t>(options_.outputs), 0.0));
}

ConstTensorView Linear::bias_view() const {
  return options_.bias ? ConstTensorView(store_->value(bias_)) : ConstTensorView();
}

void Linear::infer(Context& ctx, ConstTensorView x, TensorView y) const {
  ops::linear_forward(ctx, x, store_->value(weight_), bias_view(), options_.activation, y);
}

void Linear::forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) {
  infer(ctx, x, y);
  cache.x = x;
  cache.y = options_.activation == Activation::identity ? ConstTensorView() : y;
}

void Linear::backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) {
  const Workspace::Scope scope(ctx.workspace());
  ConstTensorView dz = dy;
  if (options_.activation != Activation::identity) {
    const TensorView buffer = scratch(ctx, {dy.rows(), dy.cols()}, dy.dtype());
    ops::activation_backward(ctx, options_.activation, {}, cache.y, dy, buffer);
    dz = buffer;
  }
  const TensorView db = options_.bias ? store_->gradient(bias_) : TensorView();
  ops::linear_backward_params(ctx, cache.x, dz, store_->gradient(weight_), db);
  if (wanted(dx)) ops::linear_backward_input(ctx, dz, store_->value(weight_), dx);
}

}  // namespace emshap
