#include "emshap/report/density_scores.h"

#include <cmath>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "report/forecast.h"
#include "report/pair_table.h"

namespace emshap::report {
namespace {

constexpr std::int64_t block_pairs = 64;

/// Places the transform of (pair, feature) inside its step.
double step_uniform(const ScoringOptions& options, std::int64_t pair, std::int64_t feature) {
  return Generator({options.seed, RandomPurpose::dequantise, 1, static_cast<std::uint64_t>(feature)},
                   static_cast<std::uint64_t>(pair))
      .uniform();
}

}  // namespace

ConditionalScores score_conditionals(const FeatureSpace& space, const Proposal& proposal, ConstTensorView raw,
                                     const MaskedRows& pairs, const ScoringOptions& options, TeamPool& pool,
                                     ProgressSink& sink) {
  check_fit(space, proposal);
  const ModelPairs model = model_pairs(space, raw, pairs, proposal.dtype());
  const std::int64_t features = space.features(), width = proposal.context_width();
  const std::vector<std::int64_t> input = input_of_feature(space);
  const RawRows values(raw);
  std::vector<ColumnForecast> columns;
  for (std::int64_t t = 0; t < features; ++t) columns.emplace_back(space, t);
  PairTable table(pairs.pairs(), features, width);
  for_blocks(pool, pairs.pairs(), block_pairs, [&](Context& ctx, std::int64_t begin, std::int64_t count) {
    const FeatureRows rows = model.rows(begin, count);
    const ConstTensorView mask = model.mask.view().rows(begin, count),
                          target = model.target.view().rows(begin, count);
    Conditionals sequential, alone;
    proposal.sequential(ctx, rows, mask, target, sequential);
    proposal.conditionals(ctx, rows, mask, alone);
    for (std::int64_t p = begin; p < begin + count; ++p) {
      for (std::int64_t h = 0; h < width; ++h)
        table.context[static_cast<std::size_t>(p * width + h)] =
            element(alone.context, (p - begin) * width + h);
      for (std::int64_t t = 0; t < features; ++t) {
        if (!model.is_target(p, t)) continue;
        const double outcome =
            values(pairs.row[static_cast<std::size_t>(p)], input[static_cast<std::size_t>(t)]);
        const ColumnForecast& column = columns[static_cast<std::size_t>(t)];
        const std::size_t i = table.at(p, t);
        table.log_likelihood[i] =
            column.log_likelihood(Marginal::of(sequential, proposal.layout(), p - begin, t), outcome);
        const Marginal q = Marginal::of(alone, proposal.layout(), p - begin, t);
        const ForecastScore score = column.score(q, outcome, step_uniform(options, p, t));
        table.crps[i] = score.crps;
        table.error[i] = score.error;
        table.pit[i] = score.pit;
        table.mean[i] = q.mean();
        table.variance[i] = q.variance();
      }
    }
  });
  sink.progress({"scoring " + options.method, pairs.pairs(), pairs.pairs(), "pair", {}});
  return table.summarise(space, pairs, model, options);
}

ConditionalScores score_independence(const FeatureSpace& space, ConstTensorView train_raw,
                                     ConstTensorView raw, const MaskedRows& pairs,
                                     const ScoringOptions& options) {
  const ModelPairs model = model_pairs(space, raw, pairs, DType::f64);
  const std::int64_t features = space.features();
  const std::vector<std::int64_t> input = input_of_feature(space);
  const RawRows values(raw), training(train_raw);
  PairTable table(pairs.pairs(), features, 0);
  for (std::int64_t t = 0; t < features; ++t) {
    const std::int64_t column = input[static_cast<std::size_t>(t)];
    std::vector<double> present;
    for (std::int64_t r = 0; r < train_raw.rows(); ++r)
      if (!std::isnan(training(r, column))) present.push_back(training(r, column));
    if (present.empty())
      throw DataError(fmt::format("independence: feature '{}' has no value in the training rows",
                                  space.feature_names()[static_cast<std::size_t>(t)]));
    const EmpiricalForecast forecast(std::move(present), space.columns()[static_cast<std::size_t>(t)].sd);
    for (std::int64_t p = 0; p < pairs.pairs(); ++p) {
      if (!model.is_target(p, t)) continue;
      const ForecastScore score =
          forecast.score(values(pairs.row[static_cast<std::size_t>(p)], column), step_uniform(options, p, t));
      const std::size_t i = table.at(p, t);
      table.crps[i] = score.crps;
      table.error[i] = score.error;
      table.pit[i] = score.pit;
    }
  }
  return table.summarise(space, pairs, model, options);
}

}  // namespace emshap::report
