#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "emshap/core/error.h"
#include "emshap/io/emshap_onnx.h"
#include "emshap/io/graph_builder.h"
#include "emshap/models/emshap_model.h"
#include "io/emshap_file.h"

namespace emshap::io {
namespace {

using nlohmann::json;

/// What emshap_onnx writes itself; the rest is the caller's.
const std::set<std::string> own_keys{
    metadata_count_key, "model",       "version", "features",     "model_features", "proposal",
    "energy_used",      "energy_gain", "seed",    "architecture", "feature_space",  "feature_space_hash",
    "weights_hash"};

template <class T>
T number(const OnnxModel& model, const std::string& key) {
  const std::string& text = model.metadata(key);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw IoError(fmt::format("{}: metadata '{}' is '{}', expected a number", model.file(), key, text));
  return value;
}

bool truth(const OnnxModel& model, const std::string& key) {
  const std::string& text = model.metadata(key);
  if (text != "true" && text != "false")
    throw IoError(fmt::format("{}: metadata '{}' is '{}', expected true or false", model.file(), key, text));
  return text == "true";
}

void check_hash(const OnnxModel& model, const char* what, const std::string& found, const char* key) {
  if (found != model.metadata(key))
    throw IoError(fmt::format("{}: {} hash {}, expected {} by {}; the file is damaged or was edited",
                              model.file(), what, found, model.metadata(key), key));
}

void check_names(const OnnxModel& model, const std::vector<std::string>& names, const char* key) {
  if (json::parse(model.metadata(key)).get<std::vector<std::string>>() != names)
    throw IoError(fmt::format("{}: metadata '{}' does not fit the feature space", model.file(), key));
}

void read_parameters(const OnnxModel& model, ParameterStore& store) {
  for (const ParameterStore::Entry& entry : store.parameters()) {
    const std::vector<float> values = model.values<float>(entry.name);
    GraphExtents expected;
    for (int axis = 0; axis < entry.shape.rank(); ++axis) expected.push_back(entry.shape[axis]);
    if (model.extents(entry.name) != expected)
      throw IoError(fmt::format("{}: '{}' has shape ({}), expected ({}) by the architecture", model.file(),
                                entry.name, fmt::join(model.extents(entry.name), ", "),
                                fmt::join(expected, ", ")));
    store.set(store.find(entry.name), std::vector<double>(values.begin(), values.end()));
  }
}

/// Every size that decides on memory, held against the initialisers before it is taken.
void check_sizes(const OnnxModel& model, const std::string& architecture) {
  const json a = json::parse(architecture);
  const auto features = static_cast<std::int64_t>(a.at("base").at("mean").size());
  const auto categories = static_cast<std::int64_t>(a.at("layout").at("values").size());
  const json& proposal = a.at("proposals").at(0);
  const json& energy = a.at("energy");
  const auto size = [](const json& of, const char* key) { return of.at(key).get<std::int64_t>(); };
  const auto expect = [&](const std::string& name, const GraphExtents& expected) {
    if (const GraphExtents& found = model.extents(name); found != expected)
      throw IoError(fmt::format("{}: '{}' has shape ({}), expected ({}) by the architecture", model.file(),
                                name, fmt::join(found, ", "), fmt::join(expected, ", ")));
  };
  const auto at_most = [&](std::int64_t count, const char* what) {
    if (count < 0 || count > static_cast<std::int64_t>(model.initialisers().size()))
      throw IoError(fmt::format("{}: {} {} do not fit {} initialisers", model.file(), count, what,
                                model.initialisers().size()));
  };
  const std::int64_t hidden = size(proposal, "hidden"), mixture = 3 * size(proposal, "components");
  if (proposal.at("kind").get<std::string>() == "gru") {
    expect("gru.weight_hh", {hidden, 3 * hidden});
    expect("token.scale", {features, size(proposal, "embedding")});
    expect("head.mixture", {hidden, mixture});
  } else {
    expect("input.linear.weight", {4 * features + categories, hidden});
    expect("mixture.weight", {hidden, mixture * features});
    at_most(size(proposal, "blocks"), "blocks");
  }
  expect("energy.output.weight", {size(energy, "hidden"), 1});
  at_most(size(energy, "blocks"), "blocks of the energy network");
  at_most(size(energy, "depth"), "layers in its blocks");
}

FittedEmshap read(const OnnxModel& model, EmshapOnnxInfo* info) {
  FittedEmshap result;
  result.space = FeatureSpace::from_json(model.metadata("feature_space"));
  check_hash(model, "the feature space has", result.space.hash(), "feature_space_hash");
  check_names(model, result.space.input_names(), "features");
  check_names(model, result.space.feature_names(), "model_features");

  const std::string& architecture = model.metadata("architecture");
  check_hash(model, "the model was made for a feature space of", architecture_space_hash(architecture),
             "feature_space_hash");
  check_sizes(model, architecture);
  result.model = make_emshap_model(architecture);
  check_fit(result.space, result.model->proposal().layout());
  if (auto* proposal = dynamic_cast<TrainableProposal*>(&result.model->proposal()))
    read_parameters(model, proposal->store());
  if (result.model->energy() != nullptr) read_parameters(model, result.model->energy()->store());
  check_hash(model, "the weights have", weights_hash(*result.model), "weights_hash");

  result.proposal = model.metadata("proposal");
  result.energy_used = truth(model, "energy_used");
  result.energy_gain = number<double>(model, "energy_gain");
  result.seed = number<std::uint64_t>(model, "seed");
  result.model->use_energy(result.energy_used);
  if (info != nullptr) {
    info->more.clear();
    for (const auto& [key, value] : model.metadata())
      if (!own_keys.contains(key)) info->more.emplace(key, value);
  }
  return result;
}

}  // namespace

FittedEmshap load_emshap_onnx(const OnnxModel& model, EmshapOnnxInfo* info) {
  const auto kind = model.metadata().find("model");
  if (kind == model.metadata().end() || kind->second != "emshap")
    throw IoError(fmt::format("{}: is no EmSHAP model written by emshap; its metadata 'model' is {}",
                              model.file(),
                              kind == model.metadata().end() ? "missing" : "'" + kind->second + "'"));
  try {
    return read(model, info);
  } catch (const std::exception& error) {  // whatever cannot be read, it is the file's fault
    const std::string text = error.what();
    if (text.starts_with(model.file())) throw IoError(text);
    throw IoError(fmt::format("{}: its metadata cannot be used: {}", model.file(), text));
  }
}

FittedEmshap load_emshap_onnx(const std::filesystem::path& path, EmshapOnnxInfo* info) {
  return load_emshap_onnx(OnnxModel::load(path), info);
}

}  // namespace emshap::io
