#include "emshap/io/onnx_model.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <onnx/onnx_pb.h>

#include <bit>
#include <cstring>
#include <limits>
#include <set>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/io/graph_builder.h"
#include "emshap/io/onnx_schema.h"
#include "io/onnx_check.h"
#include "io/onnx_message.h"

namespace emshap::io {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data of a TensorProto is little-endian");

constexpr std::int64_t oldest_ir_version = 4;  // from 4 on initialisers need not be inputs

/// "float32" for FLOAT: numpy's names, which users see in every other tool.
std::string type_name(std::int32_t type) {
  switch (type) {
    case onnx::TensorProto::FLOAT:
      return "float32";
    case onnx::TensorProto::DOUBLE:
      return "float64";
    default:
      break;
  }
  std::string name = onnx::TensorProto::DataType_IsValid(type)
                         ? onnx::TensorProto::DataType_Name(static_cast<onnx::TensorProto::DataType>(type))
                         : fmt::format("type {}", type);
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return name;
}

/// Bytes of one element of the types whose values can be read, else 0.
std::size_t element_bytes(std::int32_t type) {
  switch (type) {
    case onnx::TensorProto::FLOAT:
      return 4;
    case onnx::TensorProto::DOUBLE:
    case onnx::TensorProto::INT64:
      return 8;
    default:
      return 0;
  }
}

std::size_t typed_field_size(const onnx::TensorProto& tensor) {
  switch (tensor.data_type()) {
    case onnx::TensorProto::FLOAT:
      return static_cast<std::size_t>(tensor.float_data_size());
    case onnx::TensorProto::DOUBLE:
      return static_cast<std::size_t>(tensor.double_data_size());
    default:
      return static_cast<std::size_t>(tensor.int64_data_size());
  }
}

OnnxValue value_of(const onnx::ValueInfoProto& info) {
  OnnxValue value{info.name(), type_name(info.type().tensor_type().elem_type()), {}, info.doc_string()};
  for (const auto& dim : info.type().tensor_type().shape().dim()) {
    if (dim.has_dim_value())
      value.dims.emplace_back(static_cast<std::int64_t>(dim.dim_value()));
    else
      value.dims.emplace_back(dim.dim_param());
  }
  return value;
}

/// Refuses values in other files, in initialisers and in attributes of nodes at any depth (which protobuf
/// bounds).
void refuse_external(const onnx::GraphProto& graph, const std::string& file) {
  const auto refuse = [&](const onnx::TensorProto& tensor) {
    if (tensor.data_location() == onnx::TensorProto::EXTERNAL || tensor.external_data_size() > 0)
      throw IoError(
          fmt::format("{}: the values of '{}' are kept in another file, expected them in the ONNX file", file,
                      tensor.name()));
  };
  for (const auto& tensor : graph.initializer()) refuse(tensor);
  for (const auto& node : graph.node())
    for (const auto& attribute : node.attribute()) {
      if (attribute.has_t()) refuse(attribute.t());
      for (const auto& tensor : attribute.tensors()) refuse(tensor);
      if (attribute.has_g()) refuse_external(attribute.g(), file);
      for (const auto& body : attribute.graphs()) refuse_external(body, file);
    }
}

/// The shape, after checking that exactly as many values are stored as it says.
GraphExtents checked_extents(const onnx::TensorProto& tensor, const std::string& file) {
  GraphExtents extents(tensor.dims().begin(), tensor.dims().end());
  const auto fail = [&](const std::string& what) {
    throw IoError(fmt::format("{}: initialiser '{}' of shape ({}) {}", file, tensor.name(),
                              fmt::join(extents, ", "), what));
  };
  constexpr std::uint64_t most = std::numeric_limits<std::int32_t>::max();  // a message holds less than 2 GiB
  std::uint64_t count = 1;
  for (const std::int64_t extent : extents) {
    if (extent < 0) fail("has a negative extent");
    count *= static_cast<std::uint64_t>(extent);  // both below 2^32 where the test below passed
    if (static_cast<std::uint64_t>(extent) > most || count > most) fail("is larger than an ONNX file can be");
  }
  const std::size_t width = element_bytes(tensor.data_type());
  if (width == 0) return extents;
  const std::size_t stored =
      tensor.has_raw_data() ? tensor.raw_data().size() : typed_field_size(tensor) * width;
  if (stored != count * width) fail(fmt::format("holds {} bytes, expected {}", stored, count * width));
  return extents;
}

void check_versions(const onnx::ModelProto& model, const std::string& file) {
  if (!model.has_ir_version() || !model.has_graph())
    throw IoError(fmt::format("{}: not an ONNX model, or one that was cut", file));
  if (model.ir_version() < oldest_ir_version || model.ir_version() > onnx_ir_version)
    throw IoError(fmt::format("{}: has ONNX IR version {}, expected {} to {}", file, model.ir_version(),
                              oldest_ir_version, onnx_ir_version));
  if (model.opset_import_size() == 0)
    throw IoError(fmt::format("{}: names no operator set; the file is cut or not a model", file));
  for (const auto& opset : model.opset_import()) {
    if (!opset.domain().empty() && opset.domain() != "ai.onnx")
      throw IoError(fmt::format("{}: uses the operator domain '{}', expected standard ONNX operators only",
                                file, opset.domain()));
    if (opset.version() < 1 || opset.version() > onnx_opset)
      throw IoError(
          fmt::format("{}: uses ONNX opset {}, expected 1 to {}", file, opset.version(), onnx_opset));
  }
}

}  // namespace

OnnxModel OnnxModel::load(const std::filesystem::path& path) {
  return parse(read_file(path), path.string());
}

OnnxModel OnnxModel::parse(std::string_view bytes, const std::string& name) {
  auto tensors = std::make_shared<Tensors>();
  onnx::ModelProto& message = tensors->model;
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    throw IoError(
        fmt::format("{}: has {} bytes, expected an ONNX file of less than 2 GiB", name, bytes.size()));
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    throw IoError(fmt::format("{}: not an ONNX file, or one that was cut ({} bytes)", name, bytes.size()));
  check_versions(message, name);
  refuse_external(message.graph(), name);

  OnnxModel model;
  model.file_ = name;
  model.ir_version_ = message.ir_version();
  model.opset_ = message.opset_import(0).version();
  model.producer_ = message.producer_name();
  if (!message.producer_version().empty()) model.producer_ += " " + message.producer_version();
  model.graph_name_ = message.graph().name();
  model.doc_ = message.doc_string();

  for (const auto& tensor : message.graph().initializer()) {
    if (!model.index_.emplace(tensor.name(), model.initialisers_.size()).second)
      throw IoError(fmt::format("{}: has two initialisers named '{}'", name, tensor.name()));
    model.initialisers_.push_back(
        {tensor.name(), type_name(tensor.data_type()), checked_extents(tensor, name)});
  }
  if (const std::string complaint = check_onnx(message); !complaint.empty())
    throw IoError(fmt::format("{}: not a valid ONNX model: {}", name, complaint));

  for (const auto& info : message.graph().input())
    if (!model.index_.contains(info.name())) model.inputs_.push_back(value_of(info));
  for (const auto& info : message.graph().output()) model.outputs_.push_back(value_of(info));
  for (const auto& node : message.graph().node())
    model.nodes_.push_back({node.op_type(),
                            node.name(),
                            {node.input().begin(), node.input().end()},
                            {node.output().begin(), node.output().end()}});
  for (const auto& entry : message.metadata_props()) model.metadata_[entry.key()] = entry.value();
  if (message.producer_name() == "emshap") {
    const std::string expected = std::to_string(message.metadata_props_size());
    if (model.metadata_[metadata_count_key] != expected)
      throw IoError(
          fmt::format("{}: has {} metadata entries where its first says '{}'; the file is cut or was edited",
                      name, expected, model.metadata_[metadata_count_key]));
  }
  model.tensors_ = std::move(tensors);
  return model;
}

const std::string& OnnxModel::metadata(const std::string& key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end())
    throw IoError(fmt::format("{}: has no metadata '{}', which a model written by emshap has", file_, key));
  return found->second;
}

bool OnnxModel::has_initialiser(const std::string& name) const {
  return index_.contains(name);
}

std::size_t OnnxModel::find(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) throw IoError(fmt::format("{}: has no initialiser '{}'", file_, name));
  return found->second;
}

const GraphExtents& OnnxModel::extents(const std::string& name) const {
  return initialisers_[find(name)].extents;
}

template <class T>
std::vector<T> OnnxModel::values(const std::string& name) const {
  const std::size_t index = find(name);
  const onnx::TensorProto& tensor = tensors_->model.graph().initializer(static_cast<int>(index));
  constexpr std::int32_t wanted = std::is_same_v<T, float>    ? onnx::TensorProto::FLOAT
                                  : std::is_same_v<T, double> ? onnx::TensorProto::DOUBLE
                                                              : onnx::TensorProto::INT64;
  if (tensor.data_type() != wanted)
    throw IoError(fmt::format("{}: initialiser '{}' holds {}, expected {}", file_, name,
                              initialisers_[index].type, type_name(wanted)));
  std::vector<T> values;
  if (tensor.has_raw_data()) {
    values.resize(tensor.raw_data().size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), tensor.raw_data().data(), values.size() * sizeof(T));
  } else if constexpr (std::is_same_v<T, float>) {
    values.assign(tensor.float_data().begin(), tensor.float_data().end());
  } else if constexpr (std::is_same_v<T, double>) {
    values.assign(tensor.double_data().begin(), tensor.double_data().end());
  } else {
    values.assign(tensor.int64_data().begin(), tensor.int64_data().end());
  }
  return values;
}

template EMSHAP_API std::vector<float> OnnxModel::values<float>(const std::string&) const;
template EMSHAP_API std::vector<double> OnnxModel::values<double>(const std::string&) const;
template EMSHAP_API std::vector<std::int64_t> OnnxModel::values<std::int64_t>(const std::string&) const;

}  // namespace emshap::io
