#include "emshap/layers/gru.h"

#include <cmath>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/linear.h"
#include "emshap/ops/recurrent.h"
#include "layers/scratch.h"

namespace emshap {
namespace {

/// Columns of step t of a matrix with `width` columns a step.
template <class View>
View at_step(const View& view, std::int64_t t, std::int64_t width) {
  return view.columns(t * width, width);
}

TensorView zeros(Context& ctx, Shape shape, DType dtype) {
  const TensorView z = scratch(ctx, shape, dtype);
  ops::fill(ctx, 0, z);
  return z;
}

}  // namespace

Gru::Gru(ParameterStore& store, const std::string& name, const GruOptions& o) : options_(o), store_(&store) {
  if (o.inputs < 1 || o.hidden < 1 || o.steps < 1)
    throw ConfigError(
        fmt::format("GRU layer '{}' has {} inputs, {} hidden units and {} steps, expected at least 1", name,
                    o.inputs, o.hidden, o.steps));
  weight_ih_ = store.add(name + ".weight_ih", {o.inputs, 3 * o.hidden}, Decay::yes);
  weight_hh_ = store.add(name + ".weight_hh", {o.hidden, 3 * o.hidden}, Decay::yes);
  bias_ih_ = store.add(name + ".bias_ih", {3 * o.hidden}, Decay::no);
  bias_hh_ = store.add(name + ".bias_hh", {3 * o.hidden}, Decay::no);
}

void Gru::initialise(std::uint64_t seed) {
  const double bound = 1 / std::sqrt(static_cast<double>(options_.hidden));
  for (const ParameterId id : {weight_ih_, weight_hh_, bias_ih_, bias_hh_}) {
    Generator random({.seed = seed,
                      .purpose = RandomPurpose::initialisation,
                      .layer = static_cast<std::uint32_t>(id.index)});
    std::vector<double> values(static_cast<std::size_t>(store_->value(id).elements()));
    for (double& v : values) v = bound * (2 * random.uniform() - 1);
    store_->set(id, values);
  }
}

void Gru::step(Context& ctx, ConstTensorView x, ConstTensorView h, TensorView h_next) const {
  const Workspace::Scope scope(ctx.workspace());
  const TensorView gi = scratch(ctx, {x.rows(), 3 * options_.hidden}, x.dtype());
  const TensorView gh = scratch(ctx, {x.rows(), 3 * options_.hidden}, x.dtype());
  ops::linear_forward(ctx, x, store_->value(weight_ih_), store_->value(bias_ih_), Activation::identity, gi);
  ops::linear_forward(ctx, h, store_->value(weight_hh_), store_->value(bias_hh_), Activation::identity, gh);
  ops::gru_forward(ctx, gi, gh, h, h_next, {});
}

void Gru::infer(Context& ctx, ConstTensorView x, TensorView y) const {
  const Workspace::Scope scope(ctx.workspace());
  infer(ctx, x, zeros(ctx, {x.rows(), options_.hidden}, x.dtype()), y);
}

void Gru::infer(Context& ctx, ConstTensorView x, ConstTensorView start, TensorView y) const {
  for_row_tiles(x.rows(), [&](std::int64_t begin, std::int64_t count) {
    const ConstTensorView rows = x.rows(begin, count);
    const TensorView out = y.rows(begin, count);
    ConstTensorView h = start.rows(begin, count);
    for (std::int64_t t = 0; t < options_.steps; ++t) {
      const TensorView next = at_step(out, t, options_.hidden);
      step(ctx, at_step(rows, t, options_.inputs), h, next);
      h = next;
    }
  });
}

void Gru::forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) {
  forward(ctx, x, {}, y, cache);
}

void Gru::forward(Context& ctx, ConstTensorView x, ConstTensorView start, TensorView y, Cache& cache) {
  const std::int64_t B = x.rows(), H = options_.hidden;
  const Workspace::Scope scope(ctx.workspace());
  cache.x = x;
  cache.y = y;
  cache.start = start;
  cache.gates.ensure({B, options_.steps * 4 * H}, x.dtype(), ctx.device());
  const TensorView gi = scratch(ctx, {B, 3 * H}, x.dtype()), gh = scratch(ctx, {B, 3 * H}, x.dtype());
  ConstTensorView h = start.data() != nullptr ? start : zeros(ctx, {B, H}, x.dtype());
  for (std::int64_t t = 0; t < options_.steps; ++t) {
    const TensorView next = at_step(y, t, H);
    ops::linear_forward(ctx, at_step(x, t, options_.inputs), store_->value(weight_ih_),
                        store_->value(bias_ih_), Activation::identity, gi);
    ops::linear_forward(ctx, h, store_->value(weight_hh_), store_->value(bias_hh_), Activation::identity, gh);
    ops::gru_forward(ctx, gi, gh, h, next, at_step(cache.gates.view(), t, 4 * H));
    h = next;
  }
}

void Gru::backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) {
  backward(ctx, cache, dy, dx, {});
}

void Gru::backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx, TensorView dstart) {
  const std::int64_t B = dy.rows(), H = options_.hidden, I = options_.inputs;
  const DType type = dy.dtype();
  const Workspace::Scope scope(ctx.workspace());
  const TensorView dgi = scratch(ctx, {B, 3 * H}, type), dgh = scratch(ctx, {B, 3 * H}, type);
  const TensorView dh = scratch(ctx, {B, H}, type);
  const ConstTensorView start = cache.start.data() != nullptr ? cache.start : zeros(ctx, {B, H}, type);
  ops::copy(ctx, at_step(dy, options_.steps - 1, H), dh);
  for (std::int64_t t = options_.steps; t-- > 0;) {
    const ConstTensorView h = t > 0 ? at_step(cache.y, t - 1, H) : start;
    ops::gru_backward(ctx, at_step(cache.gates.view(), t, 4 * H), h, dh, dgi, dgh, dh);
    ops::linear_backward_params(ctx, at_step(cache.x, t, I), dgi, store_->gradient(weight_ih_),
                                store_->gradient(bias_ih_));
    ops::linear_backward_params(ctx, h, dgh, store_->gradient(weight_hh_), store_->gradient(bias_hh_));
    if (wanted(dx)) ops::linear_backward_input(ctx, dgi, store_->value(weight_ih_), at_step(dx, t, I));
    ops::linear_backward_input(ctx, dgh, store_->value(weight_hh_), dh, true);
    if (t > 0) ops::add(ctx, dh, at_step(dy, t - 1, H), dh);
  }
  if (wanted(dstart)) ops::copy(ctx, dh, dstart);
}

}  // namespace emshap
