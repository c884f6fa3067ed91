#include "emshap/io/graph_builder.h"

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include <bit>
#include <unordered_map>
#include <unordered_set>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/core/version.h"
#include "emshap/io/onnx_schema.h"
#include "io/onnx_check.h"

namespace emshap::io {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data of a TensorProto is little-endian");

[[noreturn]] void misuse(const std::string& what) {
  throw Error(ErrorKind::internal, "GraphBuilder: " + what);
}

template <class T>
constexpr GraphType graph_type_of() {
  if constexpr (std::is_same_v<T, float>) return GraphType::f32;
  if constexpr (std::is_same_v<T, double>) return GraphType::f64;
  return GraphType::i64;
}

void set_value_info(onnx::ValueInfoProto& info, const std::string& name, GraphType type,
                    const GraphDims& dims) {
  info.set_name(name);
  auto& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(static_cast<std::int32_t>(graph_type_number(type)));
  auto& shape = *tensor.mutable_shape();  // present even when empty: a scalar
  for (const GraphDim& dim : dims) {
    auto& entry = *shape.add_dim();
    if (const auto* extent = std::get_if<std::int64_t>(&dim.value()))
      entry.set_dim_value(*extent);
    else
      entry.set_dim_param(std::get<std::string>(dim.value()));
  }
}

/// Values that become outputs of the main graph take the output's name, here and in bodies that capture them.
void rename(onnx::GraphProto& graph, const std::unordered_map<std::string, std::string>& names) {
  const auto apply = [&](std::string& name) {
    if (const auto found = names.find(name); found != names.end()) name = found->second;
  };
  for (auto& node : *graph.mutable_node()) {
    for (auto& name : *node.mutable_input()) apply(name);
    for (auto& name : *node.mutable_output()) apply(name);
    for (auto& attribute : *node.mutable_attribute())
      if (attribute.has_g()) rename(*attribute.mutable_g(), names);
  }
}

using Bodies = std::vector<std::unique_ptr<onnx::GraphProto>>;

/// Writes one attribute; a body moves out of `bodies`.
struct AttributeValue {
  onnx::AttributeProto& attribute;
  Bodies& bodies;

  void operator()(std::int64_t value) const {
    attribute.set_type(onnx::AttributeProto::INT);
    attribute.set_i(value);
  }
  void operator()(float value) const {
    attribute.set_type(onnx::AttributeProto::FLOAT);
    attribute.set_f(value);
  }
  void operator()(const std::string& value) const {
    attribute.set_type(onnx::AttributeProto::STRING);
    attribute.set_s(value);
  }
  void operator()(const std::vector<std::int64_t>& values) const {
    attribute.set_type(onnx::AttributeProto::INTS);
    for (const std::int64_t value : values) attribute.add_ints(value);
  }
  void operator()(const std::vector<float>& values) const {
    attribute.set_type(onnx::AttributeProto::FLOATS);
    for (const float value : values) attribute.add_floats(value);
  }
  void operator()(const std::vector<std::string>& values) const {
    attribute.set_type(onnx::AttributeProto::STRINGS);
    for (const std::string& value : values) attribute.add_strings(value);
  }
  void operator()(const GraphBody& body) const {
    const auto index = static_cast<std::size_t>(body.id);
    if (body.id < 0 || index >= bodies.size() || bodies[index] == nullptr)
      misuse(fmt::format("the body in attribute '{}' does not exist or was used before", attribute.name()));
    attribute.set_type(onnx::AttributeProto::GRAPH);
    *attribute.mutable_g() = std::move(*bodies[index]);
    bodies[index].reset();
  }
};

}  // namespace

struct GraphBuilder::State {
  onnx::ModelProto model;
  std::unordered_set<std::string> names;                      // of values, over all graphs
  std::unordered_set<std::string> keys;                       // of metadata
  std::unordered_map<std::string, std::string> output_names;  // value -> name of the main graph's output
  Bodies bodies;                                              // each null once it is used
};

struct GraphBuilder::Frame {
  onnx::GraphProto* graph = nullptr;
  bool main = true;
  std::vector<std::string> scopes;
  std::unordered_set<std::string> node_values;  // results of nodes of this graph, not yet outputs
};

GraphBuilder::GraphBuilder(std::string name, std::string doc)
    : state_(std::make_shared<State>()), frame_(std::make_unique<Frame>()) {
  onnx::ModelProto& model = state_->model;
  model.set_ir_version(onnx_ir_version);
  model.set_producer_name("emshap");
  model.set_producer_version(version());
  model.set_doc_string(doc);
  auto& opset = *model.add_opset_import();
  opset.set_domain("");
  opset.set_version(onnx_opset);
  frame_->graph = model.mutable_graph();
  frame_->graph->set_name(std::move(name));
}

GraphBuilder::GraphBuilder(std::shared_ptr<State> state, std::unique_ptr<Frame> frame)
    : state_(std::move(state)), frame_(std::move(frame)) {}
GraphBuilder::~GraphBuilder() = default;

void GraphBuilder::push_scope(std::string_view name) {
  const std::string outer = frame_->scopes.empty() ? "" : frame_->scopes.back();
  frame_->scopes.push_back(outer + std::string(name) + ".");
}

void GraphBuilder::pop_scope() {
  if (frame_->scopes.empty()) misuse("pop_scope without push_scope");
  frame_->scopes.pop_back();
}

std::string GraphBuilder::unique_name(std::string_view hint) {
  const std::string stem = (frame_->scopes.empty() ? "" : frame_->scopes.back()) + std::string(hint);
  std::string name = stem;
  for (int i = 2; !state_->names.insert(name).second; ++i) name = fmt::format("{}_{}", stem, i);
  return name;
}

GraphValue GraphBuilder::input(std::string_view name, GraphType type, const GraphDims& dims) {
  std::string full(name);
  if (!frame_->main)
    full = unique_name(name);
  else if (!state_->names.insert(full).second)
    misuse(fmt::format("the name '{}' of an input is taken", name));
  set_value_info(*frame_->graph->add_input(), full, type, dims);
  return {full};
}

void GraphBuilder::output(const GraphValue& value, std::string_view name, GraphType type,
                          const GraphDims& dims) {
  GraphValue source = value;
  // An output must be the result of a node of its own graph, and no two outputs the same one.
  if (frame_->node_values.erase(source.name) == 0) {
    source = op("Identity", {value}, {}, name);
    frame_->node_values.erase(source.name);
  }
  if (frame_->main) {
    if (source.name != name && !state_->names.insert(std::string(name)).second)
      misuse(fmt::format("the name '{}' of an output is taken", name));
    state_->output_names[source.name] = name;
    source.name = name;
  }
  set_value_info(*frame_->graph->add_output(), source.name, type, dims);
}

template <class T>
GraphValue GraphBuilder::add_constant(std::string name, const GraphExtents& extents,
                                      std::span<const T> values) {
  std::int64_t count = 1;
  for (const std::int64_t extent : extents) count *= extent;
  if (count != static_cast<std::int64_t>(values.size()))
    misuse(fmt::format("constant '{}' of shape ({}) has {} values, expected {}", name,
                       fmt::join(extents, ", "), values.size(), count));
  auto& tensor = *state_->model.mutable_graph()->add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(static_cast<std::int32_t>(graph_type_number(graph_type_of<T>())));
  for (const std::int64_t extent : extents) tensor.add_dims(extent);
  tensor.set_raw_data(values.data(), values.size_bytes());
  return {std::move(name)};
}

GraphValue GraphBuilder::constant(std::string_view name, const GraphExtents& extents,
                                  std::span<const float> values) {
  return add_constant(exact_name(name), extents, values);
}
GraphValue GraphBuilder::constant(std::string_view name, const GraphExtents& extents,
                                  std::span<const double> values) {
  return add_constant(exact_name(name), extents, values);
}
GraphValue GraphBuilder::constant(std::string_view name, const GraphExtents& extents,
                                  std::span<const std::int64_t> values) {
  return add_constant(exact_name(name), extents, values);
}
GraphValue GraphBuilder::unnamed_constant(const GraphExtents& extents, std::span<const float> values) {
  return add_constant(unique_name("constant"), extents, values);
}
GraphValue GraphBuilder::unnamed_constant(const GraphExtents& extents, std::span<const double> values) {
  return add_constant(unique_name("constant"), extents, values);
}
GraphValue GraphBuilder::unnamed_constant(const GraphExtents& extents, std::span<const std::int64_t> values) {
  return add_constant(unique_name("constant"), extents, values);
}

std::string GraphBuilder::exact_name(std::string_view name) {
  std::string full = (frame_->scopes.empty() ? "" : frame_->scopes.back()) + std::string(name);
  if (!state_->names.insert(full).second) misuse(fmt::format("the name '{}' of a constant is taken", full));
  return full;
}

GraphValues GraphBuilder::node(std::string_view op_type, const GraphValues& inputs, int outputs,
                               const GraphAttributes& attributes, std::string_view name) {
  for (const GraphValue& value : inputs)
    if (!value.name.empty() && !state_->names.contains(value.name))
      misuse(fmt::format("{} takes '{}', which is no value of this graph", op_type, value.name));
  auto& node = *frame_->graph->add_node();
  node.set_op_type(std::string(op_type));
  for (const GraphValue& value : inputs) node.add_input(value.name);
  GraphValues results;
  for (int i = 0; i < outputs; ++i) {
    results.push_back({unique_name(name.empty() ? op_type : name)});
    frame_->node_values.insert(results.back().name);
    node.add_output(results.back().name);
  }
  if (!results.empty()) node.set_name(results.front().name);
  for (const GraphAttribute& attribute : attributes) {
    auto& entry = *node.add_attribute();
    entry.set_name(attribute.name());
    std::visit(AttributeValue{entry, state_->bodies}, attribute.value());
  }
  return results;
}

GraphBody GraphBuilder::subgraph(std::string_view name, const std::function<void(GraphWriter&)>& build) {
  auto graph = std::make_unique<onnx::GraphProto>();
  auto frame = std::make_unique<Frame>();
  frame->graph = graph.get();
  frame->main = false;
  const std::string outer = frame_->scopes.empty() ? "" : frame_->scopes.back();
  graph->set_name(outer + std::string(name));
  frame->scopes.push_back(graph->name() + ".");
  GraphBuilder body(state_, std::move(frame));
  build(body);
  state_->bodies.push_back(std::move(graph));
  return {static_cast<std::int64_t>(state_->bodies.size()) - 1};
}

void GraphBuilder::metadata(std::string_view key, std::string_view value) {
  if (key == metadata_count_key || !state_->keys.emplace(key).second)
    misuse(fmt::format("the metadata key '{}' is taken", key));
  auto& entry = *state_->model.add_metadata_props();
  entry.set_key(std::string(key));
  entry.set_value(std::string(value));
}

void GraphBuilder::describe(std::string_view name, std::string_view text) {
  for (auto* values : {frame_->graph->mutable_input(), frame_->graph->mutable_output()})
    for (auto& value : *values)
      if (value.name() == name) {
        value.set_doc_string(std::string(text));
        return;
      }
  misuse(fmt::format("describe: '{}' is neither an input nor an output", name));
}

std::string GraphBuilder::bytes() const {
  onnx::ModelProto model = state_->model;
  rename(*model.mutable_graph(), state_->output_names);
  // The count comes first: see metadata_count_key.
  model.clear_metadata_props();
  auto& count = *model.add_metadata_props();
  count.set_key(metadata_count_key);
  count.set_value(std::to_string(state_->model.metadata_props_size() + 1));
  model.mutable_metadata_props()->MergeFrom(state_->model.metadata_props());

  if (const std::string complaint = check_onnx(model); !complaint.empty())
    misuse(fmt::format("the graph '{}' is not valid: {}", model.graph().name(), complaint));
  return serialize(model);
}

void GraphBuilder::save(const std::filesystem::path& path) const {
  write_file_atomically(path, bytes());
}

}  // namespace emshap::io
