#pragma once
// Checks that need ONNX's own code; protobuf types, so private.
#include <onnx/onnx_pb.h>

#include <string>

namespace emshap::io {

/// Runs ONNX's checker and strict shape inference. Returns their complaint on one line, empty when there is
/// none.
std::string check_onnx(const onnx::ModelProto& model);

/// The same message always gives the same bytes. Throws Error (internal) beyond protobuf's limit of 2 GiB.
std::string serialize(const onnx::ModelProto& model);

}  // namespace emshap::io
