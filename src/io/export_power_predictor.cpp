#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/core/version.h"
#include "emshap/data/steps.h"
#include "emshap/io/graph_builder.h"
#include "emshap/io/power_onnx.h"
#include "io/power_graph.h"

namespace emshap::io {
namespace {

void check_units(const Preprocessor& preprocessor, const PowerOnnxInfo& info) {
  if (!info.feature_units.empty() &&
      static_cast<std::int64_t>(info.feature_units.size()) != preprocessor.features.inputs())
    throw ConfigError(fmt::format("{} feature units were given, expected {} or none",
                                  info.feature_units.size(), preprocessor.features.inputs()));
}

std::string config_json(const PowerPredictorOptions& options) {
  nlohmann::ordered_json json;
  json["features"] = options.features;
  json["hidden"] = options.hidden;
  json["activation"] = to_string(options.activation);
  json["batch_norm"] = options.batch_norm;
  json["dropout"] = options.dropout;
  json["residual_blocks"] = options.residual_blocks;
  json["members"] = options.members;
  json["seed"] = options.seed;
  return json.dump();
}

void add_metadata(GraphBuilder& graph, const Preprocessor& preprocessor, const PowerPredictorOptions& options,
                  const PowerOnnxInfo& info) {
  std::vector<std::string> units = info.feature_units;
  units.resize(static_cast<std::size_t>(preprocessor.features.inputs()));
  graph.metadata("model", "power_predictor");
  graph.metadata("version", version());
  graph.metadata("features", nlohmann::json(preprocessor.features.input_names()).dump());
  graph.metadata("feature_units", nlohmann::json(units).dump());
  graph.metadata("target", info.target);
  graph.metadata("target_unit", info.target_unit);
  graph.metadata("scaler_hash", preprocessor.hash());
  graph.metadata("model_config", config_json(options));
  graph.metadata("pipeline", preprocessor.to_json());
  for (const auto& [key, value] : info.more) graph.metadata(key, value);
}

}  // namespace

std::string power_predictor_onnx(const Preprocessor& preprocessor, const PowerPredictor& predictor,
                                 const PowerOnnxInfo& info) {
  check_units(preprocessor, info);
  // Folded, not kept as BatchNormalization nodes: ONNX Runtime 1.32 makes the same fused products of MatMul
  // and BatchNormalization, so neither form is faster there, but it folds in float32. Here the weights are
  // rounded once, from float64, and runtimes without that rewriting get the fast form too.
  const PowerPredictor folded = fold_batch_norm(predictor);
  const std::string unit = info.target_unit.empty() ? "" : " in " + info.target_unit;

  GraphBuilder graph("power_predictor", fmt::format("Predicts {}{} from {} features in raw units",
                                                    info.target, unit, preprocessor.features.inputs()));
  const GraphValue x = graph.input("x", GraphType::f32, {"batch", preprocessor.features.inputs()});
  const GraphValue power = write_power_predictor(graph, preprocessor, folded, x);
  graph.output(power, "power", GraphType::f32, {"batch", 1});
  graph.describe("x", fmt::format("{}; raw units", fmt::join(preprocessor.features.input_names(), ", ")));
  graph.describe("power", info.target + unit);
  add_metadata(graph, preprocessor, folded.options(), info);
  return graph.bytes();
}

double export_power_predictor(const std::filesystem::path& path, const Preprocessor& preprocessor,
                              const PowerPredictor& predictor, const PowerOnnxInfo& info, ConstTensorView x,
                              double limit) {
  const std::string bytes = power_predictor_onnx(preprocessor, predictor, info);
  const double worst =
      verify_power_predictor(OnnxModel::parse(bytes, path.string()), preprocessor, predictor, x, limit);
  write_file_atomically(path, bytes);
  return worst;
}

}  // namespace emshap::io
