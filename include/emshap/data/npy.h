#pragma once
// NumPy's .npy files, version 1.0: little-endian float32, float64 and int32 in C order.
#include <filesystem>

#include "emshap/core/export.h"
#include "emshap/core/tensor.h"

namespace emshap {

/// Writes a contiguous CPU tensor, atomically. The header is padded to a multiple of 64 bytes.
EMSHAP_API void write_npy(const std::filesystem::path& path, ConstTensorView values);
/// Throws IoError for anything else than such a file of rank 0 to 4, or one that is too short or too long.
EMSHAP_API Tensor read_npy(const std::filesystem::path& path);

}  // namespace emshap
