// Options of cleaning checked against a table; quartiles and means of its training rows.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "data/cleaning_names.h"
#include "emshap/core/error.h"
#include "emshap/data/cleaning.h"
#include "emshap/data/source.h"

namespace emshap {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

/// Quantile q of values by linear interpolation between order statistics; reorders them.
double quantile(std::vector<float>& values, double q) {
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(std::floor(place));
  std::nth_element(values.begin(), values.begin() + below, values.end());
  const auto a = static_cast<double>(values[static_cast<std::size_t>(below)]);
  if (static_cast<std::size_t>(below) + 1 == values.size()) return a;
  const auto b = static_cast<double>(*std::min_element(values.begin() + below + 1, values.end()));
  const double t = place - static_cast<double>(below);
  return t < .5 ? a + (b - a) * t : b - (b - a) * (1 - t);
}

double rounded(double bound) {
  return static_cast<double>(static_cast<float>(bound));
}

void check(const CleaningOptions& o, const Table& table) {
  if (!(o.iqr_factor >= 0 && std::isfinite(o.iqr_factor)))
    throw ConfigError(fmt::format("cleaning: the factor of the interquartile range is {}, expected 0 or more",
                                  o.iqr_factor));
  for (const std::int64_t lag : o.lags)
    if (lag < 1) throw ConfigError(fmt::format("cleaning: a lag is {}, expected 1 or more rows", lag));
  if (o.rolling != 0 && o.rolling < 2)
    throw ConfigError(
        fmt::format("cleaning: the rolling window is {}, expected 0 or at least 2 rows", o.rolling));
  if (o.calendar && table.only(ColumnRole::time) == nullptr)
    throw ConfigError(
        fmt::format("{}: the calendar needs a time column, none was named", table.provenance().source));
}

}  // namespace

Cleaning Cleaning::fit(const CleaningOptions& options, const Table& table,
                       std::span<const std::int64_t> train) {
  check(options, table);
  Cleaning c;
  c.options_ = options;
  c.inputs_ = table.feature_names();
  c.name_outputs(table.provenance().source);
  c.name_order(table);
  std::set<std::string> names(c.inputs_.begin(), c.inputs_.end());
  for (std::size_t i = c.inputs_.size(); i < c.outputs_.size(); ++i) {
    const bool taken = !names.insert(c.outputs_[i]).second || table.find(c.outputs_[i]) != nullptr;
    if (taken)
      throw ConfigError(
          fmt::format("{}: the derived feature '{}' has the name of another column, expected a new one",
                      table.provenance().source, c.outputs_[i]));
  }
  if (c.empty()) return c;
  if (train.empty())
    throw DataError(fmt::format("{}: cleaning has no training rows to be fitted on, expected at least one",
                                table.provenance().source));

  const auto columns = table.with_role(ColumnRole::feature);
  std::vector<float> values;
  for (std::size_t i = 0; options.outliers != Outliers::off && i < columns.size(); ++i) {
    values.clear();
    for (const std::int64_t r : train)
      if (columns[i]->present(r)) values.push_back(columns[i]->f32()[static_cast<std::size_t>(r)]);
    if (values.empty()) continue;
    const double q1 = quantile(values, .25), q3 = quantile(values, .75), iqr = q3 - q1;
    if (!(iqr > 0)) continue;
    c.input_low_[i] = rounded(q1 - options.iqr_factor * iqr);
    c.input_high_[i] = rounded(q3 + options.iqr_factor * iqr);
  }
  c.set_output_bounds();
  const std::vector<std::int64_t> kept = c.kept(table, train);
  if (kept.empty())
    throw DataError(
        fmt::format("{}: each of the {} training rows has a value outside the quartiles' bounds, "
                    "expected one to be left; clip outliers instead of dropping them",
                    table.provenance().source, train.size()));
  const bool clip = options.outliers == Outliers::clip;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    double sum = 0;
    std::int64_t count = 0;
    for (const std::int64_t r : kept) {
      if (!columns[i]->present(r)) continue;
      const auto v = static_cast<double>(columns[i]->f32()[static_cast<std::size_t>(r)]);
      sum += clip ? std::clamp(v, c.input_low_[i], c.input_high_[i]) : v;
      ++count;
    }
    if (count > 0) c.mean_[i] = sum / static_cast<double>(count);
  }
  return c;
}

void Cleaning::name_outputs(const std::string& source) {
  const std::size_t width = inputs_.size();
  mean_.assign(width, std::numeric_limits<double>::quiet_NaN());
  input_low_.assign(width, -infinite);
  input_high_.assign(width, infinite);
  outputs_ = metrics_ = inputs_;
  const auto add = [&](std::string name, const std::string& metric) {
    outputs_.push_back(std::move(name));
    metrics_.push_back(metric);
  };
  if (options_.calendar)
    for (const char* name : cleaning::calendar_names) add(name, "time");
  for (const std::string& metric : options_.derive_from)
    if (std::find(inputs_.begin(), inputs_.end(), metric) == inputs_.end())
      throw ConfigError(fmt::format("{}: no feature '{}' to derive others from{}", source, metric,
                                    suggest_name(metric, inputs_)));
  for (const std::string& metric : options_.derive_from.empty() ? inputs_ : options_.derive_from) {
    for (const std::int64_t lag : options_.lags) add(cleaning::lag_name(metric, lag), metric);
    if (options_.rolling == 0) continue;
    add(cleaning::mean_name(metric, options_.rolling), metric);
    add(cleaning::deviation_name(metric, options_.rolling), metric);
  }
  const std::vector<std::string> factors = outputs_;
  for (const std::string& product : options_.products) {
    const std::vector<std::string> parts = cleaning::factors_of(product);
    if (parts.size() < 2)
      throw ConfigError(
          fmt::format("cleaning: the product '{}' has one factor, expected two or more as in a*b", product));
    for (const std::string& part : parts)
      if (std::find(factors.begin(), factors.end(), part) == factors.end())
        throw ConfigError(fmt::format("{}: no feature '{}' for the product '{}'{}", source, part, product,
                                      suggest_name(part, factors)));
    add(product, product);
  }
  set_output_bounds();
}

void Cleaning::set_output_bounds() {
  low_.assign(outputs_.size(), -infinite);
  high_.assign(outputs_.size(), infinite);
  if (options_.outliers != Outliers::clip) return;
  std::copy(input_low_.begin(), input_low_.end(), low_.begin());
  std::copy(input_high_.begin(), input_high_.end(), high_.begin());
}

}  // namespace emshap
