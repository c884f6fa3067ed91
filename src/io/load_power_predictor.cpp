#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "emshap/core/error.h"
#include "emshap/io/graph_builder.h"
#include "emshap/io/power_onnx.h"

namespace emshap::io {
namespace {

using nlohmann::json;

/// Every size of one member's parameters.
void check_member(const OnnxModel& model, const PowerPredictorOptions& options, const std::string& prefix) {
  std::int64_t inputs = options.features;
  const auto expect = [&](const std::string& layer, std::int64_t outputs) {
    const std::string name = prefix + layer;
    const GraphExtents expected{inputs, outputs};
    if (const GraphExtents& found = model.extents(name + ".weight"); found != expected)
      throw IoError(fmt::format("{}: '{}.weight' has shape ({}), expected ({}) by model_config", model.file(),
                                name, fmt::join(found, ", "), fmt::join(expected, ", ")));
    inputs = outputs;
  };
  for (std::size_t i = 0; i < options.hidden.size(); ++i) {
    expect(fmt::format("hidden{}.linear", i), options.hidden[i]);
    for (int r = 0; r < options.residual_blocks; ++r) {
      expect(fmt::format("hidden{}.residual{}.first.linear", i, r), options.hidden[i]);
      expect(fmt::format("hidden{}.residual{}.second", i, r), options.hidden[i]);
    }
  }
  expect("output", 1);
}

/// Options from metadata, every size held against the initialisers before memory is taken for it.
PowerPredictorOptions read_options(const OnnxModel& model) {
  const json config = json::parse(model.metadata("model_config"));
  PowerPredictorOptions options;
  options.features = config.at("features").get<std::int64_t>();
  options.hidden = config.at("hidden").get<std::vector<std::int64_t>>();
  options.activation = parse_activation(config.at("activation").get<std::string>());
  options.batch_norm = config.at("batch_norm").get<bool>();
  options.dropout = config.at("dropout").get<double>();
  options.residual_blocks = config.at("residual_blocks").get<int>();
  options.members = config.at("members").get<int>();
  options.seed = config.at("seed").get<std::uint64_t>();
  if (options.batch_norm) throw IoError(fmt::format("{}: batch normalisation is not folded", model.file()));

  for (int m = 0; m < options.members; ++m)
    check_member(model, options, options.members == 1 ? "" : fmt::format("member{}.", m));
  return options;
}

void read_parameters(const OnnxModel& model, ParameterStore& store) {
  for (const ParameterStore::Entry& entry : store.parameters()) {
    const std::vector<float> values = model.values<float>(entry.name);
    if (static_cast<std::int64_t>(values.size()) != entry.shape.elements())
      throw IoError(fmt::format("{}: '{}' has {} values, expected {}", model.file(), entry.name,
                                values.size(), entry.shape.elements()));
    store.set(store.find(entry.name), std::vector<double>(values.begin(), values.end()));
  }
}

/// What power_predictor_onnx writes itself; the rest is the caller's.
const std::set<std::string> own_keys{metadata_count_key, "model",   "version",     "features",
                                     "feature_units",    "target",  "target_unit", "scaler_hash",
                                     "model_config",     "pipeline"};

OnnxPowerPredictor read(const OnnxModel& model) {
  Preprocessor preprocessor = Preprocessor::from_json(model.metadata("pipeline"));
  if (preprocessor.hash() != model.metadata("scaler_hash"))
    throw IoError(fmt::format("{}: the pipeline has hash {}, expected {} by scaler_hash", model.file(),
                              preprocessor.hash(), model.metadata("scaler_hash")));
  preprocessor.features.check_names(json::parse(model.metadata("features")).get<std::vector<std::string>>(),
                                    model.file());
  const PowerPredictorOptions options = read_options(model);
  if (preprocessor.features.outputs() != options.features)
    throw IoError(fmt::format("{}: the pipeline gives {} columns, expected {} by model_config", model.file(),
                              preprocessor.features.outputs(), options.features));

  OnnxPowerPredictor result{std::move(preprocessor), PowerPredictor(options), {}};
  read_parameters(model, result.predictor.store());
  result.info.target = model.metadata("target");
  result.info.target_unit = model.metadata("target_unit");
  result.info.feature_units = json::parse(model.metadata("feature_units")).get<std::vector<std::string>>();
  for (const auto& [key, value] : model.metadata())
    if (!own_keys.contains(key)) result.info.more.emplace(key, value);
  return result;
}

}  // namespace

OnnxPowerPredictor load_power_predictor(const OnnxModel& model) {
  const auto kind = model.metadata().find("model");
  if (kind == model.metadata().end() || kind->second != "power_predictor")
    throw IoError(fmt::format("{}: is no power predictor written by emshap; its metadata 'model' is {}",
                              model.file(),
                              kind == model.metadata().end() ? "missing" : "'" + kind->second + "'"));
  try {
    return read(model);
  } catch (const std::exception& error) {  // whatever cannot be read, it is the file's fault
    const std::string text = error.what();
    if (text.starts_with(model.file())) throw IoError(text);
    throw IoError(fmt::format("{}: its metadata cannot be used: {}", model.file(), text));
  }
}

OnnxPowerPredictor load_power_predictor(const std::filesystem::path& path) {
  return load_power_predictor(OnnxModel::load(path));
}

}  // namespace emshap::io
