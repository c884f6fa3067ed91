#include "train/held_out_pairs.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "emshap/models/marginal.h"
#include "emshap/ops/density.h"

namespace emshap {
namespace {

constexpr std::int64_t tile_rows = 64;  // pairs that are asked about at once

void copy_row(const Tensor& from, std::int64_t row, Tensor& to, std::int64_t at) {
  const std::int64_t bytes = from.cols() * size_of(from.dtype());
  std::memcpy(static_cast<char*>(to.view().data()) + at * bytes,
              static_cast<const char*>(from.view().data()) + row * bytes, static_cast<std::size_t>(bytes));
}

/// Calls score(context, conditionals, first pair, pairs) for tiles of the pairs.
template <class Score>
void for_tiles(const Proposal& proposal, const HeldOutPairs& pairs, TeamPool& pool,
               std::vector<std::unique_ptr<Context>>& contexts, const Score& score) {
  contexts.resize(static_cast<std::size_t>(std::max(pool.threads(), static_cast<int>(contexts.size()))));
  pool.run(pairs.count(), [&](Context& ctx, const ShardPlan& plan) {
    auto& own = contexts[static_cast<std::size_t>(ctx.team().rank())];
    if (!own) own = std::make_unique<Context>(ctx.backend());
    Conditionals out;
    for (std::int64_t begin = 0; begin < plan.local_rows; begin += tile_rows) {
      const std::int64_t at = plan.row_begin + begin, n = std::min(tile_rows, plan.local_rows - begin);
      proposal.conditionals(*own, pairs.rows.view(at, n), pairs.mask.view().rows(at, n), out);
      score(*own, out, at, n);
    }
  });
}

/// Of the ratio sum(gain) / sum(unknown entries), linearised, with the rows as clusters (Cochran 1977, ch.
/// 6).
double gain_error(const HeldOutPairs& pairs, const DensityScores& scores, double gain) {
  std::map<std::int64_t, double> residual;
  const std::int64_t features = pairs.mask.cols();
  for (std::int64_t p = 0; p < pairs.count(); ++p) {
    const auto i = static_cast<std::size_t>(p);
    double unknown = 0;
    for (std::int64_t t = 0; t < features; ++t) unknown += pairs.target.ptr<float>()[p * features + t];
    residual[pairs.row[i]] += scores.log_density[i] - scores.log_q[i] - gain * unknown;
  }
  const auto clusters = static_cast<double>(residual.size());
  if (clusters < 2) return std::numeric_limits<double>::infinity();
  double squares = 0;
  for (const auto& [row, value] : residual) squares += value * value;
  return std::sqrt(squares * clusters / (clusters - 1)) / static_cast<double>(pairs.unknown);
}

}  // namespace

RandomKey emshap_key(std::uint64_t seed, RandomPurpose purpose, EmshapStream stream, std::int64_t step) {
  return {.seed = seed,
          .purpose = purpose,
          .layer = static_cast<std::uint32_t>(stream),
          .step = static_cast<std::uint64_t>(step)};
}

HeldOutPairs HeldOutPairs::make(const FeatureSpace& space, ConstTensorView raw, std::uint64_t seed,
                                std::int64_t fewest, std::int64_t most) {
  HeldOutPairs pairs;
  const std::int64_t rows = std::min(raw.rows(), most), features = space.features();
  const std::int64_t copies = rows == 0 ? 0 : (std::max(fewest, rows) + rows - 1) / rows;
  const std::int64_t count = rows * copies;
  std::vector<std::int64_t> chosen =
      permutation(emshap_key(seed, RandomPurpose::shuffle, EmshapStream::held_out), raw.rows());
  chosen.resize(static_cast<std::size_t>(rows));
  std::sort(chosen.begin(), chosen.end());
  Tensor values({count, raw.cols()}, raw.dtype());
  const std::int64_t bytes = raw.cols() * size_of(raw.dtype());
  for (std::int64_t p = 0; p < count; ++p) {
    const std::int64_t row = chosen[static_cast<std::size_t>(p % rows)];
    std::memcpy(static_cast<char*>(values.view().data()) + p * bytes,
                static_cast<const char*>(raw.data()) + row * raw.row_stride() * size_of(raw.dtype()),
                static_cast<std::size_t>(bytes));
    pairs.numbers.push_back(p);
    pairs.row.push_back(p % rows);
  }
  pairs.rows.x.ensure({count, features}, DType::f32);
  pairs.rows.observed.ensure({count, features}, DType::f32);
  pairs.rows.code.ensure({count, features}, DType::i32);
  pairs.mask.ensure({count, features}, DType::f32);
  pairs.target.ensure({count, features}, DType::f32);
  if (count == 0) return pairs;
  space.to_model_dequantised(values, emshap_key(seed, RandomPurpose::dequantise, EmshapStream::held_out),
                             pairs.numbers, pairs.rows.x, pairs.rows.observed, pairs.rows.code);
  draw_masks(emshap_key(seed, RandomPurpose::masking, EmshapStream::held_out), pairs.numbers,
             pairs.rows.observed, pairs.mask);
  const float *m = pairs.mask.ptr<float>(), *there = pairs.rows.observed.ptr<float>();
  float* target = pairs.target.ptr<float>();
  for (std::int64_t i = 0; i < count * features; ++i) {
    target[i] = there[i] > 0 && m[i] == 0 ? 1.F : 0.F;
    pairs.unknown += target[i] > 0 ? 1 : 0;
  }
  return pairs;
}

HeldOutPairs HeldOutPairs::some(std::int64_t most) const {
  const std::int64_t n = std::min(most, count()), features = mask.cols();
  HeldOutPairs part;
  part.rows.x.ensure({n, features}, rows.x.dtype());
  part.rows.observed.ensure({n, features}, rows.x.dtype());
  part.rows.code.ensure({n, features}, DType::i32);
  part.mask.ensure({n, features}, DType::f32);
  part.target.ensure({n, features}, DType::f32);
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t from = i * count() / n;
    copy_row(rows.x, from, part.rows.x, i);
    copy_row(rows.observed, from, part.rows.observed, i);
    copy_row(rows.code, from, part.rows.code, i);
    copy_row(mask, from, part.mask, i);
    copy_row(target, from, part.target, i);
    part.numbers.push_back(numbers[static_cast<std::size_t>(from)]);
    part.row.push_back(row[static_cast<std::size_t>(from)]);
    for (std::int64_t t = 0; t < features; ++t)
      part.unknown += part.target.ptr<float>()[i * features + t] > 0 ? 1 : 0;
  }
  return part;
}

ModelQuery HeldOutPairs::query(std::int64_t begin, std::int64_t n) const {
  return {.rows = rows.view(begin, n),
          .mask = mask.view().rows(begin, n),
          .target = target.view().rows(begin, n),
          .numbers = std::span<const std::int64_t>(numbers).subspan(static_cast<std::size_t>(begin),
                                                                    static_cast<std::size_t>(n))};
}

double sum_in_order(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum;
}

void sum_log_q(const FeatureLayout& layout, const float* density, const float* log_p, const FeatureRows& rows,
               const float* target, std::span<double> sums) {
  const std::int64_t n = rows.x.rows(), features = layout.features(), categories = layout.total_categories();
  const auto* code = rows.code.elements() == 0 ? nullptr : rows.code.ptr<std::int32_t>();
  for (std::int64_t t = 0, offset = 0; t < features; ++t) {
    const bool categorical = layout.categorical(t);
    for (std::int64_t row = 0; row < n; ++row) {
      const std::int64_t i = row * features + t;
      if (target[i] == 0) continue;
      sums[static_cast<std::size_t>(row)] +=
          categorical ? log_p[row * categories + offset + code[i]] : density[i];
    }
    offset += layout.categories[static_cast<std::size_t>(t)];
  }
}

void add_log_q(Context& ctx, const Proposal& proposal, const Conditionals& conditionals,
               const FeatureRows& rows, ConstTensorView target, std::span<double> sums) {
  const std::int64_t n = rows.x.rows(), features = proposal.layout().features();
  const Workspace::Scope scope(ctx.workspace());
  auto* density = ctx.workspace().take<float>(n * features);
  ops::mixture_log_density(ctx,
                           conditionals.mixture.view().reshaped({n * features, 3 * proposal.components()}),
                           rows.x, TensorView(density, {n, features}, DType::f32));
  sum_log_q(proposal.layout(), density, conditionals.categorical.ptr<float>(), rows, target.ptr<float>(),
            sums);
}

double held_out_loss(const Proposal& proposal, const HeldOutPairs& pairs, TeamPool& pool,
                     std::vector<std::unique_ptr<Context>>& contexts) {
  std::vector<double> sums(static_cast<std::size_t>(pairs.count()), 0.0);
  for_tiles(
      proposal, pairs, pool, contexts, [&](Context& ctx, Conditionals& out, std::int64_t at, std::int64_t n) {
        add_log_q(ctx, proposal, out, pairs.rows.view(at, n), pairs.target.view().rows(at, n),
                  std::span<double>(sums).subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(n)));
      });
  return -sum_in_order(sums) / static_cast<double>(std::max<std::int64_t>(1, pairs.unknown));
}

double held_out_crps(const Proposal& proposal, const HeldOutPairs& pairs, TeamPool& pool) {
  const FeatureLayout& layout = proposal.layout();
  const std::int64_t features = layout.features();
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<double> sums(static_cast<std::size_t>(pairs.count()), 0.0);
  for_tiles(
      proposal, pairs, pool, contexts, [&](Context&, Conditionals& out, std::int64_t at, std::int64_t n) {
        for (std::int64_t row = 0; row < n; ++row)
          for (std::int64_t t = 0; t < features; ++t) {
            const std::int64_t i = (at + row) * features + t;
            if (pairs.target.ptr<float>()[i] == 0) continue;
            sums[static_cast<std::size_t>(at + row)] +=
                Marginal::of(out, layout, row, t).crps(static_cast<double>(pairs.rows.x.ptr<float>()[i]));
          }
      });
  return sum_in_order(sums) / static_cast<double>(std::max<std::int64_t>(1, pairs.unknown));
}

EmshapGate held_out_gate(const EmshapModel& model, const HeldOutPairs& pairs, TeamPool& pool,
                         const EmshapOptions& options) {
  EmshapGate gate;
  gate.pairs = pairs.count();
  if (pairs.count() == 0) return gate;
  SamplingOptions sampling;
  sampling.draws = options.gate_draws;
  sampling.key = emshap_key(options.seed, RandomPurpose::proposal, EmshapStream::gate);
  const DensityScores scores = model.log_density(pool, pairs.query(0, pairs.count()), sampling, true);
  const auto unknown = static_cast<double>(pairs.unknown);
  // The logarithm of an estimate is too small by half its variance (delta method), which would speak for the
  // energy.
  double bias = 0;
  for (const double error : scores.log_z_error) bias += error * error / 2;
  gate.full_ll = (sum_in_order(scores.log_density) - bias) / unknown;
  gate.proposal_ll = sum_in_order(scores.log_q) / unknown;
  gate.gain = gate.full_ll - gate.proposal_ll;
  gate.effective_share =
      sum_in_order(scores.effective) / static_cast<double>(pairs.count() * options.gate_draws);
  gate.gain_error = gain_error(pairs, scores, gate.gain);
  gate.used = gate.gain > options.gate_gain && (options.gate_gain < 0 || gate.gain > 2 * gate.gain_error);
  return gate;
}

}  // namespace emshap
