#include "emshap/data/cleaning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/cleaning_names.h"
#include "data/cleaning_series.h"
#include "emshap/core/error.h"

namespace emshap {
namespace {

std::vector<float> cells(const Column& column) {
  const auto from = column.f32();
  return {from.begin(), from.end()};
}

void store(std::span<const float> values, Column& column) {
  for (const float v : values) {
    if (std::isnan(v))
      column.push_missing();
    else
      column.push_f32(v);
  }
}

std::int64_t clip(std::vector<float>& values, double low, double high) {
  std::int64_t changed = 0;
  for (float& v : values) {  // NaN stays as it is
    const float to = v < static_cast<float>(low)    ? static_cast<float>(low)
                     : v > static_cast<float>(high) ? static_cast<float>(high)
                                                    : v;
    if (to != v && !std::isnan(v)) {
      v = to;
      ++changed;
    }
  }
  return changed;
}

void check_inputs(const Table& table, const std::vector<std::string>& expected) {
  const std::vector<std::string> names = table.feature_names();
  if (names == expected) return;
  std::size_t i = 0;
  while (i < names.size() && i < expected.size() && names[i] == expected[i]) ++i;
  const auto shown = [i](const std::vector<std::string>& list) {
    return i < list.size() ? fmt::format("'{}'", list[i]) : std::string("nothing");
  };
  throw DataError(fmt::format(
      "{}: the {} features differ from the {} the cleaning was fitted on: feature {} is {}, expected {}",
      table.provenance().source, names.size(), expected.size(), i + 1, shown(names), shown(expected)));
}

bool looks_at_other_rows(const CleaningOptions& o) {
  return o.fill == FillMissing::forward || !o.lags.empty() || o.rolling > 0;
}

}  // namespace

void Cleaning::name_order(const Table& table) {
  const bool along = looks_at_other_rows(options_);
  const Column* time = along || options_.calendar ? table.only(ColumnRole::time) : nullptr;
  const Column* node = along ? cleaning::node_column(table) : nullptr;
  time_ = time == nullptr ? "" : time->name();
  node_ = node == nullptr ? "" : node->name();
}

void Cleaning::check_order(const Table& table) const {
  const auto lacks = [&](const char* what, const std::string& name, const char* why) {
    throw DataError(fmt::format("{}: there is no column of {}, expected one as '{}' in training: {}",
                                table.provenance().source, what, name, why));
  };
  if (!time_.empty() && table.only(ColumnRole::time) == nullptr)
    lacks(
        "times", time_,
        looks_at_other_rows(options_) ? "features are taken from the rows before" : "the calendar needs it");
  if (!node_.empty() && cleaning::node_column(table, node_) == nullptr)
    lacks("nodes", node_, "features are taken from the rows of the same node before");
}

bool CleaningOptions::any() const {
  return fill != FillMissing::keep || outliers != Outliers::off || calendar || !lags.empty() ||
         rolling != 0 || !products.empty();
}

bool Cleaning::empty() const {
  return !options_.any();
}
const CleaningOptions& Cleaning::options() const {
  return options_;
}
const std::vector<std::string>& Cleaning::input_names() const {
  return inputs_;
}
const std::vector<std::string>& Cleaning::output_names() const {
  return outputs_;
}
const std::string& Cleaning::time_column() const {
  return time_;
}
const std::string& Cleaning::node_column() const {
  return node_;
}
const std::vector<std::string>& Cleaning::metric_of_output() const {
  return metrics_;
}
const std::vector<double>& Cleaning::low() const {
  return low_;
}
const std::vector<double>& Cleaning::high() const {
  return high_;
}

Table Cleaning::apply(const Table& table, std::span<const std::int32_t> part, CleaningReport* report) const {
  if (!part.empty() && static_cast<std::int64_t>(part.size()) != table.rows())
    throw ShapeError(fmt::format("cleaning: there are {} part numbers, expected {}, one a row", part.size(),
                                 table.rows()));
  if (report != nullptr) *report = {};
  if (empty()) return table;
  check_inputs(table, inputs_);
  check_order(table);

  std::vector<ColumnSpec> schema;
  for (const std::string& name : outputs_) schema.push_back({name, ColumnType::f32, ColumnRole::feature});
  for (const Column& c : table.columns())
    if (c.role() != ColumnRole::feature) schema.push_back(c.spec());
  Table out(schema);
  out.provenance() = table.provenance();

  const bool along = looks_at_other_rows(options_);
  const cleaning::Series series =
      along ? cleaning::series_of(table, part, time_.empty() ? nullptr : table.only(ColumnRole::time),
                                  node_.empty() ? nullptr : cleaning::node_column(table, node_))
            : cleaning::Series{};
  const auto columns = table.with_role(ColumnRole::feature);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::vector<float> values = cells(*columns[i]);
    CleaningReport::Column counts{inputs_[i], 0, 0};
    if (options_.outliers == Outliers::clip) counts.clipped = clip(values, low_[i], high_[i]);
    if (options_.fill == FillMissing::forward)
      counts.filled = cleaning::fill_forward(series, values, mean_[i]);
    store(values, out.columns()[i]);
    if (report != nullptr) report->columns.push_back(std::move(counts));
  }
  std::size_t next = inputs_.size();
  if (options_.calendar) {
    const Column* time = table.only(ColumnRole::time);
    if (time == nullptr)
      throw DataError(fmt::format("{}: the calendar features need a time column, none was named",
                                  table.provenance().source));
    Column* to = &out.columns()[next];
    for (std::int64_t r = 0; r < table.rows(); ++r) {
      if (!time->present(r)) {
        for (int k = 0; k < 3; ++k) to[k].push_missing();
        continue;
      }
      const cleaning::Calendar c = cleaning::calendar_of(time->i64()[static_cast<std::size_t>(r)]);
      to[0].push_f32(static_cast<float>(c.hour));
      to[1].push_f32(static_cast<float>(c.day_of_week));
      to[2].push_f32(c.weekend ? 1.f : 0.f);
    }
    next += cleaning::calendar_names.size();
  }
  std::vector<float> values, second;
  for (const std::string& metric : options_.derive_from.empty() ? inputs_ : options_.derive_from) {
    if (options_.lags.empty() && options_.rolling == 0) break;
    const auto from = out.column(metric).f32();
    for (const std::int64_t back : options_.lags) {
      cleaning::lag(series, from, back, values);
      store(values, out.columns()[next++]);
    }
    if (options_.rolling == 0) continue;
    cleaning::rolling(series, from, options_.rolling, values, second);
    store(values, out.columns()[next++]);
    store(second, out.columns()[next++]);
  }
  for (const std::string& product : options_.products) {
    std::vector<double> results(static_cast<std::size_t>(table.rows()), 1.);
    for (const std::string& factor : cleaning::factors_of(product)) {
      const auto from = out.column(factor).f32();
      for (std::size_t r = 0; r < results.size(); ++r) results[r] *= static_cast<double>(from[r]);
    }
    values.assign(results.size(), 0);
    for (std::size_t r = 0; r < results.size(); ++r) {
      values[r] = static_cast<float>(results[r]);
      if (std::isinf(values[r]))
        throw DataError(fmt::format("{} data row {}: the product '{}' is {}, expected a number below 3.4e38",
                                    table.provenance().source,
                                    table.source_row(static_cast<std::int64_t>(r)) + 1, product, results[r]));
    }
    store(values, out.columns()[next++]);
  }
  for (const Column& c : table.columns())
    if (c.role() != ColumnRole::feature) out.columns()[next++].append(c);
  Buffer<std::int64_t> source_rows;
  for (std::int64_t r = 0; r < table.rows(); ++r) source_rows.push_back(table.source_row(r));
  out.set_source_rows(std::move(source_rows));
  return out;
}

std::vector<std::int64_t> Cleaning::kept(const Table& table, std::span<const std::int64_t> rows) const {
  std::vector<std::int64_t> result(rows.begin(), rows.end());
  if (options_.outliers != Outliers::drop) return result;
  check_inputs(table, inputs_);
  const auto columns = table.with_role(ColumnRole::feature);
  std::erase_if(result, [&](std::int64_t r) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const auto v = static_cast<double>(columns[i]->f32()[static_cast<std::size_t>(r)]);
      if (v < input_low_[i] || v > input_high_[i]) return true;
    }
    return false;
  });
  return result;
}

}  // namespace emshap
