#include "emshap/data/graph_writer.h"

#include "emshap/core/error.h"

namespace emshap {

GraphWriter::~GraphWriter() = default;

GraphValue GraphWriter::op(std::string_view op_type, const GraphValues& inputs,
                           const GraphAttributes& attributes, std::string_view name) {
  return node(op_type, inputs, 1, attributes, name).front();
}

GraphValue GraphWriter::cast(const GraphValue& value, GraphType type) {
  return op("Cast", {value}, {{"to", graph_type_number(type)}});
}

GraphValue GraphWriter::scalar(float value) {
  return unnamed_constant({}, std::span<const float>(&value, 1));
}
GraphValue GraphWriter::scalar(double value) {
  return unnamed_constant({}, std::span<const double>(&value, 1));
}

GraphValue GraphWriter::integers(const std::vector<std::int64_t>& values) {
  return unnamed_constant({static_cast<std::int64_t>(values.size())}, std::span<const std::int64_t>(values));
}

std::int64_t graph_type_number(GraphType type) {
  switch (type) {  // onnx.proto, TensorProto.DataType
    case GraphType::f32:
      return 1;
    case GraphType::i64:
      return 7;
    case GraphType::boolean:
      return 9;
    case GraphType::f64:
      return 11;
  }
  throw Error(ErrorKind::internal, "graph_type_number: unknown element type");
}

}  // namespace emshap
