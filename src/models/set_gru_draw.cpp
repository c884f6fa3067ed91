// Draws from the set-GRU.
#include <algorithm>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/ops/density.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/set_gru_sampler.h"
#include "models/proposal_args.h"
#include "models/set_gru_chain.h"
#include "models/set_gru_fused.h"
#include "models/set_gru_walk.h"

namespace emshap {
namespace {

using namespace set_gru;

/// Known entries copied, the others 0 and -1; log_q 0.
template <class T>
void prepare_draws(Context& ctx, const SetGruOptions& o, const Rows<T>& in, std::int64_t K, bool scored,
                   Draws& out) {
  const std::int64_t B = in.rows.x.rows(), F = o.layout.features();
  const bool categorical = o.layout.total_categories() > 0;
  out.x.ensure({B * K, F}, in.rows.x.dtype(), ctx.device());
  out.code.ensure({categorical ? B * K : 0, F}, DType::i32, ctx.device());
  out.log_q.ensure({scored ? B * K : 0}, in.rows.x.dtype(), ctx.device());
  out.context.ensure({B, o.hidden}, in.rows.x.dtype(), ctx.device());
  std::fill_n(out.log_q.ptr<T>(), out.log_q.elements(), T(0));
  T* x = out.x.ptr<T>();
  std::int32_t* code = out.code.ptr<std::int32_t>();
  for (std::int64_t b = 0; b < B; ++b, x += K * F) {
    for (std::int64_t t = 0; t < F; ++t) {
      const bool given = in.is_known(b, t);
      if (K > 0) x[t] = given ? in.x(b, t) : T(0);
      if (categorical && K > 0) code[t] = given ? in.code(b, t) : -1;
    }
    for (std::int64_t k = 1; k < K; ++k) std::copy_n(x, F, x + k * F);
    if (!categorical) continue;
    for (std::int64_t k = 1; k < K; ++k) std::copy_n(code, F, code + k * F);
    code += K * F;
  }
}

/// Draws feature t for the active draws of a tile whose first draw is `first`.
template <class T>
class Sampler {
 public:
  Sampler(Context& ctx, const SetGru::Impl& impl, Network<T>& net, ConstTensorView noise, std::int64_t draws,
          std::int64_t most, Draws& out)
      : ctx_(ctx),
        impl_(impl),
        net_(net),
        noise_(noise),
        K_(draws),
        uniforms_(net.make({most, 1})),
        x_(net.make({most})),
        log_q_(net.make({most})),
        code_(scratch_i32(ctx, {most})),
        out_(out) {}

  void draw(std::int64_t t, std::int64_t first, const Active& active, TensorView mean, TensorView log_sd,
            TensorView head) {
    const std::int64_t n = active.size(), F = out_.x.cols();
    const bool shared = noise_.rows() == K_;
    const T* noise = noise_.ptr<T>() + t;
    const std::int64_t stride = noise_.row_stride();
    T* u = uniforms_.ptr<T>();
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t d = first + active[i];
      u[i] = noise[(shared ? d % K_ : d) * stride];
    }
    std::fill_n(log_q_.ptr<T>(), n, T(0));
    const TensorView x = net_.vector(x_, n), log_q = net_.vector(log_q_, n), code = net_.vector(code_, n);
    const TensorView uniforms = uniforms_.rows(0, n);
    const bool categorical = net_.categories(t) > 0;
    if (categorical) {
      ops::categorical_log_probabilities(ctx_, head, net_.frequencies(t), {}, head);
      ops::categorical_draw(ctx_, head, uniforms, {}, code, log_q);
      ops::categorical_values(ctx_, net_.values(t), code, x);
    } else {
      ops::mixture_from_head(ctx_, head, mean, log_sd, {}, head);
      ops::mixture_draw(ctx_, head, uniforms, {}, x, log_q);
    }
    const T *drawn = x.ptr<T>(), *log_p = log_q.ptr<T>();
    T *to = out_.x.ptr<T>() + t, *total = out_.log_q.ptr<T>();
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t d = first + active[i];
      to[d * F] = drawn[i];
      total[d] += log_p[i];
    }
    if (!categorical) return;
    std::int32_t* codes = out_.code.ptr<std::int32_t>() + t;
    for (std::int64_t i = 0; i < n; ++i) codes[(first + active[i]) * F] = code.ptr<std::int32_t>()[i];
  }

 private:
  Context& ctx_;
  const SetGru::Impl& impl_;
  Network<T>& net_;
  const ConstTensorView noise_;
  const std::int64_t K_;
  const TensorView uniforms_, x_, log_q_, code_;
  Draws& out_;
};

template <class T>
void draw_one_by_one(Context& ctx, const SetGruOptions& o, const ParameterStore& store,
                     const SetGru::Impl& impl, const Rows<T>& in, std::int64_t K, ConstTensorView noise,
                     const proposal_args::Wanted<T>& wanted, const std::int64_t* order, Draws& out) {
  const std::int64_t B = in.rows.x.rows(), F = o.layout.features();
  if (B == 0) return;
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t part = std::min(K, rows_of_tile);
  const std::int64_t most_rows =
      std::min({B, rows_with_gains(F), std::max<std::int64_t>(1, rows_of_tile / K)});
  Walk<T> walk(ctx, o, store, impl, most_rows, most_rows * part, order);
  Sampler<T> sampler(ctx, impl, walk.net(), noise, K, most_rows * part, out);
  const bool categorical = out.code.elements() > 0;
  for (std::int64_t begin = 0; begin < B; begin += most_rows) {
    const std::int64_t R = std::min(most_rows, B - begin);
    walk.begin_rows(in, begin, R, out.context.view().rows(begin, R), wanted);
    // Several rows with all their draws, or some of the draws of one row.
    for (std::int64_t k = 0; k < K; k += part) {
      const std::int64_t n = std::min(part, K - k), first = begin * K + k;
      walk.walk(
          n, out.x.view().rows(first, R * n),
          [&](std::int64_t d, std::int64_t t) {
            return categorical ? out.code.ptr<std::int32_t>()[(first + d) * F + t] : -1;
          },
          [&](std::int64_t t, const Active& active, TensorView mean, TensorView log_sd, TensorView head) {
            sampler.draw(t, first, active, mean, log_sd, head);
          });
    }
  }
}

template <class T>
void draw_at_once(Context& ctx, const SetGru& model, const SetGru::Impl& impl, const Rows<T>& in,
                  std::int64_t K, ConstTensorView noise, const proposal_args::Wanted<T>& wanted, Draws& out) {
  const std::int64_t B = in.rows.x.rows(), F = out.x.cols(), C = model.components();
  Conditionals q;
  model.conditionals(ctx, in.rows, in.mask, q);
  ops::copy(ctx, q.context, out.context);
  if (B == 0 || K == 0) return;
  const Workspace::Scope scope(ctx.workspace());
  const TensorView drawn = scratch(ctx, {B}, in.rows.x.dtype());
  for (std::int64_t t = 0; t < F; ++t) {
    for (std::int64_t b = 0; b < B; ++b) drawn.ptr<T>()[b] = T(!in.is_known(b, t) && wanted(b, t));
    const TensorView x = out.x.view().columns(t, 1);
    const std::int64_t categories = model.layout().categories[static_cast<std::size_t>(t)];
    if (categories == 0) {
      ops::mixture_draw(ctx, q.mixture.view().reshaped({B, F * 3 * C}).columns(t * 3 * C, 3 * C),
                        noise.columns(t, 1), drawn, x, out.log_q);
      continue;
    }
    const std::int64_t offset = impl.offsets[static_cast<std::size_t>(t)];
    const TensorView code = out.code.view().columns(t, 1);
    ops::categorical_draw(ctx, q.categorical.view().columns(offset, categories), noise.columns(t, 1), drawn,
                          code, out.log_q);
    for (std::int64_t d = 0; d < B * K; ++d)
      if (drawn.ptr<T>()[d / K] != T(0))
        out.x.ptr<T>()[d * F + t] = impl.values.ptr<T>()[offset + out.code.ptr<std::int32_t>()[d * F + t]];
  }
}

template <class T>
void draw_on(Context& ctx, const SetGru& model, const ParameterStore& store, const SetGru::Impl& impl,
             const Rows<T>& in, std::int64_t K, ConstTensorView noise, DrawMode mode, ConstTensorView target,
             const std::int64_t* order, Draws& out) {
  const proposal_args::Wanted<T> wanted(target);
  const bool chain = mode == DrawMode::autoregressive && K >= draws_of_chain;
  prepare_draws(ctx, model.options(), in, K, !chain || out.log_q_wanted, out);
  if (mode == DrawMode::one_shot) {
    draw_at_once(ctx, model, impl, in, K, noise, wanted, out);
  } else if (chain) {
    if (in.rows.x.rows() == 0) return;
    const Workspace::Scope scope(ctx.workspace());
    Chain<T>(ctx, model.options(), store, impl, in, K, noise, order, out).run(wanted);
  } else {
    draw_one_by_one(ctx, model.options(), store, impl, in, K, noise, wanted, order, out);
  }
}

}  // namespace

void SetGru::draw(Context& ctx, const FeatureRows& rows, ConstTensorView mask, std::int64_t draws,
                  ConstTensorView noise, DrawMode mode, Draws& out, ConstTensorView target,
                  std::span<const std::int64_t> order) const {
  constexpr const char* what = "set-GRU, draw";
  check_rows(what, options_.layout, rows, dtype());
  check_mask(what, "mask", rows, mask);
  if (target.data() != nullptr) check_mask(what, "target", rows, target);
  const std::int64_t B = rows.x.rows(), F = options_.layout.features();
  if (draws < 1) throw ConfigError(fmt::format("{}: {} draws a row, expected at least 1", what, draws));
  const std::int64_t* given = proposal_args::check_order(what, F, order);
  if (B * draws > 0 && ((noise.rows() != B * draws && noise.rows() != draws) || noise.cols() != F))
    throw ShapeError(fmt::format("{}: noise has shape {}, expected {} or {}", what, noise.shape().str(),
                                 Shape{B * draws, F}.str(), Shape{draws, F}.str()));
  if (ops::fused_set_gru(ctx))
    return fused_draw(ctx, *this, *impl_, rows, mask, draws, noise, mode, out, target,
                      given == nullptr ? std::span<const std::int64_t>() : order);
  if (dtype() == DType::f32)
    draw_on<float>(ctx, *this, store_, *impl_, {rows, mask}, draws, noise, mode, target, given, out);
  else
    draw_on<double>(ctx, *this, store_, *impl_, {rows, mask}, draws, noise, mode, target, given, out);
}

}  // namespace emshap
