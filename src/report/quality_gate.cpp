#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/report/evaluation.h"
#include "emshap/report/text_table.h"

namespace emshap::report {
namespace {

using Json = nlohmann::json;

Json parse(const std::string& text, const std::string& file) {
  Json j = Json::parse(text, nullptr, false);
  if (!j.is_object())
    throw IoError(fmt::format("{} is not the metrics.json of an evaluation or a run", file));
  return j;
}

bool has_part(const Json& j, const char* part) {
  return j.contains(part) && j[part].is_object();
}

/// NaN for null. Throws DataError when the metric is absent.
double metric_of(const Json& j, const char* part, const std::string& metric, const std::string& file) {
  const Json& values = j[part];
  if (!values.contains(metric) || !(values[metric].is_number() || values[metric].is_null()))
    throw DataError(fmt::format("{} has no {} of part {}", file, metric, part));
  return values[metric].is_number() ? values[metric].get<double>() : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::string check_gate(const std::string& current_json, const std::filesystem::path& baseline,
                       const GateOptions& options) {
  const auto& known = {"mse", "rmse", "mae", "mape", "r2"};
  bool is_known = false;
  for (const char* name : known) is_known = is_known || options.metric == name;
  if (!is_known)
    throw ConfigError(
        fmt::format("quality gate: metric is '{}', expected mse, rmse, mae, mape or r2", options.metric));
  if (!(options.tolerance >= 0))
    throw ConfigError(fmt::format("quality gate: tolerance is {}, expected 0 or more", options.tolerance));
  const bool folder = std::filesystem::is_directory(baseline);
  const std::string file = (folder ? baseline / "metrics.json" : baseline).string();
  const Json old = parse(read_file(file), file), now = parse(current_json, "the current metrics.json");
  const char* part = has_part(old, "test") && has_part(now, "test") ? "test" : "all";
  for (const auto& [j, name] : {std::pair{&now, std::string("this evaluation")}, std::pair{&old, file}})
    if (!has_part(*j, part))
      throw DataError(fmt::format("quality gate: {} has no part '{}' to compare", name, part));
  const double before = metric_of(old, part, options.metric, file),
               after = metric_of(now, part, options.metric, "this evaluation");
  if (!std::isfinite(before))
    throw DataError(
        fmt::format("quality gate: {} of part {} in {} is not a number", options.metric, part, file));
  const bool higher_is_better = options.metric == "r2";
  const double limit = higher_is_better ? before - options.tolerance : before * (1 + options.tolerance);
  const bool passed = higher_is_better ? after >= limit : after <= limit;  // false for NaN
  const std::string text =
      fmt::format("{} {} {} against {} of {}, limit {}", part, options.metric, format_number(after),
                  format_number(before), file, format_number(limit));
  if (!passed) throw QualityError("quality gate: the model is worse than the baseline: " + text);
  return "quality gate passed: " + text;
}

}  // namespace emshap::report
