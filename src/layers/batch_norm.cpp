#include "emshap/layers/batch_norm.h"

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "layers/scratch.h"

namespace emshap {

bool BatchNorm::can_fuse(Activation activation, double dropout) {
  return dropout > 0 ? activation == Activation::relu : derivative_from_output(activation);
}

BatchNorm::BatchNorm(ParameterStore& store, const std::string& name, const BatchNormOptions& options)
    : options_(options), store_(&store) {
  if (options.features < 1)
    throw ConfigError(
        fmt::format("batch norm '{}' has {} features, expected at least 1", name, options.features));
  if (!(options.dropout >= 0 && options.dropout < 1))
    throw ConfigError(
        fmt::format("batch norm '{}' has dropout {}, expected 0 <= p < 1", name, options.dropout));
  if (!can_fuse(options.activation, options.dropout))
    throw ConfigError(fmt::format("batch norm '{}' cannot fuse {} with dropout {}", name,
                                  to_string(options.activation), options.dropout));
  gamma_ = store.add(name + ".gamma", {options.features}, Decay::no);
  beta_ = store.add(name + ".beta", {options.features}, Decay::no);
  running_mean_ = store.add_buffer(name + ".running_mean", {options.features}, 0);
  running_var_ = store.add_buffer(name + ".running_var", {options.features}, 1);
}

void BatchNorm::initialise() {
  const std::vector<double> zeros(static_cast<std::size_t>(options_.features), 0.0), ones(zeros.size(), 1.0);
  store_->set(gamma_, ones);
  store_->set(beta_, zeros);
  store_->set(running_mean_, zeros);
  store_->set(running_var_, ones);
}

void BatchNorm::infer(Context& ctx, ConstTensorView x, TensorView y) const {
  const ParameterStore& s = *store_;
  ops::batch_norm_infer(ctx, x, s.value(gamma_), s.value(beta_), options_.eps, s.buffer(running_mean_),
                        s.buffer(running_var_), options_.activation, y);
}

void BatchNorm::forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) {
  cache.mean.ensure({options_.features}, x.dtype(), ctx.device());
  cache.rstd.ensure({options_.features}, x.dtype(), ctx.device());
  cache.epilogue = {.activation = options_.activation,
                    .dropout = static_cast<float>(options_.dropout),
                    .key = {options_.seed, RandomPurpose::dropout, options_.dropout_layer, cache.step}};
  ops::batch_norm_forward(ctx, x, store_->value(gamma_), store_->value(beta_), options_.eps,
                          options_.momentum, store_->buffer(running_mean_), store_->buffer(running_var_),
                          cache.epilogue, y, cache.mean, cache.rstd);
  cache.x = x;
  cache.y = options_.activation == Activation::identity ? ConstTensorView() : y;
}

void BatchNorm::backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) {
  const Workspace::Scope scope(ctx.workspace());
  if (!wanted(dx)) dx = scratch(ctx, {dy.rows(), dy.cols()}, dy.dtype());
  ops::batch_norm_backward(ctx, dy, cache.x, cache.y, store_->value(gamma_), cache.mean, cache.rstd,
                           cache.epilogue, dx, store_->gradient(gamma_), store_->gradient(beta_));
}

}  // namespace emshap
