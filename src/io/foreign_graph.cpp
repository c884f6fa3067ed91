#include "io/foreign_graph.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>

#include <bit>
#include <cstring>
#include <set>

#include "emshap/core/error.h"

namespace emshap::io::foreign {
namespace {

using Type = onnx::TensorProto;
static_assert(std::endian::native == std::endian::little, "raw_data of a TensorProto is little-endian");

constexpr std::int64_t oldest_ir = 3, newest_ir = 13, newest_opset = 23, newest_ml_opset = 5;
constexpr std::int64_t most_elements = std::int64_t{1} << 28;

void check_versions(ForeignGraph& graph) {
  const onnx::ModelProto& model = graph.message;
  const std::string& file = graph.file;
  if (!model.has_ir_version() || !model.has_graph())
    throw IoError(fmt::format("{}: not an ONNX model, or one that was cut", file));
  if (model.ir_version() < oldest_ir || model.ir_version() > newest_ir)
    throw IoError(fmt::format("{}: has ONNX IR version {}, expected {} to {}", file, model.ir_version(),
                              oldest_ir, newest_ir));
  for (const auto& opset : model.opset_import()) {
    const std::string domain = opset.domain() == "ai.onnx" ? std::string() : opset.domain();
    const std::int64_t newest = domain.empty() ? newest_opset : newest_ml_opset;
    if ((domain.empty() || domain == "ai.onnx.ml") && (opset.version() < 1 || opset.version() > newest))
      throw IoError(fmt::format("{}: uses opset {} of {}, expected 1 to {}", file, opset.version(),
                                domain.empty() ? "ONNX" : domain, newest));
    graph.opsets[domain] = opset.version();
  }
  if (graph.opsets.empty())
    throw IoError(fmt::format("{}: names no operator set; the file is cut or not a model", file));
}

template <class T, class Field>
std::vector<T> unpack(const onnx::TensorProto& tensor, const Field& field, std::int64_t count,
                      const std::string& what) {
  std::vector<T> values;
  if (tensor.has_raw_data()) {
    if (tensor.raw_data().size() != n(count) * sizeof(T))
      throw IoError(fmt::format("{} holds {} bytes, expected {}", what, tensor.raw_data().size(),
                                n(count) * sizeof(T)));
    values.resize(n(count));
    if (count > 0) std::memcpy(values.data(), tensor.raw_data().data(), tensor.raw_data().size());
  } else {
    if (field.size() != count)
      throw IoError(fmt::format("{} holds {} values, expected {}", what, field.size(), count));
    values.reserve(n(count));
    for (const auto& value : field) values.push_back(static_cast<T>(value));
  }
  return values;
}

/// Integers of `Stored` bits and truth values.
template <class Stored, class T>
std::vector<T> widened(const onnx::TensorProto& tensor, std::int64_t count, const std::string& what) {
  const auto stored = unpack<Stored>(tensor, tensor.int32_data(), count, what);
  std::vector<T> values(stored.begin(), stored.end());
  if constexpr (std::is_same_v<T, std::uint8_t>)
    for (T& value : values) value = value != 0;
  return values;
}

void read_inputs(ForeignGraph& graph) {
  std::set<std::string> seen;
  for (const auto& info : graph.message.graph().input()) {
    if (graph.initialisers.contains(info.name())) continue;
    if (info.name().empty() || !seen.insert(info.name()).second)
      throw IoError(fmt::format("{}: has two inputs named '{}'", graph.file, info.name()));
    GraphInput input{info.name(), Type::UNDEFINED, false, {}};
    if (info.type().has_tensor_type()) {
      const auto& type = info.type().tensor_type();
      input.type = type.elem_type();
      input.has_shape = type.has_shape();
      for (const auto& dim : type.shape().dim())
        input.dims.push_back(dim.has_dim_value() && dim.dim_value() > 0 ? dim.dim_value() : -1);
    }
    graph.inputs.push_back(std::move(input));
  }
}

void read_nodes(ForeignGraph& graph) {
  std::set<std::string> names;
  for (const GraphInput& input : graph.inputs) names.insert(input.name);
  for (const auto& [name, value] : graph.initialisers) names.insert(name);
  for (const auto& node : graph.message.graph().node())
    for (const std::string& name : node.output()) {
      if (name.empty()) continue;
      if (!names.insert(name).second)
        throw IoError(fmt::format("{}: the value '{}' is made twice", graph.file, name));
      graph.makers[name] = &node;
    }
}

}  // namespace

std::string domain_of(const onnx::NodeProto& node) {
  return node.domain() == "ai.onnx" ? std::string() : node.domain();
}

std::string describe(const onnx::NodeProto& node) {
  std::string op = node.op_type();
  if (const std::string domain = domain_of(node); !domain.empty()) op = domain + "." + op;
  if (!node.name().empty()) return fmt::format("node '{}' ({})", node.name(), op);
  return fmt::format("the node that makes '{}' ({})", node.output_size() > 0 ? node.output(0) : "", op);
}

std::string type_text(std::int32_t type) {
  if (type == Type::FLOAT) return "float32";
  if (type == Type::DOUBLE) return "float64";
  std::string name = onnx::TensorProto::DataType_IsValid(type)
                         ? onnx::TensorProto::DataType_Name(static_cast<Type::DataType>(type))
                         : fmt::format("type {}", type);
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return name;
}

bool element_of_type(std::int32_t type, Element* element) {
  switch (type) {
    case Type::FLOAT:
      *element = Element::f32;
      return true;
    case Type::DOUBLE:
      *element = Element::f64;
      return true;
    case Type::INT64:
    case Type::INT32:
    case Type::INT16:
    case Type::INT8:
    case Type::UINT8:
      *element = Element::i64;
      return true;
    case Type::BOOL:
      *element = Element::boolean;
      return true;
    case Type::STRING:
      *element = Element::string;
      return true;
    default:
      return false;
  }
}

Constant constant_of(const onnx::TensorProto& tensor, const std::string& what) {
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL || tensor.external_data_size() > 0)
    throw IoError(what + " is kept in another file, expected its values in the ONNX file");
  Constant constant;
  std::int64_t count = 1;
  for (const std::int64_t extent : tensor.dims()) {
    if (extent < 0) throw IoError(fmt::format("{} has a negative extent, {}", what, extent));
    constant.dims.push_back(extent);
    if (extent > most_elements || count * extent > most_elements)
      throw IoError(what + " is larger than an ONNX file can be");
    count *= extent;
  }
  switch (tensor.data_type()) {
    case Type::FLOAT:
      constant.data = unpack<float>(tensor, tensor.float_data(), count, what);
      break;
    case Type::DOUBLE:
      constant.data = unpack<double>(tensor, tensor.double_data(), count, what);
      break;
    case Type::INT64:
      constant.data = unpack<std::int64_t>(tensor, tensor.int64_data(), count, what);
      break;
    case Type::INT32:
      constant.data = widened<std::int32_t, std::int64_t>(tensor, count, what);
      break;
    case Type::INT16:
      constant.data = widened<std::int16_t, std::int64_t>(tensor, count, what);
      break;
    case Type::INT8:
      constant.data = widened<std::int8_t, std::int64_t>(tensor, count, what);
      break;
    case Type::UINT8:
      constant.data = widened<std::uint8_t, std::int64_t>(tensor, count, what);
      break;
    case Type::BOOL:
      constant.data = widened<std::uint8_t, std::uint8_t>(tensor, count, what);
      break;
    case Type::STRING: {
      if (tensor.string_data_size() != count)
        throw IoError(
            fmt::format("{} holds {} strings, expected {}", what, tensor.string_data_size(), count));
      constant.data = std::vector<std::string>(tensor.string_data().begin(), tensor.string_data().end());
      break;
    }
    default:
      throw IoError(fmt::format("{} holds {}, expected float32, float64, integers, bool or strings", what,
                                type_text(tensor.data_type())));
  }
  return constant;
}

std::unique_ptr<ForeignGraph> ForeignGraph::parse(std::string_view bytes, const std::string& file) {
  auto graph = std::make_unique<ForeignGraph>();
  graph->file = file;
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    throw IoError(
        fmt::format("{}: has {} bytes, expected an ONNX file of less than 2 GiB", file, bytes.size()));
  onnx::ModelProto& model = graph->message;
  if (bytes.empty() || !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    throw IoError(fmt::format("{}: not an ONNX file, or one that was cut ({} bytes)", file, bytes.size()));
  check_versions(*graph);
  graph->producer = model.producer_name();
  if (!model.producer_version().empty()) graph->producer += " " + model.producer_version();
  if (model.graph().sparse_initializer_size() > 0)
    throw IoError(fmt::format("{}: has sparse initialisers, expected dense ones", file));
  for (const auto& tensor : model.graph().initializer()) {
    auto constant = std::make_shared<Constant>(
        constant_of(tensor, fmt::format("{}: initialiser '{}'", file, tensor.name())));
    if (tensor.name().empty() || !graph->initialisers.emplace(tensor.name(), std::move(constant)).second)
      throw IoError(fmt::format("{}: has two initialisers named '{}'", file, tensor.name()));
  }
  read_inputs(*graph);
  read_nodes(*graph);
  for (const auto& entry : model.metadata_props()) graph->metadata[entry.key()] = entry.value();
  return graph;
}

std::int64_t ForeignGraph::fixed_rows() const {
  std::int64_t rows = 0;
  for (const GraphInput& input : inputs) {
    const std::int64_t own = input.dims.empty() ? -1 : input.dims[0];
    if (own < 1 || (rows > 0 && own != rows)) return 0;
    rows = own;
  }
  return rows;
}

std::vector<const onnx::NodeProto*> ForeignGraph::needed(const std::string& output) const {
  enum class Mark : std::uint8_t { open, done };
  std::map<const onnx::NodeProto*, Mark> marks;
  std::vector<const onnx::NodeProto*> order;
  struct Visit {
    const onnx::NodeProto* node;
    int next;
  };
  std::vector<Visit> stack;
  const auto enter = [&](const std::string& name, const onnx::NodeProto* reader) {
    if (name.empty() || initialisers.contains(name)) return;
    const auto maker = makers.find(name);
    if (maker == makers.end()) {
      for (const GraphInput& input : inputs)
        if (input.name == name) return;
      throw IoError(reader == nullptr ? fmt::format("{}: nothing makes the output '{}'", file, name)
                                      : fmt::format("{}: {} reads '{}', which nothing makes", file,
                                                    describe(*reader), name));
    }
    const auto [mark, fresh] = marks.emplace(maker->second, Mark::open);
    if (fresh)
      stack.push_back({maker->second, 0});
    else if (mark->second == Mark::open)
      throw IoError(fmt::format("{}: {} is part of a cycle", file, describe(*maker->second)));
  };
  enter(output, nullptr);
  while (!stack.empty()) {
    Visit& top = stack.back();
    if (top.next < top.node->input_size()) {
      const onnx::NodeProto* node = top.node;
      enter(node->input(top.next++), node);
    } else {
      marks[top.node] = Mark::done;
      order.push_back(top.node);
      stack.pop_back();
    }
  }
  return order;
}

}  // namespace emshap::io::foreign
