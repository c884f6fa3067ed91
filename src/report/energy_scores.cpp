// What the energy adds to the proposal: by importance sampling.
#include <algorithm>

#include "emshap/core/error.h"
#include "emshap/report/density_scores.h"
#include "report/forecast.h"
#include "report/pair_table.h"

namespace emshap::report {
namespace {

constexpr std::int64_t block_pairs = 64;

}  // namespace

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
