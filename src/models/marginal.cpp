#include "emshap/models/marginal.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "math/inverse_normal.h"
#include "math/normal_interval.h"

namespace emshap {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double inverse_sqrt_2pi = .39894228040143267794;

double normal_cdf(double z) {
  return .5 * std::erfc(-z * .70710678118654752440);
}

/// A(d, s^2) = E|N(d, s^2)| (Grimit et al. 2006, eq. 5).
double mean_absolute(double d, double s) {
  const double z = d / s;
  return 2 * s * inverse_sqrt_2pi * std::exp(-.5 * z * z) + d * std::erf(z * .70710678118654752440);
}

void require(bool holds, const char* what, const char* expected) {
  if (!holds) throw ConfigError(fmt::format("marginal distribution: {}, expected {}", what, expected));
}

bool all_finite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

/// Positions of a sample in ascending order of value.
std::vector<std::size_t> ascending(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  return order;
}

double total_weight(std::span<const double> sample, std::span<const double> weights) {
  require(!sample.empty(), "the sample is empty", "at least one value");
  if (weights.empty()) return static_cast<double>(sample.size());
  require(weights.size() == sample.size(), "values and weights differ in number", "one weight a value");
  const double total = std::accumulate(weights.begin(), weights.end(), 0.);
  require(total > 0 && std::isfinite(total), "the weights' sum is not a positive number", "one");
  return total;
}

}  // namespace

Marginal Marginal::mixture(std::span<const double> log_weights, std::span<const double> means,
                           std::span<const double> log_sds) {
  require(!log_weights.empty(), "no components", "at least one");
  require(means.size() == log_weights.size() && log_sds.size() == log_weights.size(),
          "weights, means and standard deviations differ in number", "one of each a component");
  require(all_finite(log_weights) && all_finite(means) && all_finite(log_sds), "a value is not finite",
          "finite ones");
  Marginal m;
  const double largest = *std::max_element(log_weights.begin(), log_weights.end());
  double total = 0;
  for (const double l : log_weights) total += std::exp(l - largest);
  const double log_total = largest + std::log(total);
  for (std::size_t c = 0; c < means.size(); ++c) {
    m.log_weights_.push_back(log_weights[c] - log_total);
    m.weights_.push_back(std::exp(m.log_weights_.back()));
    m.locations_.push_back(means[c]);
    m.scales_.push_back(std::exp(log_sds[c]));
  }
  return m;
}

Marginal Marginal::discrete(std::span<const double> values, std::span<const double> probabilities) {
  const double total = total_weight(values, probabilities);
  require(all_finite(values), "a value is not finite", "finite ones");
  require(std::all_of(probabilities.begin(), probabilities.end(), [](double p) { return p >= 0; }),
          "a probability is negative", "0 or more");
  Marginal m;
  m.discrete_ = true;
  for (const std::size_t i : ascending(values)) {
    const double p = (probabilities.empty() ? 1 : probabilities[i]) / total;
    if (!m.locations_.empty() && m.locations_.back() == values[i]) {
      m.weights_.back() += p;
    } else {
      m.locations_.push_back(values[i]);
      m.weights_.push_back(p);
    }
  }
  return m;
}

Marginal Marginal::of(const Conditionals& conditionals, const FeatureLayout& layout, std::int64_t row,
                      std::int64_t t) {
  const bool categorical = t >= 0 && t < layout.features() && layout.categorical(t);
  const ConstTensorView from = categorical ? conditionals.categorical.view() : conditionals.mixture.view();
  const std::int64_t rows = categorical ? from.rows() : from.shape()[0];
  if (t < 0 || t >= layout.features() || row < 0 || row >= rows)
    throw ShapeError(
        fmt::format("marginal distribution of feature {} in row {}: there are {} features and {} rows", t,
                    row, layout.features(), rows));
  const auto read = [&](std::int64_t begin, std::int64_t count) {
    std::vector<double> values(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i)
      values[static_cast<std::size_t>(i)] = from.dtype() == DType::f32
                                                ? static_cast<double>(from.ptr<float>()[begin + i])
                                                : from.ptr<double>()[begin + i];
    return values;
  };
  if (categorical) {
    const auto begin = layout.offsets()[static_cast<std::size_t>(t)];
    const std::int64_t count = layout.categories[static_cast<std::size_t>(t)];
    std::vector<double> p = read(row * from.cols() + begin, count);
    for (double& v : p) v = std::exp(v);
    return discrete(std::span(layout.values).subspan(static_cast<std::size_t>(begin), p.size()), p);
  }
  const std::vector<double> m = read((row * layout.features() + t) * from.cols(), from.cols());
  const auto components = m.size() / 3;
  const std::span<const double> all(m);
  return mixture(all.first(components), all.subspan(components, components), all.last(components));
}

double Marginal::log_pdf(double x) const {
  if (discrete_) {
    const auto at = std::lower_bound(locations_.begin(), locations_.end(), x);
    if (at == locations_.end() || *at != x) return -infinity;
    return std::log(weights_[static_cast<std::size_t>(at - locations_.begin())]);
  }
  double largest = -infinity, sum = 0;
  for (const bool second : {false, true}) {
    for (std::size_t c = 0; c < weights_.size(); ++c) {
      const double z = (x - locations_[c]) / scales_[c];
      const double term = log_weights_[c] - .5 * z * z - std::log(scales_[c]);
      if (second)
        sum += std::exp(term - largest);
      else
        largest = std::max(largest, term);
    }
    if (largest == -infinity) return largest;
  }
  return largest + std::log(sum) + std::log(inverse_sqrt_2pi);
}

double Marginal::pdf(double x) const {
  return std::exp(log_pdf(x));
}

double Marginal::cdf(double x) const {
  double p = 0;
  for (std::size_t c = 0; c < weights_.size(); ++c)
    p += weights_[c] *
         (discrete_ ? (locations_[c] <= x ? 1 : 0) : normal_cdf((x - locations_[c]) / scales_[c]));
  return std::min(p, 1.);
}

double Marginal::log_interval(double left, double right) const {
  if (!(left < right)) return -infinity;
  if (discrete_) {
    double p = 0;
    for (std::size_t v = 0; v < weights_.size(); ++v)
      if (left < locations_[v] && locations_[v] <= right) p += weights_[v];
    return std::log(std::min(p, 1.));
  }
  std::vector<double> terms;
  for (std::size_t c = 0; c < weights_.size(); ++c)
    terms.push_back(log_weights_[c] + math::log_normal_interval((left - locations_[c]) / scales_[c],
                                                                (right - locations_[c]) / scales_[c]));
  const double largest = *std::max_element(terms.begin(), terms.end());
  if (largest == -infinity) return largest;
  double sum = 0;
  for (const double t : terms) sum += std::exp(t - largest);
  return largest + std::log(sum);
}

double Marginal::quantile(double p) const {
  require(p > 0 && p < 1, "a quantile's probability is outside (0, 1)", "one inside");
  if (discrete_) {
    double below = 0;
    for (std::size_t v = 0; v + 1 < weights_.size(); ++v) {
      below += weights_[v];
      if (below >= p * (1 - 1e-15)) return locations_[v];
    }
    return locations_.back();
  }
  // It lies between the components' own quantiles. Probabilities are counted from the nearer end.
  const double z = math::inverse_normal(p);
  double low = infinity, high = -infinity, scale = 0;
  for (std::size_t c = 0; c < weights_.size(); ++c) {
    low = std::min(low, locations_[c] + scales_[c] * z);
    high = std::max(high, locations_[c] + scales_[c] * z);
    scale = std::max(scale, scales_[c]);
  }
  const bool upper = p > .5;
  const double target = upper ? 1 - p : p;
  const auto share = [&](double x) {  // F(x), or 1 - F(x)
    double sum = 0;
    for (std::size_t c = 0; c < weights_.size(); ++c) {
      const double d = (x - locations_[c]) / scales_[c];
      sum += weights_[c] * normal_cdf(upper ? -d : d);
    }
    return sum;
  };
  // Newton steps on the logarithm, which is nearly a parabola in the tails; kept inside the bracket, else
  // bisection.
  double x = .5 * (low + high);
  for (int step = 0; step < 200 && high - low > 1e-15 * (scale + std::abs(x)); ++step) {
    const double reached = share(x);
    const double excess = (upper ? -1 : 1) * std::log(reached / target);  // increasing in x
    if (excess == 0) return x;
    (excess < 0 ? low : high) = x;
    double next = x - excess * reached / pdf(x);
    if (!(next > low && next < high)) next = .5 * (low + high);
    if (std::abs(next - x) <= 1e-15 * (scale + std::abs(x))) return next;
    x = next;
  }
  return x;
}

double Marginal::mean() const {
  double m = 0;
  for (std::size_t c = 0; c < weights_.size(); ++c) m += weights_[c] * locations_[c];
  return m;
}

double Marginal::variance() const {
  const double m = mean();
  double v = 0;
  for (std::size_t c = 0; c < weights_.size(); ++c) {
    const double away = locations_[c] - m, sd = discrete_ ? 0 : scales_[c];
    v += weights_[c] * (sd * sd + away * away);
  }
  return v;
}

double Marginal::crps(double x) const {
  if (discrete_) return crps_of_sample(locations_, weights_, x);
  double score = 0;
  for (std::size_t m = 0; m < weights_.size(); ++m) {
    score += weights_[m] * mean_absolute(x - locations_[m], scales_[m]);
    for (std::size_t n = 0; n < weights_.size(); ++n)
      score -= .5 * weights_[m] * weights_[n] *
               mean_absolute(locations_[m] - locations_[n], std::hypot(scales_[m], scales_[n]));
  }
  return score;
}

double crps_of_sample(std::span<const double> sample, std::span<const double> weights, double x) {
  // The integral of (F - step)^2 over the gaps between neighbours, x being one of the points.
  const double total = total_weight(sample, weights);
  double score = 0, below = 0, last = -infinity;
  bool passed = false;
  const auto advance = [&](double to) {
    if (last > -infinity && to > last) {
      const double away = passed ? 1 - below : below;
      score += away * away * (to - last);
    }
    last = to;
  };
  for (const std::size_t i : ascending(sample)) {
    if (!passed && sample[i] >= x) {
      advance(x);
      passed = true;
    }
    advance(sample[i]);
    below += (weights.empty() ? 1 : weights[i]) / total;
  }
  if (!passed) advance(x);
  return score;
}

double quantile_of_sample(std::span<const double> sample, std::span<const double> weights, double p) {
  const double total = total_weight(sample, weights);
  double below = 0;
  const std::vector<std::size_t> order = ascending(sample);
  for (const std::size_t i : order) {
    below += (weights.empty() ? 1 : weights[i]) / total;
    if (below >= p * (1 - 1e-12)) return sample[i];
  }
  return sample[order.back()];
}

}  // namespace emshap
