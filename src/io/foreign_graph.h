#pragma once
// A foreign ONNX file as it was read: versions, inputs, outputs and initialisers checked, nothing compiled.
#include <onnx/onnx_pb.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/foreign_value.h"

namespace emshap::io::foreign {

struct GraphInput {
  std::string name;
  std::int32_t type = 0;  ///< TensorProto.DataType
  bool has_shape = false;
  Dims dims;  ///< -1 where the file gives no number
};

struct ForeignGraph {
  std::string file, producer;
  onnx::ModelProto message;
  std::map<std::string, std::int64_t> opsets;  ///< by domain, "" the default one
  std::vector<GraphInput> inputs;              ///< without initialisers
  std::map<std::string, std::shared_ptr<Constant>> initialisers;
  std::map<std::string, std::string> metadata;
  /// Nodes by their outputs' names.
  std::map<std::string, const onnx::NodeProto*> makers;

  /// Throws IoError (data), one sentence with `file`.
  static std::unique_ptr<ForeignGraph> parse(std::string_view bytes, const std::string& file);
  /// The batch size that all inputs are made for, 0 where it is open.
  std::int64_t fixed_rows() const;
  /// Nodes that `output` needs, each after those it reads. Throws IoError for a cycle or a value that nothing
  /// makes.
  std::vector<const onnx::NodeProto*> needed(const std::string& output) const;
};

/// "" for "ai.onnx".
std::string domain_of(const onnx::NodeProto& node);
/// "node 'a' (Gemm)", "a node without a name that makes 'y' (Gemm)".
std::string describe(const onnx::NodeProto& node);
/// "float32" for FLOAT.
std::string type_text(std::int32_t type);
/// Whether values of this type can be computed with, and as what.
bool element_of_type(std::int32_t type, Element* element);
/// The tensor's values. Throws IoError with a sentence that starts with `what`.
Constant constant_of(const onnx::TensorProto& tensor, const std::string& what);

}  // namespace emshap::io::foreign
