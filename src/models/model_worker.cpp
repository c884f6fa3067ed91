#include "models/model_worker.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/ops/density.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/energy_loss.h"
#include "models/proposal_args.h"

namespace emshap::model {
namespace {

/// The values in double, in a tensor that keeps its memory.
double* widened(Context& ctx, ConstTensorView x, Tensor& to) {
  to.ensure({x.rows(), x.cols()}, DType::f64, x.device());
  ops::copy(ctx, x, to);
  return to.ptr<double>();
}

}  // namespace

Query::Query(const Proposal& proposal, const ModelQuery& query) : given_(query) {
  constexpr const char* who = "EmshapModel";
  proposal_args::check_cpu(who, proposal);
  const std::int64_t B = proposal_args::check_rows(who, proposal, query.rows, query.mask);
  const std::int64_t F = proposal.layout().features();
  if (query.target.data() != nullptr && B > 0)
    proposal_args::check_matrix(who, "target", query.target, B, F, proposal.dtype());
  if (query.numbers.empty()) {
    numbers_.resize(static_cast<std::size_t>(B));
    std::iota(numbers_.begin(), numbers_.end(), std::int64_t{0});
  } else {
    numbers_.assign(query.numbers.begin(), query.numbers.end());
  }
  if (static_cast<std::int64_t>(numbers_.size()) != B)
    throw ShapeError(
        fmt::format("{}: there are {} row numbers, expected {}, one for each row", who, numbers_.size(), B));
}

FeatureRows Query::rows(std::int64_t begin, std::int64_t count) const {
  return {.x = given_.rows.x.rows(begin, count),
          .code = given_.rows.code.elements() == 0 ? given_.rows.code : given_.rows.code.rows(begin, count)};
}

Worker::Worker(const Proposal& proposal, const EnergyNetwork* energy, Backend backend)
    : proposal_(proposal), energy_(energy), ctx_(backend), offsets_(proposal.layout().offsets()) {}

void Worker::read_masks(const Query& query, std::int64_t begin, std::int64_t n) {
  const std::int64_t F = features();
  const double* known = widened(ctx_, query.mask(begin, n), known_);
  missing_ = false;
  if (query.has_target()) {
    const double* target = widened(ctx_, query.target(begin, n), target_);
    for (std::int64_t i = 0; i < n * F; ++i) missing_ |= known[i] < .5 && target[i] < .5;
  } else {
    target_.ensure({n, F}, DType::f64);
    ops::affine(ctx_, known_, -1, 1, target_);
  }
}

ConstTensorView Worker::without_missing(const Query& query, std::int64_t begin, std::int64_t n,
                                        ConstTensorView x) {
  if (!missing_ || n == 0) return x;
  const std::int64_t F = features(), share = x.rows() / n;
  seen_.ensure({n, F}, x.dtype());
  ops::add(ctx_, query.mask(begin, n), query.target(begin, n), seen_);
  zero_.ensure({F}, x.dtype());
  ops::fill(ctx_, 0, zero_);
  complete_.ensure({x.rows(), F}, x.dtype());
  for (std::int64_t b = 0; b < n; ++b)
    ops::scale_shift_columns(ctx_, x.rows(b * share, share), seen_.view().rows(b, 1), zero_,
                             complete_.view().rows(b * share, share));
  return complete_;
}

void Worker::sum_targets(const FeatureRows& rows, std::int64_t share, std::vector<double>& out) {
  const std::int64_t N = rows.x.rows(), F = features();
  ConstTensorView x = rows.x;
  if (!x.contiguous()) {
    contiguous_.ensure({N, F}, x.dtype());
    ops::copy(ctx_, x, contiguous_);
    x = contiguous_;
  }
  density_.ensure({N, F}, x.dtype());
  ops::mixture_log_density(ctx_, conditionals_.mixture, x, density_);
  const double* density = widened(ctx_, density_, wide_);
  const std::int64_t V = proposal_.layout().total_categories();
  const double* log_p = V > 0 ? widened(ctx_, conditionals_.categorical, wide_categories_) : nullptr;
  const auto* code = V > 0 ? rows.code.ptr<std::int32_t>() : nullptr;
  out.assign(static_cast<std::size_t>(N), 0.);
  for (std::int64_t r = 0; r < N; ++r)
    for (std::int64_t t = 0; t < F; ++t) {
      if (target_.ptr<double>()[r / share * F + t] < .5) continue;
      double& sum = out[static_cast<std::size_t>(r)];
      if (!proposal_.layout().categorical(t)) {
        sum += density[r * F + t];
        continue;
      }
      const std::int32_t v = code[r * rows.code.row_stride() + t];
      if (v < 0 || v >= proposal_.layout().categories[static_cast<std::size_t>(t)])
        throw DataError(fmt::format("EmshapModel: feature {} has category {}, expected 0 to {}", t, v,
                                    proposal_.layout().categories[static_cast<std::size_t>(t)] - 1));
      sum += log_p[r * V + offsets_[static_cast<std::size_t>(t)] + v];
    }
}

void Worker::log_q(const Query& query, std::int64_t begin, std::int64_t n, DrawMode mode,
                   std::vector<double>& out) {
  const FeatureRows rows = query.rows(begin, n);
  if (mode == DrawMode::one_shot) {
    proposal_.conditionals(ctx_, rows, query.mask(begin, n), conditionals_);
  } else if (query.has_target()) {
    proposal_.sequential(ctx_, rows, query.mask(begin, n), query.target(begin, n), conditionals_);
  } else {
    unknown_.ensure({n, features()}, proposal_.dtype());
    ops::affine(ctx_, query.mask(begin, n), -1, 1, unknown_);
    proposal_.sequential(ctx_, rows, query.mask(begin, n), unknown_, conditionals_);
  }
  sum_targets(rows, 1, out);
}

void Worker::draw(const Query& query, std::int64_t begin, std::int64_t n, const SamplingOptions& options,
                  Fill fill, std::int64_t first, std::int64_t count, Draws& draws, Tensor& energy) {
  read_masks(query, begin, n);
  const ConstTensorView mask = query.mask(begin, n);
  noise_.ensure({n * count, features()}, proposal_.dtype());
  ops::fill_draw_noise(ctx_, options.noise, options.key, query.numbers(begin, n), first, count, noise_);
  proposal_.draw(ctx_, query.rows(begin, n), mask, count, noise_, options.mode, draws,
                 missing_ && fill == Fill::targets ? query.target(begin, n) : ConstTensorView());
  energy.ensure({n * count}, proposal_.dtype());
  if (energy_ == nullptr) return ops::fill(ctx_, 0, energy);
  energy_->infer(ctx_, without_missing(query, begin, n, draws.x), mask, draws.context, energy);
}

void Worker::weigh(const Query& query, std::int64_t count, const Draws& draws, Tensor& energy,
                   TensorView log_w) {
  const std::int64_t n = query.rows();
  read_masks(query, 0, n);
  energy_->infer(ctx_, without_missing(query, 0, n, draws.x), query.mask(0, n), draws.context, energy);
  SamplingOptions options;
  log_weights(query, 0, n, options, Fill::everything, count, draws, energy, log_w);
}

void Worker::log_weights(const Query& query, std::int64_t begin, std::int64_t n,
                         const SamplingOptions& options, Fill fill, std::int64_t count, const Draws& draws,
                         const Tensor& energy, TensorView log_w) {
  if (!absolute()) {  // exp(-g)
    wide_.ensure({n, count}, proposal_.dtype());
    ops::affine(ctx_, energy.view().reshaped({n, count}), -1, 0, wide_);
    return ops::copy(ctx_, wide_, log_w);
  }
  // exp(-E) / q
  std::vector<double> log_q;
  if (missing_ && fill == Fill::everything) {
    // Draws hold values for missing features too; dividing by the factors of the targets alone leaves
    // those of the missing ones, which integrate to 1.
    const std::int64_t F = features(), N = n * count;
    Tensor mask({N, F}, proposal_.dtype()), unknown({N, F}, proposal_.dtype());
    for (std::int64_t r = 0; r < N; ++r)
      ops::copy(ctx_, query.mask(begin + r / count, 1), mask.view().rows(r, 1));
    ops::affine(ctx_, mask, -1, 1, unknown);
    const FeatureRows rows{.x = draws.x, .code = draws.code};
    if (options.mode == DrawMode::one_shot)
      proposal_.conditionals(ctx_, rows, mask, conditionals_);
    else
      proposal_.sequential(ctx_, rows, mask, unknown, conditionals_);
    sum_targets(rows, count, log_q);
  } else {
    const double* q = widened(ctx_, draws.log_q, wide_);
    log_q.assign(q, q + n * count);
  }
  Tensor result({n, count}, DType::f64);
  ops::copy(ctx_, energy.view().reshaped({n, count}), result);
  for (std::int64_t i = 0; i < n * count; ++i)
    result.ptr<double>()[i] = -result.ptr<double>()[i] - log_q[static_cast<std::size_t>(i)];
  ops::copy(ctx_, result, log_w);
}

void Worker::energies_of_rows(const Query& query, std::int64_t begin, std::int64_t n, ConstTensorView context,
                              Tensor& energy) {
  energy.ensure({n}, proposal_.dtype());
  energy_->infer(ctx_, without_missing(query, begin, n, query.rows(begin, n).x), query.mask(begin, n),
                 context, energy);
}

void Worker::log_density(const Query& query, std::int64_t begin, std::int64_t end, std::int64_t tile,
                         const SamplingOptions& options, DensityScores& out) {
  std::vector<double> log_q_rows;
  for (std::int64_t b = begin; b < end; b += tile) {
    const std::int64_t n = std::min(tile, end - b);
    read_masks(query, b, n);
    log_q(query, b, n, options.mode, log_q_rows);
    for (std::int64_t i = 0; i < n; ++i) {
      const auto to = static_cast<std::size_t>(b + i);
      out.log_q[to] = out.log_density[to] = log_q_rows[static_cast<std::size_t>(i)];
    }
    if (energy_ == nullptr) continue;
    log_w_.ensure({n, options.draws}, DType::f64);
    for (std::int64_t first = 0; first < options.draws; first += most_completions) {
      const std::int64_t count = std::min(most_completions, options.draws - first);
      draw(query, b, n, options, Fill::targets, first, count, draws_, energy_of_draws_);
      log_weights(query, b, n, options, Fill::targets, count, draws_, energy_of_draws_,
                  log_w_.view().columns(first, count));
    }
    energies_of_rows(query, b, n, draws_.context, energy_of_rows_);
    summary_.ensure({n, 3}, DType::f64);
    ops::importance_weights(ctx_, log_w_, {}, summary_);
    const double* energy = widened(ctx_, energy_of_rows_, wide_);
    for (std::int64_t i = 0; i < n; ++i) {
      const auto to = static_cast<std::size_t>(b + i);
      const double* s = summary_.ptr<double>() + 3 * i;
      out.energy[to] = energy[i];
      out.log_z[to] = s[0];
      out.effective[to] = s[1];
      out.log_z_error[to] = s[2];
      out.log_density[to] = (absolute() ? 0 : out.log_q[to]) - energy[i] - s[0];
    }
  }
}

void Worker::moments(const Query& query, std::int64_t begin, std::int64_t end, std::int64_t tile,
                     const SamplingOptions& options, ConditionalMoments& out) {
  const std::int64_t F = features();
  std::vector<double> centre, sum, squares, largest, total;
  for (std::int64_t b = begin; b < end; b += tile) {
    const std::int64_t n = std::min(tile, end - b);
    for (std::int64_t first = 0; first < options.draws; first += most_completions) {
      const std::int64_t count = std::min(most_completions, options.draws - first);
      draw(query, b, n, options, Fill::everything, first, count, draws_, energy_of_draws_);
      log_w_.ensure({n, count}, DType::f64);
      if (energy_ != nullptr)
        log_weights(query, b, n, options, Fill::everything, count, draws_, energy_of_draws_, log_w_);
      else
        ops::fill(ctx_, 0, log_w_);
      const double* x = widened(ctx_, draws_.x, wide_);
      if (first == 0) {  // sums of what lies beside the first draw, and scaled by the largest weight so far
        centre.assign(static_cast<std::size_t>(n * F), 0.);
        for (std::int64_t i = 0; i < n; ++i) std::copy_n(x + i * count * F, F, centre.begin() + i * F);
        sum.assign(centre.size(), 0.);
        squares.assign(centre.size(), 0.);
        largest.assign(static_cast<std::size_t>(n), -std::numeric_limits<double>::infinity());
        total.assign(static_cast<std::size_t>(n), 0.);
      }
      for (std::int64_t i = 0; i < n; ++i) {
        const auto row = static_cast<std::size_t>(i);
        for (std::int64_t k = 0; k < count; ++k) {
          const double l = log_w_.ptr<double>()[i * count + k];
          if (l > largest[row]) {
            const double shrink = std::exp(largest[row] - l);
            total[row] *= shrink;
            for (std::int64_t t = 0; t < F; ++t) {
              sum[static_cast<std::size_t>(i * F + t)] *= shrink;
              squares[static_cast<std::size_t>(i * F + t)] *= shrink;
            }
            largest[row] = l;
          }
          const double w = std::exp(l - largest[row]);
          total[row] += w;
          for (std::int64_t t = 0; t < F; ++t) {
            const auto at = static_cast<std::size_t>(i * F + t);
            const double away = x[(i * count + k) * F + t] - centre[at];
            sum[at] += w * away;
            squares[at] += w * away * away;
          }
        }
      }
    }
    mean_.ensure({n, F}, DType::f64);
    variance_.ensure({n, F}, DType::f64);
    for (std::int64_t i = 0; i < n * F; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double shift = sum[at] / total[static_cast<std::size_t>(i / F)];
      mean_.ptr<double>()[i] = centre[at] + shift;
      variance_.ptr<double>()[i] =
          std::sqrt(std::max(0., squares[at] / total[static_cast<std::size_t>(i / F)] - shift * shift));
    }
    ops::copy(ctx_, mean_, out.mean.view().rows(b, n));
    ops::copy(ctx_, variance_, out.sd.view().rows(b, n));
  }
}

void Worker::proposal_moments(const Query& query, std::int64_t begin, std::int64_t end, std::int64_t tile,
                              ConditionalMoments& out) {
  const std::int64_t F = features(), V = proposal_.layout().total_categories();
  const FeatureLayout& layout = proposal_.layout();
  for (std::int64_t b = begin; b < end; b += tile) {
    const std::int64_t n = std::min(tile, end - b);
    read_masks(query, b, n);
    proposal_.conditionals(ctx_, query.rows(b, n), query.mask(b, n), conditionals_);
    Tensor mean({n, F}, proposal_.dtype()), variance({n, F}, proposal_.dtype());
    ops::mixture_moments(ctx_, conditionals_.mixture, mean, variance);
    double* const m = widened(ctx_, mean, mean_);
    double* const sd = widened(ctx_, variance, variance_);
    const double* x = widened(ctx_, query.rows(b, n).x, wide_);
    const double* log_p = V > 0 ? widened(ctx_, conditionals_.categorical, wide_categories_) : nullptr;
    for (std::int64_t i = 0; i < n * F; ++i) {
      const std::int64_t t = i % F;
      if (known_.ptr<double>()[i] > .5) {
        m[i] = x[i];
        sd[i] = 0;
        continue;
      }
      if (layout.categorical(t)) {
        const std::int64_t o = offsets_[static_cast<std::size_t>(t)];
        const double* p = log_p + i / F * V + o;
        const double* value = layout.values.data() + o;
        m[i] = 0;
        sd[i] = 0;
        for (std::int64_t v = 0; v < layout.categories[static_cast<std::size_t>(t)]; ++v)
          m[i] += std::exp(p[v]) * value[v];
        for (std::int64_t v = 0; v < layout.categories[static_cast<std::size_t>(t)]; ++v)
          sd[i] += std::exp(p[v]) * (value[v] - m[i]) * (value[v] - m[i]);
      }
      sd[i] = std::sqrt(sd[i]);
    }
    ops::copy(ctx_, mean_, out.mean.view().rows(b, n));
    ops::copy(ctx_, variance_, out.sd.view().rows(b, n));
  }
}

void Worker::energies(const Query& query, std::int64_t begin, std::int64_t end, std::int64_t tile,
                      std::vector<double>& out) {
  for (std::int64_t b = begin; b < end; b += tile) {
    const std::int64_t n = std::min(tile, end - b);
    read_masks(query, b, n);
    proposal_.conditionals(ctx_, query.rows(b, n), query.mask(b, n), conditionals_);
    energies_of_rows(query, b, n, conditionals_.context, energy_of_rows_);
    std::copy_n(widened(ctx_, energy_of_rows_, wide_), n, out.begin() + b);
  }
}

}  // namespace emshap::model
