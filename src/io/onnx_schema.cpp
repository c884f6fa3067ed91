#include "emshap/io/onnx_schema.h"

#include <onnx/onnx_pb.h>

namespace emshap::io {
std::int64_t linked_onnx_ir_version() {
  return onnx::Version::IR_VERSION;
}
}  // namespace emshap::io
