// Reading fitted steps back from JSON.
#include <fmt/format.h>

#include <cmath>

#include "data/json_read.h"
#include "emshap/data/pipeline.h"
#include "emshap/data/step_clip.h"
#include "emshap/data/step_quantile.h"
#include "emshap/data/steps.h"

namespace emshap {
namespace {

using namespace json_read;

/// null stands for no bound.
std::unique_ptr<Step> read_clip(const Json& json) {
  auto low = value<Numbers>(json, "low"), high = value<Numbers>(json, "high");
  for (double& bound : low)
    if (std::isnan(bound)) bound = -std::numeric_limits<double>::infinity();
  for (double& bound : high)
    if (std::isnan(bound)) bound = std::numeric_limits<double>::infinity();
  try {
    auto step = std::make_unique<Clip>(low, high);
    step->begin_fit(value<Names>(json, "names"));
    return step;
  } catch (const ConfigError& e) {
    throw IoError(e.what());
  }
}

std::unique_ptr<Step> read_step(const Json& json) {
  const auto type = value<std::string>(json, "type");
  if (type == "clip") return read_clip(json);
  if (type == "drop_constant")
    return DropConstant::from_state(value<Names>(json, "names"), value<Names>(json, "dropped_names"),
                                    value<Numbers>(json, "dropped_values"));
  if (type == "mean_impute")
    return MeanImpute::from_state(value<Names>(json, "names"), value<Numbers>(json, "means"),
                                  value<Counts>(json, "missing"), value<Counts>(json, "fills"));
  if (type == "standard_scaler")
    return StandardScaler::from_state(value<Names>(json, "names"), value<Numbers>(json, "means"),
                                      value<Numbers>(json, "scales"), value<std::int64_t>(json, "count"));
  if (type == "piecewise_linear")
    return PiecewiseLinear::from_state(value<Names>(json, "names"), value<Counts>(json, "counts"),
                                       value<Numbers>(json, "edges"));
  if (type == "quantile_normal")
    return QuantileNormal::from_state(value<Names>(json, "names"), value<Counts>(json, "counts"),
                                      value<Numbers>(json, "x"), value<Numbers>(json, "z"),
                                      value<Numbers>(json, "low"), value<Numbers>(json, "high"));
  throw IoError(
      fmt::format("step type '{}' is not known, expected clip, drop_constant, mean_impute, standard_scaler, "
                  "piecewise_linear "
                  "or quantile_normal",
                  type));
}

}  // namespace

std::unique_ptr<Step> step_from_json(const std::string& text) {
  return read_step(parse(text));
}

Pipeline Pipeline::from_json(const std::string& text) {
  const Json json = parse(text);
  Pipeline pipeline;
  pipeline.input_names_ = value<Names>(json, "features");
  if (!member(json, "steps").is_array()) throw IoError("the key \"steps\" holds a value of the wrong type");
  for (const Json& entry : member(json, "steps")) {
    auto step = read_step(member(entry, "step"));
    if (step->input_names() != pipeline.output_names())
      throw IoError(fmt::format("step '{}' takes {} columns, expected the {} that come before it",
                                value<std::string>(entry, "name"), step->inputs(), pipeline.outputs()));
    pipeline.add(value<std::string>(entry, "name"), std::move(step));
  }
  if (const auto stored = value<std::string>(json, "hash"); stored != pipeline.hash())
    throw IoError(fmt::format("the stored hash is {}, expected {} for its values; was the file edited?",
                              stored, pipeline.hash()));
  return pipeline;
}

Preprocessor Preprocessor::from_json(const std::string& text) {
  const Json json = parse(text);
  if (value<std::string>(json, "format") != "emshap preprocessing")
    throw IoError("this is no preprocessing file");
  if (const auto version = value<int>(json, "version"); version != 1)
    throw IoError(fmt::format("the file has version {}, expected 1", version));
  Preprocessor p;
  p.features = Pipeline::from_json(member(json, "features").dump());
  p.target = Pipeline::from_json(member(json, "target").dump());
  return p;
}

}  // namespace emshap
