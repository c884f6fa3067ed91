// Reading a fitted cleaning back from JSON.
#include <fmt/format.h>

#include <cmath>

#include "data/json_read.h"
#include "emshap/data/cleaning.h"

namespace emshap {
namespace {

using namespace json_read;

/// One number a feature; null stands for `missing`.
Numbers bounds(const Json& json, const char* key, std::size_t width, double missing) {
  Numbers values = value<Numbers>(json, key);
  if (values.size() != width)
    throw IoError(fmt::format("the key \"{}\" holds {} numbers, expected {}, one a feature", key,
                              values.size(), width));
  for (double& v : values)
    if (std::isnan(v)) v = missing;
  return values;
}

}  // namespace

Cleaning Cleaning::from_json(const std::string& text) {
  const Json json = parse(text);
  if (value<std::string>(json, "format") != "emshap cleaning") throw IoError("this is no cleaning file");
  if (const auto version = value<int>(json, "version"); version != 1)
    throw IoError(fmt::format("the file has version {}, expected 1", version));
  constexpr double infinite = std::numeric_limits<double>::infinity();
  Cleaning c;
  try {
    c.options_.fill = parse_fill_missing(value<std::string>(json, "fill_missing"));
    c.options_.outliers = parse_outliers(value<std::string>(json, "outliers"));
    c.options_.iqr_factor = value<double>(json, "iqr_factor");
    c.options_.calendar = value<bool>(json, "calendar");
    c.options_.lags = value<Counts>(json, "lags");
    c.options_.rolling = value<std::int64_t>(json, "rolling");
    c.options_.derive_from = value<Names>(json, "derive_from");
    c.options_.products = value<Names>(json, "products");
    c.time_ = value<std::string>(json, "time_column");
    c.node_ = value<std::string>(json, "node_column");
    c.inputs_ = value<Names>(json, "inputs");
    c.name_outputs("the cleaning file");
  } catch (const ConfigError& e) {
    throw IoError(e.what());
  }
  const std::size_t width = c.inputs_.size();
  c.input_low_ = bounds(json, "low", width, -infinite);
  c.input_high_ = bounds(json, "high", width, infinite);
  c.mean_ = bounds(json, "means", width, std::numeric_limits<double>::quiet_NaN());
  c.set_output_bounds();
  if (value<Names>(json, "outputs") != c.outputs_ || value<Names>(json, "metrics") != c.metrics_)
    throw IoError("the outputs listed are not those of the options; was the file edited?");
  if (const auto stored = value<std::string>(json, "hash"); stored != c.hash())
    throw IoError(fmt::format("the stored hash is {}, expected {} for its values; was the file edited?",
                              stored, c.hash()));
  return c;
}

}  // namespace emshap
