#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/ops/density.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/gaussian_base.h"
#include "emshap/ops/masked_input.h"
#include "emshap/ops/reduction.h"
#include "layers/send.h"
#include "models/masked_mlp_impl.h"
#include "models/proposal_args.h"

namespace emshap {

void MaskedMlp::Impl::size_member(Member& m, std::int64_t rows, DType dtype, Device device) const {
  for (Tensor* t : {&m.x, &m.mask, &m.weight, &m.numeric_weight, &m.mu, &m.log_sd, &m.value})
    t->ensure({rows, F}, dtype, device);
  m.input.ensure({rows, 4 * F + V}, dtype, device);
  m.h.resize(blocks.size() + 1);
  m.blocks.resize(blocks.size());
  for (Tensor& h : m.h) h.ensure({rows, H}, dtype, device);
  for (Tensor* t : {&m.top, &m.dtop, &m.dh, &m.dother}) t->ensure({rows, H}, dtype, device);
  m.head.ensure({rows, 3 * C * F}, dtype, device);
  m.logits.ensure({rows, V}, dtype, device);
}

/// From x, mask and codes to the heads' outputs.
void MaskedMlp::Impl::forward(Context& ctx, Member& m, ConstTensorView code) {
  ops::base_conditionals(ctx, mean, cov, m.x, m.mask, m.mu, m.log_sd);
  ops::masked_input(ctx, m.x, m.mask, m.mu, m.log_sd, code, offsets, m.input);
  first.forward(ctx, m.input, m.h[0], m.first);
  for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i].forward(ctx, m.h[i], m.h[i + 1], m.blocks[i]);
  ops::activation_forward(ctx, Activation::relu, m.h.back(), m.top);
  mixture.forward(ctx, m.top, m.head, m.mixture);
  if (V > 0) category->forward(ctx, m.top, m.logits, m.category);
}

/// The terms of the loss in m.value, their gradients in m.head and m.logits.
void MaskedMlp::Impl::losses(Context& ctx, Member& m, ConstTensorView code) {
  const std::int64_t rows = m.x.rows();
  ConstTensorView weight = m.weight;
  if (V > 0) {
    ops::scale_shift_columns(ctx, m.weight, numeric, zero, m.numeric_weight);
    weight = m.numeric_weight;
  }
  const TensorView pairs = m.head.view().reshaped({rows * F, 3 * C});
  ops::mixture_loss(ctx, pairs, m.mu, m.log_sd, m.x, weight, m.value, pairs);
  for (std::int64_t t = 0; t < F && V > 0; ++t)
    if (layout.categorical(t))
      ops::categorical_loss(ctx, categories_of(t, m.logits.view()), categories_of(t, frequencies.view()),
                            code.columns(t, 1), m.weight.view().columns(t, 1), m.value.view().columns(t, 1),
                            categories_of(t, m.logits.view()));
}

void MaskedMlp::Impl::backward(Context& ctx, Member& m) {
  mixture.backward(ctx, m.mixture, m.head, m.dtop);
  if (V > 0) {
    category->backward(ctx, m.category, m.logits, m.dother);
    ops::add(ctx, m.dtop, m.dother, m.dtop);
  }
  ops::activation_backward(ctx, Activation::relu, {}, m.top, m.dtop, m.dh);
  Tensor *dy = &m.dh, *dx = &m.dother;
  for (std::size_t i = blocks.size(); i-- > 0;) {
    blocks[i].backward(ctx, m.blocks[i], *dy, *dx);
    std::swap(dy, dx);
  }
  first.backward(ctx, m.first, *dy, {});
}

void MaskedMlp::prepare(int members, std::int64_t rows) {
  impl_->members.resize(static_cast<std::size_t>(std::max(members, 1)));
  for (Impl::Member& m : impl_->members) impl_->size_member(m, rows, dtype(), device());
}

void MaskedMlp::train(Context& ctx, const ShardPlan& plan, const ProposalBatch& batch,
                      std::span<const double> sizes, const RandomKey& key, TensorView loss) {
  constexpr const char* who = "MaskedMlp::train";
  const std::int64_t B = proposal_args::check_rows(who, *this, batch.rows, batch.observed);
  if (B != plan.local_rows)
    throw ShapeError(
        fmt::format("{}: {} rows, expected the {} rows of this member's plan", who, B, plan.local_rows));
  Impl& net = *impl_;
  Impl::Member& m = net.members.at(static_cast<std::size_t>(ctx.team().rank()));
  net.size_member(m, B, dtype(), device());
  ConstTensorView x = batch.rows.x, observed = batch.observed, code = net.code_rows(batch.rows, 0, B);
  if (on_gpu(ctx)) {
    net.staging.begin(ctx);
    x = staged(net.staging, x);
    observed = staged(net.staging, observed);
    if (net.V > 0) code = staged(net.staging, code);
    net.staging.send(ctx);
  }
  const double share = plan.total_rows > 0 ? 1.0 / static_cast<double>(plan.total_rows) : 0;
  ops::random_masks(ctx, key, plan.row_begin, sizes, share, observed, m.mask, m.weight);
  ops::copy(ctx, x, m.x);
  net.forward(ctx, m, code);
  net.losses(ctx, m, code);
  ops::sum(ctx, m.value, loss);
  net.backward(ctx, m);
}

}  // namespace emshap
