#include "emshap/models/gaussian_proposal.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/mat.h"
#include "emshap/core/error.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/gaussian_base.h"
#include "layers/scratch.h"
#include "math/inverse_normal.h"
#include "models/proposal_args.h"
#include "models/sequences.h"

namespace emshap {
namespace {

constexpr double log_sqrt_2pi = .918938533204672742;
constexpr double smallest_mass = 1e-300;

/// log P(left < Z <= right) of a standard normal Z, from the side where the tails are small.
double log_mass(double left, double right) {
  if (left > 0) return log_mass(-right, -left);
  const double mass = .5 * (std::erfc(-right * M_SQRT1_2) - std::erfc(-left * M_SQRT1_2));
  return std::log(std::max(mass, smallest_mass));
}

}  // namespace

/// The work in one element type.
struct GaussianProposal::Impl {
  const GaussianProposal& p;
  std::int64_t F;

  explicit Impl(const GaussianProposal& proposal) : p(proposal), F(proposal.layout_.features()) {}

  std::int64_t categories(std::int64_t t) const { return p.layout_.categories[static_cast<std::size_t>(t)]; }
  const double* values(std::int64_t t) const {
    return p.layout_.values.data() + p.offset_[static_cast<std::size_t>(t)];
  }
  /// The upper edge of category v < V_t - 1.
  double edge(std::int64_t t, std::int64_t v) const { return .5 * (values(t)[v] + values(t)[v + 1]); }
  double log_probability(std::int64_t t, std::int64_t v, double mu, double sd) const {
    constexpr double inf = std::numeric_limits<double>::infinity();
    return log_mass(v == 0 ? -inf : (edge(t, v - 1) - mu) / sd,
                    v + 1 == categories(t) ? inf : (edge(t, v) - mu) / sd);
  }

  /// q of feature t, with these moments, into a row of conditionals.
  template <class T>
  void store(std::int64_t t, double mu, double log_sd, T* mixture, T* categorical) const {
    if (!p.layout_.categorical(t)) {
      mixture[3 * t + 1] = T(mu);
      mixture[3 * t + 2] = T(log_sd);
      return;
    }
    T* to = categorical + p.offset_[static_cast<std::size_t>(t)];
    for (std::int64_t v = 0; v < categories(t); ++v) to[v] = T(log_probability(t, v, mu, std::exp(log_sd)));
  }

  /// Draws feature t into x and code (may be null); returns log q.
  template <class T>
  double draw(std::int64_t t, double mu, double log_sd, const T* noise, T* x, std::int32_t* code) const {
    const double sd = std::exp(log_sd);
    if (!p.layout_.categorical(t)) {
      const double z = math::inverse_normal(static_cast<double>(noise[t]));
      x[t] = T(mu + sd * z);
      return -.5 * z * z - log_sd - log_sqrt_2pi;
    }
    const double at = mu + sd * math::inverse_normal(static_cast<double>(noise[t]));
    std::int64_t v = 0;
    while (v + 1 < categories(t) && edge(t, v) < at) ++v;
    x[t] = T(values(t)[v]);
    code[t] = static_cast<std::int32_t>(v);
    return log_probability(t, v, mu, sd);
  }

  template <class T>
  void conditionals(Context& ctx, const FeatureRows& rows, ConstTensorView mask, Conditionals& out) const {
    const Workspace::Scope scope(ctx.workspace());
    const std::int64_t B = rows.x.rows();
    const TensorView mu = scratch(ctx, {B, F}, p.dtype_), log_sd = scratch(ctx, {B, F}, p.dtype_);
    ops::base_conditionals(ctx, p.mean_, p.cov_, rows.x, mask, mu, log_sd);
    const Mat<const T> m = mat<T>(mask);
    for (std::int64_t b = 0; b < B; ++b)
      for (std::int64_t t = 0; t < F; ++t)
        if (!(m.row(b)[t] > T(.5)))
          store(t, static_cast<double>(mu.ptr<T>()[b * F + t]),
                static_cast<double>(log_sd.ptr<T>()[b * F + t]), out.mixture.ptr<T>() + b * 3 * F,
                out.categorical.ptr<T>() + b * out.categorical.cols());
  }

  /// What going through the sequences of some rows needs, K draws of each.
  template <class T>
  struct Path {
    TensorView sequence, position, count;  // (B, F), (B), (B) i32
    TensorView gains, log_sd, mean;        // (B, F, F), (B, F), (B K, F)
    std::int64_t longest = 0;              // steps behind the known features
    std::int32_t* known;                   // (B)
  };

  template <class T, class Wanted>
  Path<T> start(Context& ctx, ConstTensorView x, ConstTensorView mask, std::int64_t draws,
                const Wanted& wanted, const std::int64_t* order = nullptr) const {
    const std::int64_t B = x.rows();
    Path<T> path{scratch(ctx, {B, F}, DType::i32),
                 scratch(ctx, {B}, DType::i32),
                 scratch(ctx, {B}, DType::i32),
                 scratch(ctx, {B, F, F}, p.dtype_),
                 scratch(ctx, {B, F}, p.dtype_),
                 scratch(ctx, {B * draws, F}, p.dtype_),
                 0,
                 ctx.workspace().take<std::int32_t>(B)};
    const TensorView mu = scratch(ctx, {B, F}, p.dtype_), unused = scratch(ctx, {B, F}, p.dtype_);
    const Mat<const T> m = mat<T>(mask);
    for (std::int64_t b = 0; b < B; ++b) {
      const SequenceCounts n = make_sequence(
          m.row(b), F, [&](std::int64_t t) { return wanted(b, t); },
          path.sequence.template ptr<std::int32_t>() + b * F, order);
      path.known[b] = n.known;
      path.count.template ptr<std::int32_t>()[b] = n.used;
      path.longest = std::max<std::int64_t>(path.longest, n.used - n.known);
    }
    ops::base_gains(ctx, p.cov_, path.sequence, path.count, path.gains, path.log_sd);
    ops::base_conditionals(ctx, p.mean_, p.cov_, x, mask, mu, unused);
    for (std::int64_t r = 0; r < B * draws; ++r)
      std::copy_n(mu.ptr<T>() + r / draws * F, F, path.mean.template ptr<T>() + r * F);
    return path;
  }

  /// visit(b, t, log_sd) for the next feature of each row, whose mean stands in path.mean; afterwards x (B K,
  /// F) must hold its values.
  template <class T, class Visit>
  void walk(Context& ctx, Path<T>& path, ConstTensorView x, const Visit& visit) const {
    auto* position = path.position.template ptr<std::int32_t>();
    const auto* count = path.count.template ptr<std::int32_t>();
    for (std::int64_t j = 0; j < path.longest; ++j) {
      for (std::int64_t b = 0; b < path.sequence.rows(); ++b) {
        const std::int64_t k = path.known[b] + j;
        position[b] = k < count[b] ? static_cast<std::int32_t>(k) : -1;
        if (position[b] >= 0)
          visit(b, path.sequence.template ptr<std::int32_t>()[b * F + k],
                static_cast<double>(path.log_sd.template ptr<T>()[b * F + k]));
      }
      ops::base_update(ctx, path.gains, path.sequence, path.position, x, path.mean);
    }
  }

  template <class T>
  void sequential(Context& ctx, const FeatureRows& rows, ConstTensorView mask, ConstTensorView target,
                  Conditionals& out) const {
    const Mat<const T> wanted = mat<T>(target);
    for_row_tiles(rows.x.rows(), [&](std::int64_t begin, std::int64_t n) {
      const Workspace::Scope scope(ctx.workspace());
      const ConstTensorView x = rows.x.rows(begin, n);
      auto path = start<T>(ctx, x, mask.rows(begin, n), 1,
                           [&](std::int64_t b, std::int64_t t) { return wanted.row(begin + b)[t] > T(.5); });
      walk(ctx, path, x, [&](std::int64_t b, std::int64_t t, double log_sd) {
        store(t, static_cast<double>(path.mean.template ptr<T>()[b * F + t]), log_sd,
              out.mixture.ptr<T>() + (begin + b) * 3 * F,
              out.categorical.ptr<T>() + (begin + b) * out.categorical.cols());
      });
    });
  }

  template <class T>
  void draws_of(Context& ctx, const FeatureRows& rows, ConstTensorView mask, std::int64_t draws,
                ConstTensorView noise, DrawMode mode, Draws& out, ConstTensorView target,
                const std::int64_t* order) const {
    const proposal_args::Wanted<T> wanted(target);
    const Mat<const T> given = mat<T>(rows.x), m = mat<T>(mask), u = mat<T>(noise);
    const bool coded = out.code.rows() > 0;
    const auto code_of = [&](std::int64_t r) {
      return coded ? out.code.ptr<std::int32_t>() + r * F : nullptr;
    };
    for (std::int64_t r = 0; r < out.x.rows(); ++r) {
      const std::int64_t b = r / draws;
      std::copy_n(given.row(b), F, out.x.ptr<T>() + r * F);
      if (coded) std::copy_n(mat<std::int32_t>(rows.code).row(b), F, code_of(r));
      for (std::int64_t t = 0; t < F; ++t) {
        if (m.row(b)[t] > T(.5)) continue;
        out.x.ptr<T>()[r * F + t] = 0;
        if (coded) code_of(r)[t] = -1;
      }
      out.log_q.ptr<T>()[r] = 0;
    }
    const auto one = [&](std::int64_t r, std::int64_t t, double mu, double log_sd) {
      T& total = out.log_q.ptr<T>()[r];
      total = T(static_cast<double>(total) +
                draw(t, mu, log_sd, u.row(r % noise.rows()), out.x.ptr<T>() + r * F, code_of(r)));
    };
    const std::int64_t tile = std::max<std::int64_t>(1, tile_rows / draws);
    for (std::int64_t begin = 0; begin < rows.x.rows(); begin += tile) {
      const std::int64_t n = std::min(tile, rows.x.rows() - begin);
      const Workspace::Scope scope(ctx.workspace());
      const ConstTensorView x = rows.x.rows(begin, n);
      if (mode == DrawMode::one_shot) {
        const TensorView mu = scratch(ctx, {n, F}, p.dtype_), log_sd = scratch(ctx, {n, F}, p.dtype_);
        ops::base_conditionals(ctx, p.mean_, p.cov_, x, mask.rows(begin, n), mu, log_sd);
        for (std::int64_t r = 0; r < n * draws; ++r)
          for (std::int64_t t = 0; t < F; ++t)
            if (!(m.row(begin + r / draws)[t] > T(.5)) && wanted(begin + r / draws, t))
              one(begin * draws + r, t, static_cast<double>(mu.ptr<T>()[r / draws * F + t]),
                  static_cast<double>(log_sd.ptr<T>()[r / draws * F + t]));
        continue;
      }
      auto path = start<T>(
          ctx, x, mask.rows(begin, n), draws,
          [&](std::int64_t b, std::int64_t t) { return wanted(begin + b, t); }, order);
      walk(ctx, path, out.x.view().rows(begin * draws, n * draws),
           [&](std::int64_t b, std::int64_t t, double log_sd) {
             for (std::int64_t r = b * draws; r < (b + 1) * draws; ++r)
               one(begin * draws + r, t, static_cast<double>(path.mean.template ptr<T>()[r * F + t]), log_sd);
           });
    }
  }
};

GaussianProposal::GaussianProposal(FeatureLayout layout, GaussianBase base, DType dtype)
    : layout_(std::move(layout)), base_(std::move(base)), dtype_(dtype) {
  layout_.check();
  const std::int64_t F = layout_.features();
  if (base_.features() != F)
    throw ConfigError(
        fmt::format("the Gaussian base has {} features, expected {} as the layout", base_.features(), F));
  mean_ = Tensor::from(base_.mean, {F});
  cov_ = Tensor::from(base_.covariance, {F, F});
  offset_ = layout_.offsets();
}

void GaussianProposal::conditionals(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                                    Conditionals& out) const {
  const std::int64_t B = proposal_args::check_rows("GaussianProposal::conditionals", *this, rows, mask);
  proposal_args::size_outputs(*this, B, out);
  for (Tensor* t : {&out.mixture, &out.categorical, &out.context}) ops::fill(ctx, 0, *t);
  if (dtype_ == DType::f32)
    Impl(*this).conditionals<float>(ctx, rows, mask, out);
  else
    Impl(*this).conditionals<double>(ctx, rows, mask, out);
}

void GaussianProposal::sequential(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                                  ConstTensorView target, Conditionals& out) const {
  constexpr const char* who = "GaussianProposal::sequential";
  const std::int64_t B = proposal_args::check_rows(who, *this, rows, mask);
  proposal_args::check_matrix(who, "target", target, B, layout_.features(), dtype_);
  proposal_args::size_outputs(*this, B, out);
  for (Tensor* t : {&out.mixture, &out.categorical, &out.context}) ops::fill(ctx, 0, *t);
  if (dtype_ == DType::f32)
    Impl(*this).sequential<float>(ctx, rows, mask, target, out);
  else
    Impl(*this).sequential<double>(ctx, rows, mask, target, out);
}

void GaussianProposal::draw(Context& ctx, const FeatureRows& rows, ConstTensorView mask, std::int64_t draws,
                            ConstTensorView noise, DrawMode mode, Draws& out, ConstTensorView target,
                            std::span<const std::int64_t> order) const {
  constexpr const char* who = "GaussianProposal::draw";
  const std::int64_t B = proposal_args::check_rows(who, *this, rows, mask);
  proposal_args::check_draws(who, *this, B, draws, noise, target);
  const std::int64_t* given = proposal_args::check_order(who, layout_.features(), order);
  proposal_args::size_outputs(*this, B, draws, out);
  ops::fill(ctx, 0, out.context);
  if (dtype_ == DType::f32)
    Impl(*this).draws_of<float>(ctx, rows, mask, draws, noise, mode, out, target, given);
  else
    Impl(*this).draws_of<double>(ctx, rows, mask, draws, noise, mode, out, target, given);
}

}  // namespace emshap
