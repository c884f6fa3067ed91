#include "emshap/report/value_scores.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "report/pair_table.h"

namespace emshap::report {
namespace {

constexpr std::int64_t rows_at_once = 16384;  // completions predicted in one call

/// f(x) of each pair's row.
std::vector<double> predictions(ConstTensorView raw, const MaskedRows& pairs, const Predict& predict) {
  const std::int64_t rows = raw.rows(), inputs = raw.cols();
  const RawRows values(raw);
  std::vector<std::int64_t> needed = pairs.row;
  std::sort(needed.begin(), needed.end());
  needed.erase(std::unique(needed.begin(), needed.end()), needed.end());
  Tensor x({static_cast<std::int64_t>(needed.size()), inputs}), y({x.rows(), 1});
  for (std::size_t i = 0; i < needed.size(); ++i)
    for (std::int64_t c = 0; c < inputs; ++c)
      x.ptr<float>()[static_cast<std::int64_t>(i) * inputs + c] = static_cast<float>(values(needed[i], c));
  if (!needed.empty()) predict(x, y);
  std::vector<double> of_row(static_cast<std::size_t>(rows), 0), out;
  for (std::size_t i = 0; i < needed.size(); ++i)
    of_row[static_cast<std::size_t>(needed[i])] = y.ptr<float>()[i];
  for (const std::int64_t row : pairs.row) out.push_back(of_row[static_cast<std::size_t>(row)]);
  return out;
}

/// What of each input comes from a draw: the feature, or -1 for columns that the space has dropped.
std::vector<std::int64_t> feature_of_input(const FeatureSpace& space) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(space.inputs()), -1);
  const std::vector<std::int64_t> input = input_of_feature(space);
  for (std::size_t t = 0; t < input.size(); ++t)
    out[static_cast<std::size_t>(input[t])] = static_cast<std::int64_t>(t);
  return out;
}

/// Puts the pair's own values into its `draws` completions, where they are known or not modelled.
void keep_known(float* completion, std::int64_t draws, const RawRows& values, std::int64_t row,
                const std::vector<std::int64_t>& feature, const float* mask) {
  for (std::size_t c = 0; c < feature.size(); ++c) {
    if (feature[c] >= 0 && mask[feature[c]] == 0) continue;
    const auto value = static_cast<float>(values(row, static_cast<std::int64_t>(c)));
    for (std::int64_t k = 0; k < draws; ++k)
      completion[static_cast<std::size_t>(k) * feature.size() + c] = value;
  }
}

/// Importance weights from the energies of one pair's draws, sum 1.
std::vector<double> energy_weights(EnergyForm form, const WeightedDraws& draws, std::int64_t begin,
                                   std::int64_t count) {
  std::vector<double> w(static_cast<std::size_t>(count));
  for (std::int64_t k = 0; k < count; ++k) {
    const double log_q = form == EnergyForm::absolute ? element(draws.draws.log_q, begin + k) : 0;
    w[static_cast<std::size_t>(k)] = -element(draws.energy, begin + k) - log_q;
  }
  const double most = *std::max_element(w.begin(), w.end());
  double sum = 0;
  for (double& value : w) sum += value = std::exp(value - most);
  for (double& value : w) value /= sum;
  return w;
}

void finish(ValueScores& out, const std::vector<double>& truth) {
  for (std::size_t p = 0; p < truth.size(); ++p) {
    const double error = truth[p] - out.pair_value[p];
    out.pair_error.push_back(error * error);
  }
  out.pairs = static_cast<std::int64_t>(truth.size());
  out.msev = ratio_estimate(out.pair_error, std::vector<double>(truth.size(), 1), out.pair_cluster);
}

}  // namespace

MaskedRows value_pairs(ConstTensorView observed, const MaskedRows& pairs) {
  const RawRows present(observed);
  std::vector<std::int64_t> kept;
  for (std::int64_t p = 0; p < pairs.pairs(); ++p) {
    std::int64_t values = 0, known = 0;
    for (std::int64_t t = 0; t < observed.cols(); ++t) {
      values += present(pairs.row[static_cast<std::size_t>(p)], t) != 0 ? 1 : 0;
      known += pairs.mask.ptr<float>()[p * observed.cols() + t] != 0 ? 1 : 0;
    }
    if (values == observed.cols() && known > 0 && known < values) kept.push_back(p);
  }
  return pairs.select(kept);
}

std::vector<ValueScores> score_values(const FeatureSpace& space, const EmshapModel& model,
                                      ConstTensorView raw, const MaskedRows& pairs, const Predict& predict,
                                      const SamplingOptions& sampling, const ScoringOptions& options,
                                      TeamPool& pool, ProgressSink& sink) {
  if (sampling.draws < 1)
    throw ConfigError(fmt::format("values: draws is {}, expected at least 1", sampling.draws));
  const ModelPairs points = model_pairs(space, raw, pairs, model.proposal().dtype());
  const std::int64_t count = pairs.pairs(), draws = sampling.draws, inputs = space.inputs(),
                     features = space.features();
  const std::vector<std::int64_t> feature = feature_of_input(space);
  const RawRows values(raw);
  const bool with_energy = model.energy() != nullptr;
  std::vector<ValueScores> out(with_energy ? 2 : 1);
  for (ValueScores& scores : out) {
    scores.method = options.method;
    scores.draws = draws;
    scores.pair_cluster = pair_clusters(pairs, options);
    scores.pair_value.assign(static_cast<std::size_t>(count), 0);
  }
  if (with_energy) out[1].method += " + energy";

  const std::int64_t portion =
      std::clamp<std::int64_t>(rows_at_once / draws, 1, std::max<std::int64_t>(count, 1));
  Tensor completion({portion * draws, inputs}), y({portion * draws, 1});
  std::vector<double> weight(static_cast<std::size_t>(portion * draws));
  std::vector<double> effective(static_cast<std::size_t>(count), static_cast<double>(draws));
  std::atomic<std::int64_t> clamped{0};
  for (std::int64_t begin = 0; begin < count; begin += portion) {
    const std::int64_t some = std::min(portion, count - begin);
    const std::int64_t block = std::clamp<std::int64_t>(2048 / draws, 1, some);
    for_blocks(pool, some, block, [&](Context& ctx, std::int64_t first, std::int64_t n) {
      const std::int64_t at = begin + first;
      std::vector<std::int64_t> numbers;
      for (std::int64_t p = at; p < at + n; ++p) numbers.push_back(p);
      WeightedDraws drawn;
      model.draw(
          ctx,
          {points.rows(at, n), points.mask.view().rows(at, n), points.target.view().rows(at, n), numbers},
          sampling, drawn);
      clamped += space.to_raw(drawn.draws.x, completion.view().rows(first * draws, n * draws));
      for (std::int64_t p = 0; p < n; ++p) {
        keep_known(completion.ptr<float>() + (first + p) * draws * inputs, draws, values,
                   pairs.row[static_cast<std::size_t>(at + p)], feature,
                   pairs.mask.ptr<float>() + (at + p) * features);
        if (!with_energy) continue;
        const std::vector<double> w = energy_weights(model.energy()->options().form, drawn, p * draws, draws);
        double squares = 0;
        for (const double value : w) squares += value * value;
        effective[static_cast<std::size_t>(at + p)] = 1 / squares;
        std::copy(w.begin(), w.end(), weight.begin() + (first + p) * draws);
      }
    });
    predict(completion.view().rows(0, some * draws), y.view().rows(0, some * draws));
    for (std::int64_t p = 0; p < some; ++p) {
      double plain = 0, weighted = 0;
      for (std::int64_t k = p * draws; k < (p + 1) * draws; ++k) {
        plain += y.ptr<float>()[k] / static_cast<double>(draws);
        weighted += y.ptr<float>()[k] * weight[static_cast<std::size_t>(k)];
      }
      out[0].pair_value[static_cast<std::size_t>(begin + p)] = plain;
      if (with_energy) out[1].pair_value[static_cast<std::size_t>(begin + p)] = weighted;
    }
    sink.progress({"values of " + options.method, begin + some, count, "pair", {}});
  }
  std::int64_t drawn_values = 0;
  for (const std::int64_t targets : points.targets) drawn_values += targets * draws;
  const std::vector<double> truth = predictions(raw, pairs, predict);
  for (ValueScores& scores : out) {
    finish(scores, truth);
    scores.clamped = drawn_values == 0 ? 0 : static_cast<double>(clamped) / static_cast<double>(drawn_values);
  }
  for (const double ess : effective) {
    out[0].effective.add(static_cast<double>(draws));
    if (with_energy) out[1].effective.add(ess);
  }
  return out;
}

ValueScores score_independent_values(const FeatureSpace& space, ConstTensorView train_raw,
                                     ConstTensorView raw, const MaskedRows& pairs, const Predict& predict,
                                     std::int64_t draws, const ScoringOptions& options) {
  const std::int64_t count = pairs.pairs(), inputs = space.inputs(), features = space.features();
  const std::vector<std::int64_t> feature = feature_of_input(space);
  const RawRows values(raw), training(train_raw);
  std::vector<std::int64_t> complete;
  for (std::int64_t r = 0; r < train_raw.rows(); ++r) {
    bool whole = true;
    for (std::int64_t c = 0; c < inputs && whole; ++c) whole = !std::isnan(training(r, c));
    if (whole) complete.push_back(r);
  }
  if (complete.empty()) throw DataError("independence: no training row is complete");
  ValueScores out;
  out.method = options.method;
  out.draws = draws;
  out.pair_cluster = pair_clusters(pairs, options);
  const std::int64_t portion =
      std::clamp<std::int64_t>(rows_at_once / draws, 1, std::max<std::int64_t>(count, 1));
  Tensor completion({portion * draws, inputs}), y({portion * draws, 1});
  for (std::int64_t begin = 0; begin < count; begin += portion) {
    const std::int64_t some = std::min(portion, count - begin);
    for (std::int64_t p = begin; p < begin + some; ++p) {
      Generator random({options.seed, RandomPurpose::background, 1, 0}, static_cast<std::uint64_t>(p));
      float* to = completion.ptr<float>() + (p - begin) * draws * inputs;
      for (std::int64_t k = 0; k < draws; ++k) {
        const std::int64_t row = complete[random.below(complete.size())];
        for (std::int64_t c = 0; c < inputs; ++c) to[k * inputs + c] = static_cast<float>(training(row, c));
      }
      keep_known(to, draws, values, pairs.row[static_cast<std::size_t>(p)], feature,
                 pairs.mask.ptr<float>() + p * features);
      out.effective.add(static_cast<double>(draws));
    }
    predict(completion.view().rows(0, some * draws), y.view().rows(0, some * draws));
    for (std::int64_t p = 0; p < some; ++p) {
      double sum = 0;
      for (std::int64_t k = p * draws; k < (p + 1) * draws; ++k) sum += y.ptr<float>()[k];
      out.pair_value.push_back(sum / static_cast<double>(draws));
    }
  }
  finish(out, predictions(raw, pairs, predict));
  return out;
}

Estimate paired_difference(const ValueScores& a, const ValueScores& b) {
  if (a.pair_error.size() != b.pair_error.size())
    throw ShapeError(fmt::format("paired_difference: {} and {} pairs, expected the same ones",
                                 a.pair_error.size(), b.pair_error.size()));
  std::vector<double> difference(a.pair_error.size());
  for (std::size_t p = 0; p < difference.size(); ++p) difference[p] = a.pair_error[p] - b.pair_error[p];
  return ratio_estimate(difference, std::vector<double>(difference.size(), 1), a.pair_cluster);
}

}  // namespace emshap::report
