#include "report/forecast.h"

#include <algorithm>
#include <cmath>

namespace emshap::report {
namespace {

constexpr std::size_t largest_grid = 512;
constexpr int nodes_per_side = 45;     // of a component
constexpr double node_spacing = .1;    // standard deviations
constexpr double least_weight = 1e-7;  // components below it get no nodes

/// int_{a}^{b} F^2 dy for F linear between its values at the ends.
double square_integral(double width, double at_a, double at_b) {
  return width * (at_a * at_a + at_a * at_b + at_b * at_b) / 3;
}

}  // namespace

ColumnForecast::ColumnForecast(const FeatureSpace& space, std::int64_t t)
    : space_(&space), column_(&space.columns()[static_cast<std::size_t>(t)]), feature_(t) {
  const double margin = space.options().range_margin * (column_->high - column_->low);
  low_ = column_->low - margin;
  high_ = column_->high + margin;
  const std::vector<double>& values = column_->values;
  if (column_->kind != FeatureKind::tied || values.size() > largest_grid) return;
  for (std::size_t i = 0; i + 1 < values.size(); ++i)  // between two tiles a draw goes to the nearer one
    edges_.push_back(space.to_model(t, .5 * (column_->right[i] + column_->left[i + 1])));
}

std::size_t ColumnForecast::category(double raw) const {
  const std::vector<double>& values = column_->values;
  const auto above = std::lower_bound(values.begin(), values.end(), raw);
  const auto i = static_cast<std::size_t>(above - values.begin());
  if (i == 0) return 0;
  if (i == values.size() || raw - values[i - 1] <= values[i] - raw) return i - 1;
  return i;
}

double ColumnForecast::log_likelihood(const Marginal& q, double raw) const {
  const Tile tile = space_->tile(feature_, raw);
  if (q.is_discrete()) return std::log(q.weights()[category(raw)]) - tile.log_width;
  const double mass = tile.left < tile.right ? q.log_interval(tile.left, tile.right) : q.log_pdf(tile.left);
  return mass - tile.log_width;
}

double ColumnForecast::pit(const Marginal& q, double raw, double uniform) const {
  double before = 0, step = 0;
  if (q.is_discrete()) {
    const std::size_t code = category(raw);
    for (std::size_t v = 0; v < code; ++v) before += q.weights()[v];
    step = q.weights()[code];
  } else {
    const Tile tile = space_->tile(feature_, raw);
    before = q.cdf(tile.left);
    step = tile.left < tile.right ? q.cdf(tile.right) - before : 0;
  }
  return std::clamp(before + uniform * step, 0.0, 1.0);
}

ForecastScore ColumnForecast::on_grid(const Marginal& q, double raw) const {
  const std::vector<double>& values = column_->values;
  ForecastScore out;
  out.crps = std::max(values.front() - raw, 0.0) + std::max(raw - values.back(), 0.0);
  double mean = values.back(), sum = 0;
  for (std::size_t i = 0; i + 1 < values.size(); ++i) {
    sum = q.is_discrete() ? sum + q.weights()[i] : q.cdf(edges_[i]);
    const double width = values[i + 1] - values[i];
    const double below = std::clamp(raw - values[i], 0.0, width);  // the part left of the outcome
    out.crps += sum * sum * below + (1 - sum) * (1 - sum) * (width - below);
    mean -= sum * width;
  }
  out.error = mean - raw;
  return out;
}

ForecastScore ColumnForecast::between_nodes(const Marginal& q, double raw) const {
  // Nodes of all components in model space, and the outcome.
  thread_local std::vector<double> nodes;
  nodes.clear();
  for (std::size_t c = 0; c < q.weights().size(); ++c) {
    if (q.weights()[c] < least_weight) continue;
    for (int i = -nodes_per_side; i <= nodes_per_side; ++i)
      nodes.push_back(q.locations()[c] + q.scales()[c] * (i * node_spacing));
  }
  const Tile tile = space_->tile(feature_, raw);
  const double outcome = .5 * (tile.left + tile.right);
  nodes.push_back(outcome);
  std::sort(nodes.begin(), nodes.end());

  // Draws outside the range are put on its ends; an outcome outside adds its distance.
  const double inside = std::clamp(raw, low_, high_);
  ForecastScore out;
  out.crps = std::abs(raw - inside);
  double mean = high_;
  const auto between = [&](double a, double b, double f_a, double f_b) {
    if (b <= inside)
      out.crps += square_integral(b - a, f_a, f_b);
    else
      out.crps += square_integral(b - a, 1 - f_a, 1 - f_b);
    mean -= (b - a) * .5 * (f_a + f_b);
  };
  // The distribution function goes from (a, f_a) to (b, f_b): the part inside the range, cut at the outcome.
  const auto cell = [&](double a, double b, double f_a, double f_b) {
    const double from = std::max(a, low_), to = std::min(b, high_);
    if (!(to > from)) return;
    const auto at = [&](double y) { return f_a + (f_b - f_a) * ((y - a) / (b - a)); };
    if (from < inside && inside < to) {
      between(from, inside, at(from), at(inside));
      between(inside, to, at(inside), at(to));
    } else {
      between(from, to, at(from), at(to));
    }
  };
  double y = low_, f = 0;
  for (std::size_t i = 0; i < nodes.size() && y < high_; ++i) {
    const double at = nodes[i] == outcome ? raw : space_->to_raw(feature_, nodes[i]);
    const double p = q.cdf(nodes[i]);
    if (i > 0 || at > low_) cell(y, at, f, p);
    y = at;
    f = p;
  }
  cell(y, high_, f, 1);
  out.error = mean - raw;
  return out;
}

ForecastScore ColumnForecast::score(const Marginal& q, double raw, double uniform) const {
  ForecastScore out = q.is_discrete() || !edges_.empty() ? on_grid(q, raw) : between_nodes(q, raw);
  out.crps /= column_->sd;
  out.error /= column_->sd;
  out.pit = pit(q, raw, uniform);
  return out;
}

EmpiricalForecast::EmpiricalForecast(std::vector<double> values, double sd)
    : sorted_(std::move(values)), sum_(1, 0), sd_(sd) {
  std::sort(sorted_.begin(), sorted_.end());
  const auto n = static_cast<double>(sorted_.size());
  for (std::size_t i = 0; i < sorted_.size(); ++i) {
    sum_.push_back(sum_.back() + sorted_[i]);
    spread_ += 2 * sorted_[i] * (2 * static_cast<double>(i) + 1 - n) / (n * n);
  }
  mean_ = sum_.back() / n;
}

ForecastScore EmpiricalForecast::score(double raw, double uniform) const {
  const auto below = std::lower_bound(sorted_.begin(), sorted_.end(), raw);
  const auto above = std::upper_bound(below, sorted_.end(), raw);
  const auto n = static_cast<double>(sorted_.size());
  const auto k = static_cast<std::size_t>(below - sorted_.begin());
  const auto left = static_cast<double>(k);
  const double distance = (raw * left - sum_[k] + (sum_.back() - sum_[k]) - raw * (n - left)) / n;
  return {(distance - .5 * spread_) / sd_, (mean_ - raw) / sd_,
          (left + uniform * static_cast<double>(above - below)) / n};
}

}  // namespace emshap::report
