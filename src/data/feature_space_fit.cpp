// Fitting: what the training values of each column say, and the choice of the transform.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/column_values.h"
#include "data/feature_map.h"
#include "data/gaussian_score.h"
#include "emshap/core/error.h"

namespace emshap {
namespace {

void check(const FeatureSpaceOptions& o) {
  if (o.max_categories < 0 || o.rows_per_category < 1 || !(o.range_margin >= 0) ||
      !std::isfinite(o.range_margin))
    throw ConfigError(
        fmt::format("feature space: {} categories, {} rows per category and a range margin of {} were given, "
                    "expected 0 or more, 1 or more and a finite number of 0 or more",
                    o.max_categories, o.rows_per_category, o.range_margin));
}

constexpr double enough_gain = .5;                // nat per feature that quantile must gain
constexpr std::size_t most_scored_rows = 20'000;  // that the transforms are compared on, evenly spaced

Pipeline fit_pipeline(const Table& table, std::span<const std::int64_t> train, FeatureTransform transform,
                      bool ties) {
  Pipeline p;
  p.add("drop_constant", std::make_unique<DropConstant>());
  if (transform == FeatureTransform::quantile) {
    p.add("normal_scores", std::make_unique<QuantileNormal>(ties));
  } else {
    p.add("standardise", std::make_unique<StandardScaler>(true));
  }
  p.fit(table, train);
  return p;
}

std::vector<double> training_values(const Column& column, std::span<const std::int64_t> rows) {
  std::vector<double> values;
  values.reserve(rows.size());
  for (const std::int64_t r : rows)
    values.push_back(static_cast<double>(column.f32()[static_cast<std::size_t>(r)]));
  return values;
}

void check_values(const Table& table, const Column& column, std::span<const std::int64_t> rows,
                  const std::vector<double>& values) {
  bool any = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isinf(values[i]))
      throw DataError(
          fmt::format("{} data row {}, feature '{}': the value is infinite, expected a finite one",
                      table.provenance().source, table.source_row(rows[i]) + 1, column.name()));
    any = any || !std::isnan(values[i]);
  }
  if (!any)
    throw DataError(fmt::format(
        "{}: feature '{}' has no value among the {} training rows, expected at least one; exclude it",
        table.provenance().source, column.name(), rows.size()));
}

FeatureColumn describe(const std::string& name, const std::vector<double>& all,
                       const FeatureSpaceOptions& options) {
  ColumnValues v = column_values(all, options.ties);
  FeatureColumn c;
  c.name = name;
  c.low = v.values.front();
  c.high = v.values.back();
  c.sd = v.sd;
  if (!v.tied) return c;
  const auto distinct = static_cast<std::int64_t>(v.values.size());
  const bool categorical =
      distinct <= options.max_categories && v.present >= options.rows_per_category * distinct;
  c.kind = categorical ? FeatureKind::categorical : FeatureKind::tied;
  c.delta = v.delta;
  for (const std::int64_t count : v.counts)
    c.frequencies.push_back(static_cast<double>(count) / static_cast<double>(v.present));
  c.counts = std::move(v.counts);
  c.values = std::move(v.values);
  c.left = std::move(v.left);
  c.right = std::move(v.right);
  return c;
}

std::vector<std::int64_t> thinned(std::span<const std::int64_t> rows) {
  const std::size_t stride = (rows.size() + most_scored_rows - 1) / most_scored_rows;
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < rows.size(); i += stride) out.push_back(rows[i]);
  return out;
}

// Dequantised rows in model space; log |d model / d raw| of each present entry is added to `log_jacobian`.
ScoreRows scored(const Table& table, std::span<const std::int64_t> rows,
                 const std::vector<FeatureColumn>& columns, const Pipeline& pipeline, double& log_jacobian) {
  const FeatureMap map(pipeline);
  const math::PhiloxStream stream({.seed = 0, .purpose = RandomPurpose::dequantise});
  std::vector<std::span<const float>> cells;
  for (const FeatureColumn& c : columns) cells.push_back(table.column(c.name).f32());
  ScoreRows out;
  out.width = columns.size();
  double entries = 0;
  for (const std::int64_t r : rows) {
    RowUniforms uniforms(stream, r);
    for (std::size_t t = 0; t < columns.size(); ++t) {
      double raw = static_cast<double>(cells[t][static_cast<std::size_t>(r)]);
      if (!std::isfinite(raw)) {
        out.values.push_back(std::numeric_limits<double>::quiet_NaN());
        continue;
      }
      if (columns[t].kind != FeatureKind::continuous) raw = dequantised(columns[t], raw, uniforms.at(t));
      out.values.push_back(map.forward(t, raw));
      log_jacobian += std::log(map.slope(t, raw));
      ++entries;
    }
  }
  if (entries > 0) log_jacobian /= entries;
  return out;
}

double score(const Table& table, std::span<const std::int64_t> train, std::span<const std::int64_t> test,
             const std::vector<FeatureColumn>& columns, const Pipeline& pipeline) {
  double ignored = 0, log_jacobian = 0;
  const ScoreRows fit = scored(table, train, columns, pipeline, ignored);
  const ScoreRows held_out = scored(table, test, columns, pipeline, log_jacobian);
  return gaussian_score(fit, held_out) + log_jacobian;
}

// "a, b, c" of what `text` gives for the columns it gives something for.
template <class Text>
std::string list(const std::vector<FeatureColumn>& columns, const Text& text) {
  std::string all;
  for (const FeatureColumn& c : columns)
    if (const std::string one = text(c); !one.empty()) all += (all.empty() ? "" : ", ") + one;
  return all;
}

std::vector<std::string> describe_columns(const std::vector<FeatureColumn>& columns,
                                          const std::vector<std::int64_t>& missing, std::size_t rows) {
  std::vector<std::string> notes;
  const auto note = [&](const char* what, const std::string& names) {
    if (!names.empty()) notes.push_back(fmt::format("{}: {}", what, names));
  };
  const auto values_of = [](FeatureKind kind) {
    return [kind](const FeatureColumn& c) {
      return c.kind == kind ? fmt::format("{} ({} values)", c.name, c.values.size()) : std::string();
    };
  };
  note("columns with repeated values, modelled by intervals", list(columns, values_of(FeatureKind::tied)));
  note("columns modelled by categories", list(columns, values_of(FeatureKind::categorical)));
  std::size_t t = 0;
  note("columns with missing training values", list(columns, [&](const FeatureColumn& c) {
         const std::int64_t lacking = missing[t++];
         return c.may_be_missing ? fmt::format("{} ({} of {})", c.name, lacking, rows) : std::string();
       }));
  return notes;
}

}  // namespace

FeatureSpace FeatureSpace::fit(const Table& table, std::span<const std::int64_t> train,
                               std::span<const std::int64_t> validation, const FeatureSpaceOptions& options) {
  FeatureSpace space;
  space.options_ = options;
  check(options);
  if (train.empty())
    throw DataError(
        fmt::format("{}: there are no training rows, expected at least two", table.provenance().source));
  const bool automatic = options.transform == FeatureTransform::automatic;
  space.chosen_ = automatic ? FeatureTransform::standardise : options.transform;
  for (const Column* column : table.with_role(ColumnRole::feature))
    check_values(table, *column, train, training_values(*column, train));
  space.pipeline_ = fit_pipeline(table, train, space.chosen_, options.ties);
  std::vector<std::int64_t> missing;
  for (const std::string& name : space.feature_names()) {
    const std::vector<double> values = training_values(table.column(name), train);
    missing.push_back(std::count_if(values.begin(), values.end(), [](double v) { return std::isnan(v); }));
    space.columns_.push_back(describe(name, values, options));
    space.columns_.back().may_be_missing = table.column(name).missing() > 0;
  }

  std::string why = "as asked for";
  if (automatic) {
    Pipeline quantile = fit_pipeline(table, train, FeatureTransform::quantile, options.ties);
    const std::vector<std::int64_t> fitted = thinned(train);
    const std::vector<std::int64_t> held_out = thinned(validation.empty() ? train : validation);
    const double gain = score(table, fitted, held_out, space.columns_, quantile) -
                        score(table, fitted, held_out, space.columns_, space.pipeline_);
    if (gain > enough_gain) {
      space.pipeline_ = std::move(quantile);
      space.chosen_ = FeatureTransform::quantile;
    }
    why = fmt::format(
        "a Gaussian of normal scores has {:.3f} nat per feature {} than one of standardised "
        "values on {} {} rows; {} and above take normal scores",
        std::abs(gain), gain < 0 ? "less" : "more", held_out.size(),
        validation.empty() ? "training" : "validation", enough_gain);
  }
  space.notes_ = describe_columns(space.columns_, missing, train.size());
  space.notes_.insert(space.notes_.begin(),
                      fmt::format("transform of the columns: {} ({})", to_string(space.chosen_), why));
  for (std::string& text : space.pipeline_.warnings()) space.notes_.push_back(std::move(text));
  return space;
}

std::vector<std::string> FeatureSpace::notes() const {
  return notes_;
}

}  // namespace emshap
