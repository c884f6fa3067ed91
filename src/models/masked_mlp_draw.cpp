// What takes one pass for each unknown feature: the chain with given values, and draws.
#include <algorithm>

#include "core/mat.h"
#include "emshap/ops/density.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/gaussian_base.h"
#include "layers/scratch.h"
#include "models/masked_mlp_impl.h"
#include "models/proposal_args.h"
#include "models/sequences.h"

namespace emshap {
namespace {

constexpr std::int64_t draw_tile = 256;  ///< completions that are drawn together, at most

/// One tile of completions: `per` of each of the rows first_row .. first_row + rows - 1, from the row's draw
/// first_draw on.
struct DrawTile {
  std::int64_t first_row, rows, first_draw, per;
  std::int64_t count() const { return rows * per; }
  std::int64_t row(std::int64_t i) const { return first_row + i / per; }
  /// Where completion i of the tile stands among all.
  std::int64_t place(std::int64_t i, std::int64_t draws) const {
    return row(i) * draws + first_draw + i % per;
  }
};

/// Passes over rows that are brought together feature by feature, so that products have many rows and only
/// the head that is wanted. `most` rows at most; memory in the context's workspace.
template <class T>
class Passes {
 public:
  Passes(Context& ctx, const MaskedMlp::Impl& net, DType dtype, std::int64_t most)
      : ctx_(ctx),
        net_(net),
        x_(scratch(ctx, {most, net.F}, dtype)),
        mask_(scratch(ctx, {most, net.F}, dtype)),
        mu_(scratch(ctx, {most, net.F}, dtype)),
        log_sd_(scratch(ctx, {most, net.F}, dtype)),
        code_(scratch(ctx, {most, net.F}, DType::i32)),
        top_(scratch(ctx, {most, net.H}, dtype)),
        q_(scratch(ctx, {most * widest(net)}, dtype)),
        place_(ctx.workspace().take<std::int64_t>(most)) {}

  std::int64_t n = 0;  ///< rows gathered
  std::int64_t place(std::int64_t i) const { return place_[i]; }

  /// Adds a row, `code` may be null; the pointers are to its mask and moments, to be filled.
  struct Row {
    T *mask, *mu, *log_sd;
  };
  Row add(std::int64_t place, const T* x, const std::int32_t* code) {
    const std::int64_t F = net_.F, at = n * F;
    place_[n++] = place;
    std::copy_n(x, F, x_.ptr<T>() + at);
    if (code != nullptr) std::copy_n(code, F, code_.ptr<std::int32_t>() + at);
    return {mask_.ptr<T>() + at, mu_.ptr<T>() + at, log_sd_.ptr<T>() + at};
  }
  /// The moments of all rows by their masks.
  void condition() {
    ops::base_conditionals(ctx_, net_.mean, net_.cov, x_.rows(0, n), mask_.rows(0, n), mu_.rows(0, n),
                           log_sd_.rows(0, n));
  }
  /// q(x_t | what is known) of the rows (n, width).
  TensorView run(std::int64_t t) {
    net_.encode(ctx_, x_.rows(0, n), net_.V == 0 ? ConstTensorView() : code_.rows(0, n), mask_.rows(0, n),
                mu_.rows(0, n), log_sd_.rows(0, n), top_.rows(0, n));
    const TensorView q = q_.columns(0, n * net_.width(t)).reshaped({n, net_.width(t)});
    net_.feature_head(ctx_, t, top_.rows(0, n), mu_.rows(0, n), log_sd_.rows(0, n), q);
    return q;
  }

 private:
  static std::int64_t widest(const MaskedMlp::Impl& net) {
    std::int64_t most = 1;
    for (std::int64_t t = 0; t < net.F; ++t) most = std::max(most, net.width(t));
    return most;
  }
  Context& ctx_;
  const MaskedMlp::Impl& net_;
  TensorView x_, mask_, mu_, log_sd_, code_, top_, q_;
  std::int64_t* place_;
};

/// The base's moments along the chains of a tile: what does not depend on values once a row, the means of
/// each completion.
template <class T>
class BaseChain {
 public:
  BaseChain(Context& ctx, const MaskedMlp::Impl& net, ConstTensorView x, ConstTensorView mask,
            const proposal_args::Wanted<T>& wanted, const DrawTile& tile, const std::int64_t* order)
      : ctx_(ctx),
        F_(net.F),
        per_(tile.per),
        sequence_(scratch(ctx, {tile.rows, F_}, DType::i32)),
        position_(scratch(ctx, {tile.rows}, DType::i32)),
        gains_(scratch(ctx, {tile.rows, F_, F_}, x.dtype())),
        log_sd_(scratch(ctx, {tile.rows, F_, F_}, x.dtype())),
        mean_(scratch(ctx, {tile.count(), F_}, x.dtype())),
        next_(ctx.workspace().take<std::int32_t>(tile.rows)) {
    const Workspace::Scope scope(ctx.workspace());
    const TensorView count = scratch(ctx, {tile.rows}, DType::i32);
    const TensorView moments = scratch(ctx, {tile.rows, F_, F_}, x.dtype());
    const TensorView mu = scratch(ctx, {tile.rows, F_}, x.dtype()),
                     unused = scratch(ctx, {tile.rows, F_}, x.dtype());
    for (std::int64_t b = 0; b < tile.rows; ++b) {
      const auto drawn = [&](std::int64_t t) { return wanted(tile.first_row + b, t); };
      next_[b] =
          make_sequence(mat<T>(mask).row(b), F_, drawn, sequence_.ptr<std::int32_t>() + b * F_, order).known;
      count.ptr<std::int32_t>()[b] = static_cast<std::int32_t>(F_);
    }
    ops::base_gains(ctx, net.cov, sequence_, count, gains_, unused);
    ops::base_prefix_moments(ctx, net.mean, net.cov, x, sequence_, count, moments, log_sd_);
    ops::base_conditionals(ctx, net.mean, net.cov, x, mask, mu, unused);
    for (std::int64_t i = 0; i < tile.count(); ++i)
      std::copy_n(mu.ptr<T>() + i / per_ * F_, F_, mean_.ptr<T>() + i * F_);
  }

  /// Moments of completion i's features before its next step; those of known features are of no use.
  void moments(std::int64_t i, T* mu, T* log_sd) const {
    std::copy_n(mean_.ptr<T>() + i * F_, F_, mu);
    const T* from = log_sd_.ptr<T>() + i / per_ * F_ * F_ + next_[i / per_];
    for (std::int64_t s = 0; s < F_; ++s) log_sd[s] = from[s * F_];
  }
  /// The next feature of the rows where taken(b) has got its values, in x (rows per, F).
  template <class Taken>
  void advance(ConstTensorView x, const Taken& taken) {
    for (std::int64_t b = 0; b < sequence_.rows(); ++b)
      position_.ptr<std::int32_t>()[b] = taken(b) ? next_[b]++ : -1;
    ops::base_update(ctx_, gains_, sequence_, position_, x, mean_);
  }

 private:
  Context& ctx_;
  std::int64_t F_, per_;
  TensorView sequence_, position_, gains_, log_sd_, mean_;
  std::int32_t* next_;  // (rows): position of the next feature
};

template <class T>
void chain(Context& ctx, const MaskedMlp::Impl& net, const FeatureRows& rows, ConstTensorView mask,
           ConstTensorView target, Conditionals& out) {
  const Mat<const T> x = mat<T>(rows.x), m = mat<T>(mask), wanted = mat<T>(target);
  const Mat<const std::int32_t> code = net.V == 0 ? Mat<const std::int32_t>() : mat<std::int32_t>(rows.code);
  const Workspace::Scope scope(ctx.workspace());
  Passes<T> passes(ctx, net, rows.x.dtype(), tile_rows);
  for (std::int64_t t = 0; t < net.F; ++t) {
    const auto flush = [&] {
      passes.condition();
      const TensorView q = passes.run(t);
      for (std::int64_t i = 0; i < passes.n; ++i)
        std::copy_n(q.ptr<T>() + i * q.cols(), q.cols(),
                    net.layout.categorical(t)
                        ? out.categorical.ptr<T>() + passes.place(i) * net.V + net.begin(t)
                        : out.mixture.ptr<T>() + (passes.place(i) * net.F + t) * 3 * net.C);
      passes.n = 0;
    };
    for (std::int64_t r = 0; r < x.rows; ++r) {
      if (m.row(r)[t] > T(.5) || !(wanted.row(r)[t] > T(.5))) continue;
      const auto row = passes.add(r, x.row(r), net.V > 0 ? code.row(r) : nullptr);
      for (std::int64_t s = 0; s < net.F; ++s)
        row.mask[s] = T(m.row(r)[s] > T(.5) || (s < t && wanted.row(r)[s] > T(.5)));
      if (passes.n == tile_rows) flush();
    }
    if (passes.n > 0) flush();
  }
}

/// A tile of completions, feature after feature; x, code and log_q of `out` are started.
template <class T>
void draw_chain(Context& ctx, const MaskedMlp::Impl& net, const FeatureRows& rows, ConstTensorView mask,
                const proposal_args::Wanted<T>& wanted, std::int64_t draws, ConstTensorView noise,
                const DrawTile& tile, const std::int64_t* order, Draws& out) {
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t F = net.F, most = tile.count(), from = tile.place(0, draws);
  const DType dtype = out.x.dtype();
  BaseChain<T> base(ctx, net, rows.x.rows(tile.first_row, tile.rows), mask.rows(tile.first_row, tile.rows),
                    wanted, tile, order);
  Passes<T> passes(ctx, net, dtype, most);
  const TensorView drawn = scratch(ctx, {most}, dtype), log_q = scratch(ctx, {most}, dtype);
  const TensorView codes = scratch(ctx, {most}, DType::i32), uniforms = scratch(ctx, {most, 1}, dtype);
  const Mat<const T> m = mat<T>(mask), u = mat<T>(noise);
  bool* come = ctx.workspace().take<bool>(F);  // features of the order so far
  std::fill_n(come, F, false);
  for (std::int64_t step = 0; step < F; ++step) {
    const std::int64_t t = order == nullptr ? step : order[step];
    const auto drawn_now = [&](std::int64_t b) {
      return !(m.row(tile.first_row + b)[t] > T(.5)) && wanted(tile.first_row + b, t);
    };
    passes.n = 0;
    for (std::int64_t i = 0; i < most; ++i) {
      if (!drawn_now(i / tile.per)) continue;
      const std::int64_t place = tile.place(i, draws);
      uniforms.ptr<T>()[passes.n] = u.row(place % u.rows)[t];
      const auto row = passes.add(place, out.x.ptr<T>() + place * F,
                                  net.V > 0 ? out.code.ptr<std::int32_t>() + place * F : nullptr);
      const std::int64_t b = tile.row(i);
      for (std::int64_t s = 0; s < F; ++s) row.mask[s] = T(m.row(b)[s] > T(.5) || (come[s] && wanted(b, s)));
      base.moments(i, row.mu, row.log_sd);
    }
    come[t] = true;
    const std::int64_t n = passes.n;
    if (n == 0) continue;
    const TensorView q = passes.run(t);
    ops::fill(ctx, 0, log_q.columns(0, n));
    if (net.layout.categorical(t)) {
      ops::categorical_draw(ctx, q, uniforms.rows(0, n), {}, codes.columns(0, n), log_q.columns(0, n));
      ops::categorical_values(ctx, net.categories_of(t, net.values.view()), codes.columns(0, n),
                              drawn.columns(0, n));
    } else {
      ops::mixture_draw(ctx, q, uniforms.rows(0, n), {}, drawn.columns(0, n), log_q.columns(0, n));
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t place = passes.place(i);
      out.x.ptr<T>()[place * F + t] = drawn.ptr<T>()[i];
      out.log_q.ptr<T>()[place] += log_q.ptr<T>()[i];
      if (net.layout.categorical(t))
        out.code.ptr<std::int32_t>()[place * F + t] = codes.ptr<std::int32_t>()[i];
    }
    base.advance(out.x.view().rows(from, most), drawn_now);
  }
}

/// All features of the completions of rows [from, from + n) at once, from the rows' conditionals.
void draw_at_once(Context& ctx, const MaskedMlp::Impl& net, ConstTensorView unknown, std::int64_t draws,
                  ConstTensorView noise, ConstTensorView mixtures, ConstTensorView categories,
                  std::int64_t from, std::int64_t n, Draws& out) {
  const std::int64_t pairs = n * draws, C = net.C;
  const ConstTensorView u = noise.rows() == draws ? noise : noise.rows(from * draws, pairs);
  const TensorView x = out.x.view().rows(from * draws, pairs);
  const TensorView log_q = out.log_q.view().reshaped({out.log_q.elements(), 1}).rows(from * draws, pairs);
  for (std::int64_t t = 0; t < net.F; ++t) {
    if (net.layout.categorical(t)) {
      const TensorView code = out.code.view().rows(from * draws, pairs).columns(t, 1);
      ops::categorical_draw(ctx, net.categories_of(t, categories.rows(from, n)), u.columns(t, 1),
                            unknown.rows(from, n).columns(t, 1), code, log_q);
      ops::categorical_values(ctx, net.categories_of(t, net.values.view()), code, x.columns(t, 1));
    } else {
      ops::mixture_draw(ctx, mixtures.rows(from, n).columns(3 * C * t, 3 * C), u.columns(t, 1),
                        unknown.rows(from, n).columns(t, 1), x.columns(t, 1), log_q);
    }
  }
}

template <class T>
void draw_rows(Context& ctx, const MaskedMlp::Impl& net, const FeatureRows& rows, ConstTensorView mask,
               std::int64_t draws, ConstTensorView noise, DrawMode mode, ConstTensorView target,
               const std::int64_t* order, Draws& out) {
  const proposal_args::Wanted<T> wanted(target);
  const Mat<const T> x = mat<T>(rows.x), m = mat<T>(mask);
  for (std::int64_t r = 0; r < out.x.rows(); ++r) {
    std::copy_n(x.row(r / draws), net.F, out.x.ptr<T>() + r * net.F);
    if (net.V > 0)
      std::copy_n(mat<std::int32_t>(rows.code).row(r / draws), net.F,
                  out.code.ptr<std::int32_t>() + r * net.F);
    for (std::int64_t t = 0; t < net.F; ++t) {
      if (m.row(r / draws)[t] > T(.5)) continue;
      out.x.ptr<T>()[r * net.F + t] = 0;
      if (net.V > 0) out.code.ptr<std::int32_t>()[r * net.F + t] = -1;
    }
  }
  ops::fill(ctx, 0, out.log_q);
  if (mode == DrawMode::one_shot) {
    const Workspace::Scope scope(ctx.workspace());
    const TensorView mixtures = scratch(ctx, {x.rows, 3 * net.C * net.F}, out.x.dtype());
    const TensorView categories = scratch(ctx, {x.rows, net.V}, out.x.dtype());
    net.conditionals(ctx, rows, mask, mixtures, categories, out.context);
    const TensorView unknown = scratch(ctx, {x.rows, net.F}, out.x.dtype());
    for (std::int64_t r = 0; r < x.rows; ++r)
      for (std::int64_t t = 0; t < net.F; ++t)
        unknown.ptr<T>()[r * net.F + t] = T(!(m.row(r)[t] > T(.5)) && wanted(r, t));
    for_row_tiles(x.rows, [&](std::int64_t from, std::int64_t n) {
      draw_at_once(ctx, net, unknown, draws, noise, mixtures, categories, from, n, out);
    });
    return;
  }
  net.contexts(ctx, rows, mask, out.context);
  const std::int64_t rows_of_tile = std::max<std::int64_t>(1, draw_tile / draws);
  for (std::int64_t b = 0; b < x.rows; b += rows_of_tile)
    for (std::int64_t k = 0; k < draws; k += draw_tile)
      draw_chain<T>(ctx, net, rows, mask, wanted, draws, noise,
                    {b, std::min(rows_of_tile, x.rows - b), k, std::min(draw_tile, draws - k)}, order, out);
}

}  // namespace

void MaskedMlp::sequential(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                           ConstTensorView target, Conditionals& out) const {
  constexpr const char* who = "MaskedMlp::sequential";
  const std::int64_t B = proposal_args::check_rows(who, *this, rows, mask);
  proposal_args::check_matrix(who, "target", target, B, layout().features(), dtype());
  proposal_args::check_cpu(who, *this);
  proposal_args::size_outputs(*this, B, out);
  ops::fill(ctx, 0, out.mixture);
  ops::fill(ctx, 0, out.categorical);
  impl_->contexts(ctx, rows, mask, out.context);
  if (dtype() == DType::f32)
    chain<float>(ctx, *impl_, rows, mask, target, out);
  else
    chain<double>(ctx, *impl_, rows, mask, target, out);
}

void MaskedMlp::draw(Context& ctx, const FeatureRows& rows, ConstTensorView mask, std::int64_t draws,
                     ConstTensorView noise, DrawMode mode, Draws& out, ConstTensorView target,
                     std::span<const std::int64_t> order) const {
  constexpr const char* who = "MaskedMlp::draw";
  const std::int64_t B = proposal_args::check_rows(who, *this, rows, mask);
  proposal_args::check_draws(who, *this, B, draws, noise, target);
  const std::int64_t* given = proposal_args::check_order(who, layout().features(), order);
  proposal_args::check_cpu(who, *this);
  proposal_args::size_outputs(*this, B, draws, out);
  if (dtype() == DType::f32)
    draw_rows<float>(ctx, *impl_, rows, mask, draws, noise, mode, target, given, out);
  else
    draw_rows<double>(ctx, *impl_, rows, mask, draws, noise, mode, target, given, out);
}

}  // namespace emshap
