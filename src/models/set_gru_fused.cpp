#include "models/set_gru_fused.h"

#include <algorithm>

#include "emshap/ops/gaussian_base.h"
#include "emshap/ops/set_gru_sampler.h"

namespace emshap::set_gru {
namespace {

/// Numbers in the gains (F, F) of a chunk of rows: 128 MiB.
constexpr std::int64_t most_gains = std::int64_t{1} << 25;
constexpr std::int64_t most_rows = 65536;

std::int64_t rows_of_chunk(std::int64_t B, std::int64_t F) {
  return std::max<std::int64_t>(1, std::min({B, most_rows, most_gains / (F * F)}));
}

TensorView first(const TensorView& vector, std::int64_t n) {
  return vector.columns(0, n).reshaped({n});
}

ops::SetGruWeights weights_of(Context& ctx, const SetGruOptions& o, const ParameterStore& store,
                              const SetGru::Impl& impl) {
  const SetGru::Impl::Ids& id = impl.id;
  const SetGruTokens tokens = make_tokens(ctx, store, id);
  ops::SetGruWeights w;
  w.wa = tokens.wa;
  w.wb = tokens.wb;
  w.weight_hh = store.value(id.weight_hh);
  w.bias_hh = store.value(id.bias_hh);
  w.start = store.value(id.start);
  w.state = store.value(id.state);
  w.moments = store.value(id.moments);
  w.feature = store.value(id.feature);
  w.hidden = store.value(id.hidden);
  w.mixture = store.value(id.mixture);
  w.mixture_bias = store.value(id.mixture_bias);
  if (o.layout.total_categories() == 0) return w;
  w.category = store.value(id.category);
  w.category_bias = store.value(id.category_bias);
  w.values = impl.values;
  w.frequencies = impl.frequencies;
  w.offsets = impl.offset_table;
  w.widest = *std::max_element(o.layout.categories.begin(), o.layout.categories.end());
  return w;
}

/// Rows [begin, begin + n) of (B, F, O) or (B, O).
TensorView part(Tensor& all, std::int64_t begin, std::int64_t n) {
  if (all.elements() == 0) return {};
  const TensorView view = all;
  if (view.shape().rank() == 2) return view.rows(begin, n);
  const std::int64_t F = view.shape()[1], O = view.shape()[2];
  return view.reshaped({view.shape()[0], F * O}).rows(begin, n).reshaped({n, F, O});
}

void size(Context& ctx, const SetGruOptions& o, std::int64_t B, Conditionals& out) {
  out.mixture.ensure({B, o.layout.features(), 3 * o.components}, DType::f32, ctx.device());
  out.categorical.ensure({B, o.layout.total_categories()}, DType::f32, ctx.device());
  out.context.ensure({B, o.hidden}, DType::f32, ctx.device());
}

/// One call's weights, and rows by chunks, in the context's workspace.
class Fused {
 public:
  /// `gains`: whether values are taken in after x_S.
  Fused(Context& ctx, const SetGruOptions& options, const ParameterStore& store, const SetGru::Impl& impl,
        const FeatureRows& rows, ConstTensorView mask, bool gains);

  /// body(begin, n, context) for chunks of rows, with their context (n, H) as rows of `contexts` (B, H),
  /// whose sequences and base stand below meanwhile. `target` (B, F) or empty.
  template <class Body>
  void each_chunk(ConstTensorView target, std::span<const std::int64_t> order, TensorView contexts,
                  const Body& body) {
    for (std::int64_t begin = 0; begin < contexts.rows(); begin += most_) {
      const std::int64_t n = std::min(most_, contexts.rows() - begin);
      const TensorView context = contexts.rows(begin, n);
      prepare(begin, n, target, order, context);
      body(begin, n, context);
    }
  }
  const ops::SetGruWeights& weights() const { return weights_; }
  const ops::SetGruRows& rows() const { return chunk_; }
  const ops::SetGruBase& base() const { return base_; }

 private:
  void prepare(std::int64_t begin, std::int64_t count, ConstTensorView target,
               std::span<const std::int64_t> order, TensorView context);
  Context& ctx_;
  const SetGru::Impl& impl_;
  const FeatureRows& rows_;
  const ConstTensorView mask_;
  const std::int64_t F_, most_;
  ops::SetGruWeights weights_;
  ops::SetGruRows chunk_;
  ops::SetGruBase base_;
  TensorView sequence_, known_, count_, mu_, given_sd_, gains_, step_sd_;
};

Fused::Fused(Context& ctx, const SetGruOptions& options, const ParameterStore& store,
             const SetGru::Impl& impl, const FeatureRows& rows, ConstTensorView mask, bool gains)
    : ctx_(ctx),
      impl_(impl),
      rows_(rows),
      mask_(mask),
      F_(options.layout.features()),
      most_(rows_of_chunk(rows.x.rows(), F_)),
      weights_(weights_of(ctx, options, store, impl)),
      sequence_(scratch_i32(ctx, {most_, F_})),
      known_(scratch_i32(ctx, {most_})),
      count_(scratch_i32(ctx, {most_})),
      mu_(scratch(ctx, {most_, F_}, DType::f32)),
      given_sd_(scratch(ctx, {most_, F_}, DType::f32)) {
  if (!gains) return;
  gains_ = scratch(ctx, {most_ * F_, F_}, DType::f32);
  step_sd_ = scratch(ctx, {most_, F_}, DType::f32);
}

void Fused::prepare(std::int64_t begin, std::int64_t n, ConstTensorView target,
                    std::span<const std::int64_t> order, TensorView context) {
  chunk_.x = rows_.x.rows(begin, n);
  chunk_.mask = mask_.rows(begin, n);
  if (rows_.code.elements() > 0) chunk_.code = rows_.code.rows(begin, n);
  const TensorView sequence = sequence_.rows(0, n), known = first(known_, n), count = first(count_, n);
  ops::set_sequences(ctx_, chunk_.mask, target.elements() > 0 ? target.rows(begin, n) : ConstTensorView(),
                     order, sequence, known, count);
  chunk_.sequence = sequence;
  chunk_.known = known;
  chunk_.count = count;
  ops::set_gru_context(ctx_, weights_, chunk_, context);
  const TensorView mu = mu_.rows(0, n), given_sd = given_sd_.rows(0, n);
  ops::base_conditionals(ctx_, impl_.mean, impl_.covariance, chunk_.x, chunk_.mask, mu, given_sd);
  base_ = {mu, given_sd, {}};
  if (gains_.elements() == 0) return;
  const TensorView gains = gains_.rows(0, n * F_).reshaped({n, F_, F_}), step_sd = step_sd_.rows(0, n);
  ops::base_gains(ctx_, impl_.covariance, sequence, count, gains, step_sd);
  base_ = {mu, step_sd, gains};
}

}  // namespace

void fused_draw(Context& ctx, const SetGru& model, const SetGru::Impl& impl, const FeatureRows& rows,
                ConstTensorView mask, std::int64_t K, ConstTensorView noise, DrawMode mode, Draws& out,
                ConstTensorView target, std::span<const std::int64_t> order) {
  const SetGruOptions& o = model.options();
  const std::int64_t B = rows.x.rows(), F = o.layout.features();
  const bool coded = o.layout.total_categories() > 0;
  out.x.ensure({B * K, F}, DType::f32, ctx.device());
  out.code.ensure({coded ? B * K : 0, F}, DType::i32, ctx.device());
  out.log_q.ensure({out.log_q_wanted ? B * K : 0}, DType::f32, ctx.device());
  out.context.ensure({B, o.hidden}, DType::f32, ctx.device());
  if (B == 0) return;
  const Workspace::Scope scope(ctx.workspace());
  Fused fused(ctx, o, model.store(), impl, rows, mask, mode == DrawMode::autoregressive);
  fused.each_chunk(target, order, out.context, [&](std::int64_t begin, std::int64_t n, TensorView context) {
    const std::int64_t at = begin * K;
    ops::SetGruNoise given;
    given.uniforms = noise.rows() == K ? noise : noise.rows(at, n * K);
    ops::set_gru_draw(
        ctx, fused.weights(), fused.rows(), fused.base(), context, given, out.x.view().rows(at, n * K),
        coded ? out.code.view().rows(at, n * K) : TensorView(),
        out.log_q_wanted ? out.log_q.view().columns(at, n * K).reshaped({n * K}) : TensorView());
  });
}

void fused_sequential(Context& ctx, const SetGru& model, const SetGru::Impl& impl, const FeatureRows& rows,
                      ConstTensorView mask, ConstTensorView target, Conditionals& out) {
  const std::int64_t B = rows.x.rows();
  size(ctx, model.options(), B, out);
  if (B == 0) return;
  const Workspace::Scope scope(ctx.workspace());
  Fused fused(ctx, model.options(), model.store(), impl, rows, mask, true);
  fused.each_chunk(target, {}, out.context, [&](std::int64_t begin, std::int64_t n, TensorView context) {
    ops::set_gru_score(ctx, fused.weights(), fused.rows(), fused.base(), context, {},
                       part(out.mixture, begin, n), part(out.categorical, begin, n));
  });
}

void fused_conditionals(Context& ctx, const SetGru& model, const SetGru::Impl& impl, const FeatureRows& rows,
                        ConstTensorView mask, Conditionals& out) {
  const std::int64_t B = rows.x.rows();
  size(ctx, model.options(), B, out);
  if (B == 0) return;
  const Workspace::Scope scope(ctx.workspace());
  Fused fused(ctx, model.options(), model.store(), impl, rows, mask, false);
  fused.each_chunk({}, {}, out.context, [&](std::int64_t begin, std::int64_t n, TensorView context) {
    ops::set_gru_conditionals(ctx, fused.weights(), fused.rows(), fused.base(), context,
                              part(out.mixture, begin, n), part(out.categorical, begin, n));
  });
}

void fused_log_density(Context& ctx, const SetGru& model, const SetGru::Impl& impl, const FeatureRows& rows,
                       ConstTensorView mask, ConstTensorView target, TensorView out) {
  const std::int64_t B = rows.x.rows();
  if (B == 0) return;
  const Workspace::Scope scope(ctx.workspace());
  Fused fused(ctx, model.options(), model.store(), impl, rows, mask, true);
  const TensorView contexts = scratch(ctx, {B, model.context_width()}, DType::f32);
  fused.each_chunk(target, {}, contexts, [&](std::int64_t begin, std::int64_t n, TensorView context) {
    ops::set_gru_score(ctx, fused.weights(), fused.rows(), fused.base(), context,
                       out.columns(begin, n).reshaped({n}), {}, {});
  });
}

}  // namespace emshap::set_gru
