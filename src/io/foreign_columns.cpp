#include "io/foreign_columns.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "emshap/core/error.h"

namespace emshap::io::foreign {
namespace {

constexpr std::int64_t most_columns = 1 << 20;

std::int64_t list_size(const onnx::NodeProto& node, const char* name) {
  for (const auto& a : node.attribute())
    if (a.name() == name) return a.floats_size();
  return 0;
}

std::int64_t number(const onnx::NodeProto& node, const char* name, std::int64_t otherwise) {
  for (const auto& a : node.attribute())
    if (a.name() == name) return a.i();
  return otherwise;
}

/// How many columns a node expects of its first input, 0 where it does not say.
std::int64_t expected_columns(const ForeignGraph& graph, const onnx::NodeProto& node) {
  const std::string& op = node.op_type();
  const auto extent = [&](int input, std::size_t rank, std::size_t axis) -> std::int64_t {
    if (input >= node.input_size()) return 0;
    const auto found = graph.initialisers.find(node.input(input));
    return found == graph.initialisers.end() || found->second->dims.size() != rank
               ? 0
               : found->second->dims[axis];
  };
  if (op == "MatMul") return extent(1, 2, 0);
  if (op == "Gemm") return extent(1, 2, number(node, "transB", 0) != 0 ? 1 : 0);
  if (op == "BatchNormalization") return extent(1, 1, 0);
  if (op == "Scaler") {
    const std::int64_t size = std::max(list_size(node, "offset"), list_size(node, "scale"));
    return size > 1 ? size : 0;
  }
  if (op == "LinearRegressor")
    return list_size(node, "coefficients") / std::max<std::int64_t>(1, number(node, "targets", 1));
  if (op == "LinearClassifier")
    return list_size(node, "coefficients") / std::max<std::int64_t>(1, list_size(node, "intercepts"));
  if (op == "Sub" || op == "Div" || op == "Add" || op == "Mul") {
    const std::int64_t size = std::max(extent(1, 1, 0), extent(1, 2, 1));
    return size > 1 ? size : 0;
  }
  return 0;
}

std::int64_t deduced_columns(const ForeignGraph& graph, const std::string& input) {
  std::set<std::string> same{input};  // values that are the input itself
  for (const auto& node : graph.message.graph().node()) {
    if (node.input_size() == 0 || !same.contains(node.input(0))) continue;
    if (node.op_type() == "Cast" || node.op_type() == "Identity") {
      if (node.output_size() == 1) same.insert(node.output(0));
    } else if (const std::int64_t columns = expected_columns(graph, node); columns > 0) {
      return columns;
    }
  }
  return 0;
}

/// Metadata "features", which emshap's own files have.
std::vector<std::string> names_in_metadata(const ForeignGraph& graph) {
  const auto found = graph.metadata.find("features");
  if (found == graph.metadata.end()) return {};
  const auto json = nlohmann::json::parse(found->second, nullptr, false);
  if (!json.is_array()) return {};
  std::vector<std::string> names;
  for (const auto& entry : json) {
    if (!entry.is_string()) return {};
    names.push_back(entry.get<std::string>());
  }
  return names;
}

std::string quoted(const std::vector<std::string>& names) {
  constexpr std::size_t most = 12;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i)
    text += fmt::format("{}'{}'", i == 0 ? "" : ", ", names[i]);
  return names.size() > most ? text + fmt::format(" ... ({} in all)", names.size()) : text;
}

}  // namespace

Columns columns_of(const ForeignGraph& graph, const OnnxPredictorOptions& options) {
  Columns columns;
  if (graph.inputs.empty()) throw IoError(fmt::format("{}: has no inputs", graph.file));
  const std::vector<std::string> metadata = names_in_metadata(graph);
  std::int64_t total = 0;
  for (const GraphInput& input : graph.inputs) {
    std::int64_t width = input.has_shape ? 1 : -1;
    if (input.has_shape && input.dims.empty())
      throw IoError(
          fmt::format("{}: input '{}' is a single number, expected a batch of rows", graph.file, input.name));
    if (input.dims.size() == 1 && input.dims[0] > 1)
      throw IoError(fmt::format("{}: input '{}' takes {} numbers without a batch axis, expected (N, columns)",
                                graph.file, input.name, input.dims[0]));
    for (std::size_t axis = 1; axis < input.dims.size(); ++axis) {
      const std::int64_t extent = input.dims[axis];
      if (extent < 0 && input.dims.size() > 2)
        throw IoError(
            fmt::format("{}: input '{}' has open extents besides the batch", graph.file, input.name));
      width = extent < 0 || extent > most_columns ? extent : width * extent;
      if (width > most_columns)
        throw IoError(fmt::format("{}: input '{}' takes {} columns, expected at most {}", graph.file,
                                  input.name, width, most_columns));
    }
    if (width < 0 && graph.inputs.size() > 1)
      width = 1;  // one input per column, as exporters of data frames do
    else if (width < 0 && !options.columns.empty())
      width = static_cast<std::int64_t>(options.columns.size());
    else if (width < 0 && !metadata.empty())
      width = static_cast<std::int64_t>(metadata.size());
    else if (width < 0)
      width = deduced_columns(graph, input.name);
    if (width < 1)
      throw ConfigError(
          fmt::format("{}: does not say how many columns it takes; give the columns' names", graph.file));
    columns.widths.push_back(width);
    total += width;
    if (total > most_columns)
      throw IoError(fmt::format("{}: takes more than {} columns", graph.file, most_columns));
  }
  std::vector<std::string> own;
  if (static_cast<std::int64_t>(metadata.size()) == total)
    own = metadata;
  else if (graph.inputs.size() > 1 && total == static_cast<std::int64_t>(graph.inputs.size()))
    for (const GraphInput& input : graph.inputs) own.push_back(input.name);

  columns.names = options.columns.empty() ? own : options.columns;
  if (!options.columns.empty() && static_cast<std::int64_t>(options.columns.size()) != total)
    throw ConfigError(fmt::format("{}: takes {} columns, but {} are given: {}", graph.file, total,
                                  options.columns.size(), quoted(options.columns)));
  for (std::int64_t j = 0; j < total; ++j) columns.position.push_back(j);
  if (!options.columns.empty() && !own.empty() && own != options.columns)
    for (std::size_t j = 0; j < own.size(); ++j) {
      const auto found = std::find(options.columns.begin(), options.columns.end(), own[j]);
      if (found == options.columns.end())
        throw ConfigError(fmt::format("{}: takes a column '{}', which is not among those given: {}",
                                      graph.file, own[j], quoted(options.columns)));
      columns.position[j] = found - options.columns.begin();
    }
  return columns;
}

bool is_classifier(const ForeignGraph& graph) {
  for (const auto& output : graph.message.graph().output()) {
    const std::int32_t type = output.type().tensor_type().elem_type();
    if (output.type().has_sequence_type() || type == onnx::TensorProto::INT64 ||
        type == onnx::TensorProto::STRING)
      return true;
  }
  return false;
}

std::string output_of(const ForeignGraph& graph, const OnnxPredictorOptions& options) {
  std::vector<std::string> all, real;
  bool found = false;
  for (const auto& output : graph.message.graph().output()) {
    all.push_back(output.name());
    found = found || output.name() == options.output;
    // A sequence of maps is what ZipMap makes of probabilities.
    const std::int32_t type = output.type().tensor_type().elem_type();
    if (!output.type().has_tensor_type() || type == onnx::TensorProto::UNDEFINED ||
        type == onnx::TensorProto::FLOAT || type == onnx::TensorProto::DOUBLE)
      real.push_back(output.name());
    else if (output.name() == options.output)
      throw ConfigError(fmt::format("{}: output '{}' holds {}, expected real numbers", graph.file,
                                    output.name(), type_text(type)));
  }
  if (all.empty()) throw IoError(fmt::format("{}: has no outputs", graph.file));
  if (!options.output.empty()) {
    if (!found)
      throw ConfigError(
          fmt::format("{}: has no output '{}', only {}", graph.file, options.output, quoted(all)));
    return options.output;
  }
  if (real.empty())
    throw ConfigError(fmt::format("{}: none of the outputs {} holds real numbers", graph.file, quoted(all)));
  if (real.size() > 1)
    throw ConfigError(fmt::format("{}: has several outputs, name one of {}", graph.file, quoted(real)));
  return real[0];
}

}  // namespace emshap::io::foreign
