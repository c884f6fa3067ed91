#include "report/sampled_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "emshap/core/random.h"
#include "report/pair_table.h"

namespace emshap::report {
namespace {

constexpr std::int64_t most_rows = 2000;
constexpr std::size_t most_pairs = 6;

/// Mid-ranks of the finite values, NaN elsewhere.
std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (std::isfinite(values[i])) order.push_back(i);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> out(values.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0, end = 0; i < order.size(); i = end) {
    for (end = i; end < order.size() && values[order[end]] == values[order[i]];) ++end;
    for (std::size_t j = i; j < end; ++j) out[order[j]] = .5 * static_cast<double>(i + end - 1);
  }
  return out;
}

/// Spearman's, over rows where both are present; 0 where one does not vary.
double rank_correlation(const std::vector<double>& a, const std::vector<double>& b) {
  double n = 0, sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) continue;
    n += 1;
    sa += a[i];
    sb += b[i];
    saa += a[i] * a[i];
    sbb += b[i] * b[i];
    sab += a[i] * b[i];
  }
  const double spread = (n * saa - sa * sa) * (n * sbb - sb * sb);
  return spread > 0 ? (n * sab - sa * sb) / std::sqrt(spread) : 0;
}

/// Numbers of `wanted` draws by systematic resampling of weights (K, sum 1).
std::vector<std::int64_t> resample(const std::vector<double>& weights, std::int64_t wanted, double uniform) {
  std::vector<std::int64_t> out;
  double sum = 0;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    sum += weights[k];
    while (static_cast<std::int64_t>(out.size()) < wanted &&
           (static_cast<double>(out.size()) + uniform) / static_cast<double>(wanted) < sum)
      out.push_back(static_cast<std::int64_t>(k));
  }
  while (static_cast<std::int64_t>(out.size()) < wanted)
    out.push_back(static_cast<std::int64_t>(weights.size()) - 1);
  return out;
}

}  // namespace

SampledRows sample_rows(const FeatureSpace& space, const EmshapModel& model, const Tensor& raw,
                        std::uint64_t seed) {
  const std::int64_t features = space.features(), inputs = space.inputs();
  const std::int64_t wanted = std::min(raw.rows(), most_rows);
  const std::vector<std::int64_t> input = input_of_feature(space);
  SampledRows out;
  out.names = space.feature_names();
  for (std::int64_t t = 0; t < features; ++t) {
    std::vector<double> real;
    for (std::int64_t r = 0; r < raw.rows(); ++r)
      real.push_back(raw.ptr<float>()[r * inputs + input[static_cast<std::size_t>(t)]]);
    out.real.push_back(std::move(real));
  }

  // Nothing known: one row that is asked for many completions.
  const DType dtype = model.proposal().dtype();
  const Tensor x = Tensor::zeros({1, features}, dtype), mask = Tensor::zeros({1, features}, dtype),
               code = Tensor::zeros({1, features}, DType::i32);
  SamplingOptions sampling;
  sampling.draws = model.energy_used() ? 4 * wanted : wanted;
  sampling.key.seed = seed;
  Context ctx;
  WeightedDraws drawn;
  model.draw(ctx, {{x, code}, mask, {}, {}}, sampling, drawn);
  Tensor completion({sampling.draws, inputs});
  space.to_raw(drawn.draws.x, completion);
  std::vector<double> weights;
  for (std::int64_t k = 0; k < sampling.draws; ++k) weights.push_back(element(drawn.weights, k));
  const std::vector<std::int64_t> taken =
      resample(weights, wanted, Generator({seed, RandomPurpose::proposal, 1, 0}).uniform());
  for (std::int64_t t = 0; t < features; ++t) {
    std::vector<double> values;
    for (const std::int64_t k : taken)
      values.push_back(completion.ptr<float>()[k * inputs + input[static_cast<std::size_t>(t)]]);
    out.drawn.push_back(std::move(values));
  }

  std::vector<std::vector<double>> rank;
  for (const auto& values : out.real) rank.push_back(ranks(values));
  std::vector<std::pair<double, std::pair<std::size_t, std::size_t>>> strength;
  for (std::size_t a = 0; a < rank.size(); ++a)
    for (std::size_t b = a + 1; b < rank.size(); ++b)
      strength.push_back({std::abs(rank_correlation(rank[a], rank[b])), {a, b}});
  std::stable_sort(strength.begin(), strength.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (std::size_t i = 0; i < std::min(most_pairs, strength.size()); ++i)
    out.pairs.push_back(strength[i].second);
  return out;
}

}  // namespace emshap::report
