#include <cmath>
#include <limits>
#include <vector>

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

struct Metric {
  const char* name;
  bool of_density, higher_is_better;
};
constexpr Metric metrics[] = {{"mse", false, false},          {"rmse", false, false}, {"mae", false, false},
                              {"mape", false, false},         {"r2", false, true},    {"crps", true, false},
                              {"log_likelihood", true, true}, {"nrmse", true, false}, {"msev", true, false}};
constexpr const char* automatic[] = {"rmse", "log_likelihood", "crps"};

const Metric& metric_named(const std::string& name) {
  std::string known;
  for (const Metric& m : metrics) {
    if (name == m.name) return m;
    known += fmt::format("{}, ", m.name);
  }
  throw ConfigError(fmt::format("quality gate: metric is '{}', expected {}or auto", name, known));
}

/// What both files are compared on for this metric.
const char* part_for(const Metric& metric, const Json& old, const Json& now) {
  if (metric.of_density) return "density";
  return has_part(old, "test") && has_part(now, "test") ? "test" : "all";
}

struct Outcome {
  bool passed = false;
  std::string text;
};

Outcome compare(const Json& old, const Json& now, const std::string& file, const Metric& metric,
                double tolerance) {
  const char* part = part_for(metric, old, now);
  for (const auto& [j, name] : {std::pair{&now, std::string("this evaluation")}, std::pair{&old, file}})
    if (!has_part(*j, part))
      throw DataError(fmt::format("quality gate: {} has no part '{}' to compare", name, part));
  const double before = metric_of(old, part, metric.name, file),
               after = metric_of(now, part, metric.name, "this evaluation");
  if (!std::isfinite(before))
    throw DataError(
        fmt::format("quality gate: {} of part {} in {} is not a number", metric.name, part, file));
  const double limit = metric.higher_is_better ? before - tolerance : before * (1 + tolerance);
  return {metric.higher_is_better ? after >= limit : after <= limit,  // false for NaN
          fmt::format("{} {} {} against {} of {}, limit {}", part, metric.name, format_number(after),
                      format_number(before), file, format_number(limit))};
}

}  // namespace

std::string check_gate(const std::string& current_json, const std::filesystem::path& baseline,
                       const GateOptions& options) {
  if (options.metric != "auto") metric_named(options.metric);
  if (!(options.tolerance >= 0))
    throw ConfigError(fmt::format("quality gate: tolerance is {}, expected 0 or more", options.tolerance));
  const bool folder = std::filesystem::is_directory(baseline);
  const std::string file = (folder ? baseline / "metrics.json" : baseline).string();
  const Json old = parse(read_file(file), file), now = parse(current_json, "the current metrics.json");
  std::vector<const Metric*> chosen;
  if (options.metric != "auto") {
    chosen.push_back(&metric_named(options.metric));
  } else {
    for (const char* name : automatic) {
      const Metric& metric = metric_named(name);
      const char* part = part_for(metric, old, now);
      if (has_part(old, part) && has_part(now, part)) chosen.push_back(&metric);
    }
    if (chosen.empty())
      throw DataError(
          fmt::format("quality gate: {} and this evaluation have no part in common to compare", file));
  }
  std::string passed, worse;
  for (const Metric* metric : chosen) {
    const Outcome outcome = compare(old, now, file, *metric, options.tolerance);
    std::string& list = outcome.passed ? passed : worse;
    list += (list.empty() ? "" : "; ") + outcome.text;
  }
  if (!worse.empty()) throw QualityError("quality gate: the model is worse than the baseline: " + worse);
  return "quality gate passed: " + passed;
}

}  // namespace emshap::report
