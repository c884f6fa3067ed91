#pragma once
// Reads an ONNX file: what it takes and gives, its metadata, initialisers and nodes. See
// onnx_run.h for running the graph.
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/data/graph_writer.h"

namespace emshap::io {

/// An input or output of the graph.
struct OnnxValue {
  std::string name;
  std::string type;  ///< "float32", "float64", "int64" ...
  GraphDims dims;
  std::string doc;
};

struct OnnxTensor {
  std::string name;
  std::string type;
  GraphExtents extents;
};

struct OnnxNode {
  std::string op_type, name;
  std::vector<std::string> inputs, outputs;
};

class EMSHAP_API OnnxModel {
 public:
  /// Throws IoError (data), one sentence with the file's name: missing, cut, corrupt, refused by ONNX's
  /// checker, an IR version or operator set this build does not know, or weights kept in other files.
  static OnnxModel load(const std::filesystem::path& path);
  /// The same from memory; `name` stands for the file in messages.
  static OnnxModel parse(std::string_view bytes, const std::string& name);

  const std::string& file() const { return file_; }
  std::int64_t ir_version() const { return ir_version_; }
  std::int64_t opset() const { return opset_; }
  const std::string& producer() const { return producer_; }  ///< "emshap 0.1.0"
  const std::string& graph_name() const { return graph_name_; }
  const std::string& doc() const { return doc_; }

  const std::vector<OnnxValue>& inputs() const { return inputs_; }
  const std::vector<OnnxValue>& outputs() const { return outputs_; }
  const std::vector<OnnxNode>& nodes() const { return nodes_; }  ///< of the main graph
  const std::vector<OnnxTensor>& initialisers() const { return initialisers_; }

  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Throws IoError (data) when the key is missing.
  const std::string& metadata(const std::string& key) const;

  bool has_initialiser(const std::string& name) const;
  /// Throws IoError (data) when there is none of this name.
  const GraphExtents& extents(const std::string& name) const;
  /// Row-major values. T = float, double or std::int64_t must be the stored type. Throws IoError (data).
  template <class T>
  std::vector<T> values(const std::string& name) const;

 private:
  OnnxModel() = default;
  struct Tensors;
  friend struct OnnxMessage;
  std::size_t find(const std::string& name) const;

  std::string file_, producer_, graph_name_, doc_;
  std::int64_t ir_version_ = 0, opset_ = 0;
  std::vector<OnnxValue> inputs_, outputs_;
  std::vector<OnnxNode> nodes_;
  std::vector<OnnxTensor> initialisers_;
  std::map<std::string, std::size_t> index_;  // of initialisers by name
  std::map<std::string, std::string> metadata_;
  std::shared_ptr<const Tensors> tensors_;  // the message, which holds the values
};

}  // namespace emshap::io
