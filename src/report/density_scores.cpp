#include "emshap/report/density_scores.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "report/forecast.h"
#include "report/pair_table.h"

namespace emshap::report {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t block_pairs = 64;

/// Places the transform of (pair, feature) inside its step.
double step_uniform(const ScoringOptions& options, std::int64_t pair, std::int64_t feature) {
  return Generator({options.seed, RandomPurpose::dequantise, 1, static_cast<std::uint64_t>(feature)},
                   static_cast<std::uint64_t>(pair))
      .uniform();
}

double element(const Tensor& x, std::int64_t i) {
  return x.dtype() == DType::f64 ? x.ptr<double>()[i] : static_cast<double>(x.ptr<float>()[i]);
}

void check_fit(const FeatureSpace& space, const Proposal& proposal) {
  if (space.features() != proposal.layout().features())
    throw ShapeError(fmt::format("scores: the proposal has {} features, expected {} as the feature space has",
                                 proposal.layout().features(), space.features()));
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

EnergyScores score_energy(const FeatureSpace& space, const EmshapModel& model, ConstTensorView raw,
                          const MaskedRows& pairs, const SamplingOptions& sampling,
                          const ScoringOptions& options, TeamPool& pool, ProgressSink& sink) {
  if (model.energy() == nullptr) throw ConfigError("energy scores: the model has no energy network");
  const Proposal& proposal = model.proposal();
  check_fit(space, proposal);
  const ModelPairs points = model_pairs(space, raw, pairs, proposal.dtype());
  const std::vector<std::int64_t> input = input_of_feature(space);
  const RawRows values(raw);
  const std::int64_t count = pairs.pairs(), features = space.features();

  // The proposal's part, on tiles.
  std::vector<ColumnForecast> columns;
  for (std::int64_t t = 0; t < features; ++t) columns.emplace_back(space, t);
  std::vector<double> log_q(static_cast<std::size_t>(count), 0);
  for_blocks(pool, count, block_pairs, [&](Context& ctx, std::int64_t begin, std::int64_t some) {
    Conditionals sequential;
    proposal.sequential(ctx, points.rows(begin, some), points.mask.view().rows(begin, some),
                        points.target.view().rows(begin, some), sequential);
    for (std::int64_t p = begin; p < begin + some; ++p)
      for (std::int64_t t = 0; t < features; ++t)
        if (points.is_target(p, t))
          log_q[static_cast<std::size_t>(p)] += columns[static_cast<std::size_t>(t)].log_likelihood(
              Marginal::of(sequential, proposal.layout(), p - begin, t),
              values(pairs.row[static_cast<std::size_t>(p)], input[static_cast<std::size_t>(t)]));
  });

  EnergyScores out;
  out.pairs = count;
  out.draws = sampling.draws;
  out.used = model.energy_used();
  std::vector<double> full, gain, targets;
  // In portions, so that progress shows: most of the time of an evaluation goes here.
  constexpr std::int64_t portion = 64;
  for (std::int64_t begin = 0; begin < count; begin += portion) {
    const std::int64_t some = std::min(portion, count - begin);
    std::vector<std::int64_t> numbers;
    for (std::int64_t p = begin; p < begin + some; ++p) numbers.push_back(p);
    const ModelQuery query{points.rows(begin, some), points.mask.view().rows(begin, some),
                           points.target.view().rows(begin, some), numbers};
    const emshap::DensityScores scores = model.log_density(pool, query, sampling, true);
    for (std::int64_t p = begin; p < begin + some; ++p) {
      const auto i = static_cast<std::size_t>(p - begin);
      gain.push_back(scores.log_density[i] - scores.log_q[i]);
      full.push_back(log_q[static_cast<std::size_t>(p)] + gain.back());
      targets.push_back(static_cast<double>(points.targets[static_cast<std::size_t>(p)]));
      out.targets += points.targets[static_cast<std::size_t>(p)];
      out.effective.add(scores.effective[i]);
      out.log_z.add(scores.log_z[i]);
      out.log_z_error.add(scores.log_z_error[i]);
      out.data.push_back(scores.energy[i]);
    }
    sink.progress({"partition functions", begin + some, count, "pair", {}});
  }
  const std::vector<std::int64_t> cluster = pair_clusters(pairs, options);
  out.proposal = ratio_estimate(log_q, targets, cluster);
  out.full = ratio_estimate(full, targets, cluster);
  out.gain = ratio_estimate(gain, targets, cluster);
  out.by_size = scores_by_size(full, {}, targets, points.size, cluster);

  // One draw for each pair.
  SamplingOptions one = sampling;
  one.draws = 1;
  one.noise = DrawNoise::independent;
  out.drawn.resize(static_cast<std::size_t>(count));
  for_blocks(pool, count, block_pairs, [&](Context& ctx, std::int64_t begin, std::int64_t some) {
    std::vector<std::int64_t> numbers;
    for (std::int64_t p = begin; p < begin + some; ++p) numbers.push_back(p);
    WeightedDraws draws;
    model.draw(ctx,
               {points.rows(begin, some), points.mask.view().rows(begin, some),
                points.target.view().rows(begin, some), numbers},
               one, draws);
    for (std::int64_t p = begin; p < begin + some; ++p)
      out.drawn[static_cast<std::size_t>(p)] = element(draws.energy, p - begin);
  });
  return out;
}

}  // namespace emshap::report
