// Reading a feature space back from JSON.
#include <cmath>

#include "data/column_values.h"
#include "data/json_read.h"
#include "emshap/data/feature_space.h"
#include "emshap/data/step_clip.h"
#include "emshap/data/step_quantile.h"
#include "emshap/data/steps.h"

namespace emshap {
namespace {

using namespace json_read;

FeatureKind kind_from(const std::string& name) {
  for (const auto kind : {FeatureKind::continuous, FeatureKind::tied, FeatureKind::categorical})
    if (name == to_string(kind)) return kind;
  throw IoError(fmt::format("column kind '{}' is not known, expected continuous, tied or categorical", name));
}

FeatureTransform transform_from(const Json& json) {
  const auto name = value<std::string>(json, "transform");
  try {
    return parse_feature_transform(name);
  } catch (const ConfigError& e) {
    throw IoError(e.what());
  }
}

bool ascending(const FeatureColumn& c) {
  for (std::size_t i = 0; i < c.values.size(); ++i)
    if (!(c.left[i] <= c.values[i] && c.values[i] <= c.right[i] && c.left[i] < c.right[i]) ||
        !std::isfinite(c.left[i]) || !std::isfinite(c.right[i]) ||
        (i > 0 && !(c.values[i] > c.values[i - 1] && c.left[i] >= c.right[i - 1])))
      return false;
  return true;
}

FeatureColumn read_column(const Json& json) {
  FeatureColumn c;
  c.name = value<std::string>(json, "name");
  c.kind = kind_from(value<std::string>(json, "kind"));
  c.may_be_missing = value<bool>(json, "may_be_missing");
  c.low = value<double>(json, "low");
  c.high = value<double>(json, "high");
  c.sd = value<double>(json, "sd");
  c.delta = value<double>(json, "delta");
  c.values = value<Numbers>(json, "values");
  c.counts = value<Counts>(json, "counts");
  const std::size_t n = c.values.size();
  const bool continuous = c.kind == FeatureKind::continuous;
  std::int64_t present = 0;
  bool counted = c.counts.size() == n && (continuous ? n == 0 : n >= 2);
  for (const std::int64_t count : c.counts) {
    counted = counted && count > 0 && count < std::int64_t{1} << 53;
    present += counted ? count : 0;
  }
  if (!counted)
    throw IoError(fmt::format("column '{}': {} values and {} counts do not fit a {} one", c.name, n,
                              c.counts.size(), to_string(c.kind)));
  for (const std::int64_t count : c.counts)
    c.frequencies.push_back(static_cast<double>(count) / static_cast<double>(present));
  find_tiles(c.values, c.delta, c.left, c.right);
  if (!(c.low < c.high) || !(c.sd > 0) || !(c.delta >= 0) || !ascending(c))
    throw IoError(
        fmt::format("column '{}': the range, the standard deviation or the values are out of order", c.name));
  return c;
}

}  // namespace

FeatureSpace FeatureSpace::from_json(const std::string& text) {
  const Json json = parse(text);
  if (value<std::string>(json, "format") != "emshap feature space")
    throw IoError("this is no feature space file");
  if (const auto version = value<int>(json, "version"); version != 1)
    throw IoError(fmt::format("the file has version {}, expected 1", version));
  FeatureSpace s;
  const Json& options = member(json, "options");
  s.options_.transform = transform_from(options);
  s.options_.ties = value<bool>(options, "ties");
  s.options_.max_categories = value<std::int64_t>(options, "max_categories");
  s.options_.rows_per_category = value<std::int64_t>(options, "rows_per_category");
  s.options_.range_margin = value<double>(options, "range_margin");
  s.chosen_ = transform_from(json);
  s.pipeline_ = Pipeline::from_json(member(json, "pipeline").dump());
  const bool quantile = s.chosen_ == FeatureTransform::quantile;
  const std::size_t steps = s.pipeline_.find<Clip>() != nullptr ? 3 : 2;
  if (s.pipeline_.size() != steps || s.pipeline_.find<DropConstant>() == nullptr ||
      (quantile ? s.pipeline_.find<QuantileNormal>() == nullptr
                : s.pipeline_.find<StandardScaler>() == nullptr))
    throw IoError(
        fmt::format("the pipeline does not have the steps of the transform '{}'", to_string(s.chosen_)));
  if (!member(json, "columns").is_array())
    throw IoError("the key \"columns\" holds a value of the wrong type");
  for (const Json& column : member(json, "columns")) s.columns_.push_back(read_column(column));
  bool fits = s.features() == s.pipeline_.outputs();
  for (std::size_t t = 0; fits && t < s.columns_.size(); ++t)
    fits = s.columns_[t].name == s.feature_names()[t];
  if (!fits) throw IoError("the columns differ from the outputs of the pipeline");
  s.notes_ = value<Names>(json, "notes");
  if (const auto stored = value<std::string>(json, "hash"); stored != s.hash())
    throw IoError(fmt::format("the stored hash is {}, expected {} for its values; was the file edited?",
                              stored, s.hash()));
  return s;
}

}  // namespace emshap
