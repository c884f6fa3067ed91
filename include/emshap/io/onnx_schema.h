#pragma once
// Which ONNX this build writes.
#include <cstdint>

#include "emshap/core/export.h"

namespace emshap::io {
inline constexpr std::int64_t onnx_opset = 17;
inline constexpr std::int64_t onnx_ir_version = 8;
/// Version of the libonnx schema that was linked, e.g. its newest IR version.
EMSHAP_API std::int64_t linked_onnx_ir_version();
}  // namespace emshap::io
