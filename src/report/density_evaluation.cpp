#include "emshap/report/density_evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "report/pair_table.h"
#include "report/sampled_rows.h"

namespace emshap::report {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
const std::string ours = "EmSHAP";

Tensor select_rows(const Tensor& x, const std::vector<std::int64_t>& rows) {
  Tensor out({static_cast<std::int64_t>(rows.size()), x.cols()});
  float* to = out.ptr<float>();
  for (const std::int64_t row : rows) to = std::copy_n(x.ptr<float>() + row * x.cols(), x.cols(), to);
  return out;
}

/// At most `limit` rows, in their order.
std::vector<std::int64_t> choose_rows(std::int64_t rows, std::int64_t limit, std::uint64_t seed) {
  std::vector<std::int64_t> out = permutation({seed, RandomPurpose::shuffle, 1, 0}, rows);
  if (limit > 0 && limit < rows) out.resize(static_cast<std::size_t>(limit));
  std::sort(out.begin(), out.end());
  return out;
}

/// The first mask of each row, of at most `limit` rows spread over all (0: no limit).
MaskedRows one_mask_a_row(const MaskedRows& pairs, std::int64_t masks, std::int64_t limit) {
  std::vector<std::int64_t> first;
  for (std::int64_t p = 0; p < pairs.pairs(); p += masks) first.push_back(p);
  const auto rows = static_cast<std::int64_t>(first.size());
  if (limit == 0 || limit >= rows) return pairs.select(first);
  std::vector<std::int64_t> some;
  for (std::int64_t i = 0; i < limit; ++i) some.push_back(first[static_cast<std::size_t>(i * rows / limit)]);
  return pairs.select(some);
}

Estimate paired(const std::vector<double>& a, const std::vector<double>& b, const ConditionalScores& of) {
  std::vector<double> difference(a.size());
  for (std::size_t p = 0; p < a.size(); ++p) difference[p] = a[p] - b[p];
  return ratio_estimate(difference, of.pair_targets, of.pair_cluster);
}

const ValueScores* find_values(const DensityEvaluation& e, const std::string& method) {
  for (const ValueScores& v : e.values)
    if (v.method == method) return &v;
  return nullptr;
}

void compare(DensityEvaluation& out) {
  const ConditionalScores& mine = out.methods.front();
  for (std::size_t i = 1; i < out.methods.size(); ++i) {
    const ConditionalScores& other = out.methods[i];
    DensityComparison c{ours, other.method, {nan, nan}, {nan, nan}, {nan, nan}};
    c.log_likelihood = paired(mine.pair_log_likelihood, other.pair_log_likelihood, mine);
    c.crps = paired(mine.pair_crps, other.pair_crps, mine);
    const ValueScores* values = find_values(out, other.method);
    if (values != nullptr && !out.values.empty()) c.msev = paired_difference(out.values.front(), *values);
    out.comparisons.push_back(std::move(c));
  }
  // The model as it is used against itself with the gate the other way round.
  if (out.values.size() > 1 && out.energy_variant)
    out.comparisons.push_back({ours,
                               out.values[1].method,
                               {nan, nan},
                               {nan, nan},
                               paired_difference(out.values[0], out.values[1])});
}

std::int64_t complete_rows(const Tensor& observed) {
  std::int64_t count = 0;
  for (std::int64_t r = 0; r < observed.rows(); ++r) {
    const float* row = observed.ptr<float>() + r * observed.cols();
    count += std::all_of(row, row + observed.cols(), [](float present) { return present != 0; }) ? 1 : 0;
  }
  return count;
}

/// Variance of f(x) over the rows of the pairs.
double variance_of(const Predict& predict, const Tensor& rows, const MaskedRows& pairs) {
  Tensor y({rows.rows(), 1});
  predict(rows, y);
  Summary summary;
  for (const std::int64_t row : std::set<std::int64_t>(pairs.row.begin(), pairs.row.end()))
    summary.add(y.ptr<float>()[row]);
  return summary.sd() * summary.sd();
}

}  // namespace

DensityEvaluation evaluate_density(const FeatureSpace& space, const EmshapModel& model,
                                   const DensityData& data, const Predict& predict,
                                   const DensityEvaluationOptions& options, TeamPool& pool,
                                   ProgressSink& sink) {
  if (options.masks_per_row < 1)
    throw ConfigError(fmt::format("masks per row are {}, expected at least 1", options.masks_per_row));
  DensityEvaluation out;
  out.part = data.part;
  out.options = options;
  const std::vector<std::int64_t> chosen = choose_rows(data.rows.rows(), options.rows_limit, options.seed);
  const Tensor raw = select_rows(data.rows, chosen);
  ScoringOptions scoring{ours, options.seed, {}};
  if (!data.cluster.empty()) {
    for (const std::int64_t row : chosen)
      scoring.cluster.push_back(data.cluster[static_cast<std::size_t>(row)]);
    out.clusters = static_cast<std::int64_t>(
        std::set<std::int64_t>(scoring.cluster.begin(), scoring.cluster.end()).size());
  }
  out.rows = raw.rows();
  const std::int64_t features = space.features();
  Tensor x({out.rows, features}), observed({out.rows, features}), code({out.rows, features}, DType::i32);
  space.to_model(raw, x, observed, code);
  const MaskedRows pairs = uniform_masks(observed, options.masks_per_row, options.seed);
  if (pairs.pairs() == 0) throw DataError("density scores: no row has a value");

  out.methods.push_back(score_conditionals(space, model.proposal(), raw, pairs, scoring, pool, sink));
  std::vector<DensityBaseline> baselines;
  const bool have_train = !data.train.empty();
  if (options.baselines && have_train) {
    baselines = fit_density_baselines(space.input_names(), data.train, data.validation, space.options(),
                                      options.seed);
    std::erase_if(baselines, [&](const DensityBaseline& b) {
      if (b.space.feature_names() == space.feature_names()) return false;
      out.notes.push_back(b.name + " is left out: the training rows vary in other columns than the model's.");
      return true;
    });
    for (const DensityBaseline& b : baselines) {
      scoring.method = b.name;
      out.methods.push_back(
          score_conditionals(b.space, b.model->proposal(), raw, pairs, scoring, pool, sink));
    }
    scoring.method = "independence";
    out.methods.push_back(score_independence(space, data.train, raw, pairs, scoring));
  } else if (options.baselines) {
    out.notes.push_back("There are no training rows to fit baselines on.");
  }

  if (model.energy() != nullptr && options.energy_pairs > 0 && options.energy_draws > 0) {
    SamplingOptions sampling;
    sampling.draws = options.energy_draws;
    sampling.key.seed = options.seed;
    out.energy =
        score_energy(space, model, raw, one_mask_a_row(pairs, options.masks_per_row, options.energy_pairs),
                     sampling, scoring, pool, sink);
  }

  if (predict && options.value_draws > 0) {
    const MaskedRows comparable = value_pairs(observed, one_mask_a_row(pairs, options.masks_per_row, 0));
    if (comparable.pairs() == 0) {
      out.notes.push_back("MSEv needs complete rows, and there are none.");
    } else {
      if (const std::int64_t complete = complete_rows(observed); complete < out.rows)
        out.notes.push_back(fmt::format("MSEv is that of the {} rows without missing values.", complete));
      SamplingOptions sampling;
      sampling.draws = options.value_draws;
      sampling.key.seed = options.seed;
      scoring.method = ours;
      out.values = score_values(space, model, raw, comparable, predict, sampling, scoring, pool, sink);
      if (out.values.size() == 2) {  // the one in use first
        if (model.energy_used()) std::swap(out.values[0], out.values[1]);
        out.values[1].method = model.energy_used() ? ours + " without energy" : ours + " with energy";
        out.values[0].method = ours;
        out.energy_variant = true;
      }
      for (const DensityBaseline& b : baselines) {
        scoring.method = b.name;
        std::vector<ValueScores> scores =
            score_values(b.space, *b.model, raw, comparable, predict, sampling, scoring, pool, sink);
        out.values.push_back(std::move(scores.front()));
      }
      if (options.baselines && have_train) try {
          scoring.method = "independence";
          out.values.push_back(score_independent_values(space, data.train, raw, comparable, predict,
                                                        options.value_draws, scoring));
        } catch (const DataError&) {
          out.notes.push_back("MSEv of independence needs complete training rows, and there are none.");
        }
      out.value_variance = variance_of(predict, raw, comparable);
    }
  }
  compare(out);
  out.samples = sample_rows(space, model, raw, options.seed);
  return out;
}

}  // namespace emshap::report
