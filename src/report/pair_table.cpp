#include "report/pair_table.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap::report {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

double mean_of_squares(double sum, std::int64_t count) {
  return count == 0 ? nan : std::sqrt(sum / static_cast<double>(count));
}

template <class T>
void fill_pairs(ModelPairs& out, const Tensor& x, const Tensor& observed, const Tensor& code,
                const MaskedRows& pairs) {
  const std::int64_t features = x.cols();
  for (std::int64_t p = 0; p < pairs.pairs(); ++p) {
    const std::int64_t row = pairs.row[static_cast<std::size_t>(p)];
    std::int64_t targets = 0, known = 0;
    for (std::int64_t t = 0; t < features; ++t) {
      const std::int64_t from = row * features + t, to = p * features + t;
      const bool present = observed.ptr<T>()[from] != 0, in_s = pairs.mask.ptr<float>()[to] != 0;
      out.x.ptr<T>()[to] = x.ptr<T>()[from];
      out.code.ptr<std::int32_t>()[to] = code.ptr<std::int32_t>()[from];
      out.mask.ptr<T>()[to] = present && in_s ? T(1) : T(0);
      out.target.ptr<T>()[to] = present && !in_s ? T(1) : T(0);
      known += present && in_s ? 1 : 0;
      targets += present && !in_s ? 1 : 0;
    }
    out.targets.push_back(targets);
    out.size.push_back(known);
  }
}

}  // namespace

bool ModelPairs::is_target(std::int64_t p, std::int64_t t) const {
  const std::int64_t i = p * target.cols() + t;
  return target.dtype() == DType::f64 ? target.ptr<double>()[i] != 0 : target.ptr<float>()[i] != 0;
}

void check_fit(const FeatureSpace& space, const Proposal& proposal) {
  if (space.features() != proposal.layout().features())
    throw ShapeError(fmt::format("scores: the proposal has {} features, expected {} as the feature space has",
                                 proposal.layout().features(), space.features()));
}

ModelPairs model_pairs(const FeatureSpace& space, ConstTensorView raw, const MaskedRows& pairs, DType dtype) {
  const std::int64_t rows = raw.rows(), features = space.features(), count = pairs.pairs();
  if (raw.cols() != space.inputs())
    throw ShapeError(
        fmt::format("scores: raw rows have {} columns, expected {} as the feature space has inputs",
                    raw.cols(), space.inputs()));
  if (pairs.mask.shape() != Shape{count, features})
    throw ShapeError(fmt::format("scores: the masks have shape {}, expected {}", pairs.mask.shape().str(),
                                 Shape{count, features}.str()));
  for (const std::int64_t row : pairs.row)
    if (row < 0 || row >= rows)
      throw ShapeError(fmt::format("scores: a pair names row {}, expected 0 to {}", row, rows - 1));
  Tensor x({rows, features}, dtype), observed({rows, features}, dtype), code({rows, features}, DType::i32);
  space.to_model(raw, x, observed, code);
  ModelPairs out;
  for (Tensor* tensor : {&out.x, &out.mask, &out.target}) *tensor = Tensor({count, features}, dtype);
  out.code = Tensor({count, features}, DType::i32);
  if (dtype == DType::f64)
    fill_pairs<double>(out, x, observed, code, pairs);
  else
    fill_pairs<float>(out, x, observed, code, pairs);
  return out;
}

std::vector<std::int64_t> input_of_feature(const FeatureSpace& space) {
  std::vector<std::int64_t> out;
  const std::vector<std::string>& inputs = space.input_names();
  for (const std::string& name : space.feature_names())
    out.push_back(std::find(inputs.begin(), inputs.end(), name) - inputs.begin());
  return out;
}

PairTable::PairTable(std::int64_t pairs, std::int64_t width, std::int64_t context_width) : features(width) {
  for (auto* values : {&log_likelihood, &crps, &error, &pit, &mean, &variance})
    values->assign(static_cast<std::size_t>(pairs * features), nan);
  context.assign(static_cast<std::size_t>(pairs * context_width), 0);
}

std::vector<std::int64_t> pair_clusters(const MaskedRows& pairs, const ScoringOptions& options) {
  std::vector<std::int64_t> out;
  for (const std::int64_t row : pairs.row)
    out.push_back(options.cluster.empty() ? row : options.cluster.at(static_cast<std::size_t>(row)));
  return out;
}

std::vector<SizeScore> scores_by_size(const std::vector<double>& log_likelihood,
                                      const std::vector<double>& crps, const std::vector<double>& targets,
                                      const std::vector<std::int64_t>& size,
                                      const std::vector<std::int64_t>& cluster) {
  std::map<std::int64_t, std::vector<std::size_t>> members;
  for (std::size_t p = 0; p < size.size(); ++p)
    if (targets[p] > 0) members[size[p]].push_back(p);
  std::vector<SizeScore> out;
  for (const auto& [s, of_size] : members) {
    std::vector<double> y, n;
    std::vector<std::int64_t> of;
    SizeScore score{s, static_cast<std::int64_t>(of_size.size()), 0, {}, 0};
    for (const std::size_t p : of_size) {
      y.push_back(log_likelihood[p]);
      n.push_back(targets[p]);
      of.push_back(cluster[p]);
      score.targets += static_cast<std::int64_t>(targets[p]);
      if (!crps.empty()) score.crps += crps[p];
    }
    score.log_likelihood = ratio_estimate(y, n, of);
    score.crps /= static_cast<double>(score.targets);
    out.push_back(score);
  }
  return out;
}

ConditionalScores PairTable::summarise(const FeatureSpace& space, const MaskedRows& pairs,
                                       const ModelPairs& model, const ScoringOptions& options) const {
  const std::int64_t count = pairs.pairs();
  ConditionalScores out;
  out.method = options.method;
  out.pairs = count;
  std::vector<std::int64_t> rows = pairs.row;
  std::sort(rows.begin(), rows.end());
  out.rows = std::unique(rows.begin(), rows.end()) - rows.begin();
  out.pair_size = model.size;
  out.pair_cluster = pair_clusters(pairs, options);
  out.features.resize(static_cast<std::size_t>(features));
  std::vector<double> square(static_cast<std::size_t>(features), 0);
  for (std::int64_t p = 0; p < count; ++p) {
    double likelihood = 0, score = 0;
    for (std::int64_t t = 0; t < features; ++t) {
      if (!model.is_target(p, t)) continue;
      const std::size_t i = at(p, t);
      FeatureScore& f = out.features[static_cast<std::size_t>(t)];
      ++f.targets;
      f.log_likelihood += log_likelihood[i];
      f.crps += crps[i];
      f.pit.add(pit[i]);
      square[static_cast<std::size_t>(t)] += error[i] * error[i];
      for (std::size_t level = 0; level < coverage_levels.size(); ++level)
        f.coverage[level] += std::abs(pit[i] - .5) <= .5 * coverage_levels[level] ? 1 : 0;
      if (!std::isnan(mean[i])) {
        f.mean.add(mean[i]);
        f.variance.add(variance[i]);
      }
      likelihood += log_likelihood[i];
      score += crps[i];
      out.pit.push_back(pit[i]);
    }
    out.pair_log_likelihood.push_back(likelihood);
    out.pair_crps.push_back(score);
    out.pair_targets.push_back(static_cast<double>(model.targets[static_cast<std::size_t>(p)]));
  }
  out.log_likelihood = ratio_estimate(out.pair_log_likelihood, out.pair_targets, out.pair_cluster);
  out.crps = ratio_estimate(out.pair_crps, out.pair_targets, out.pair_cluster);
  out.by_size = scores_by_size(out.pair_log_likelihood, out.pair_crps, out.pair_targets, out.pair_size,
                               out.pair_cluster);
  double squares = 0;
  for (std::int64_t t = 0; t < features; ++t) {
    FeatureScore& f = out.features[static_cast<std::size_t>(t)];
    f.name = space.feature_names()[static_cast<std::size_t>(t)];
    out.targets += f.targets;
    squares += square[static_cast<std::size_t>(t)];
    const auto n = static_cast<double>(f.targets);
    f.nrmse = mean_of_squares(square[static_cast<std::size_t>(t)], f.targets);
    f.log_likelihood = f.targets == 0 ? nan : f.log_likelihood / n;
    f.crps = f.targets == 0 ? nan : f.crps / n;
    for (std::size_t level = 0; level < coverage_levels.size(); ++level) {
      out.coverage[level] += f.coverage[level];
      f.coverage[level] = f.targets == 0 ? nan : f.coverage[level] / n;
    }
  }
  out.nrmse = mean_of_squares(squares, out.targets);
  for (double& share : out.coverage)
    share = out.targets == 0 ? nan : share / static_cast<double>(out.targets);
  out.context_width = count == 0 ? 0 : static_cast<std::int64_t>(context.size()) / count;
  for (const double h : context) out.context.add(h);
  for (std::int64_t h = 0; h < out.context_width; ++h) {
    bool changes = false;
    for (std::int64_t p = 1; p < count && !changes; ++p)
      changes = context[static_cast<std::size_t>(p * out.context_width + h)] !=
                context[static_cast<std::size_t>(h)];
    out.constant_context += changes ? 0 : 1;
  }
  return out;
}

}  // namespace emshap::report
