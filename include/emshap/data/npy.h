#pragma once
// NumPy's .npy files, version 1.0: little-endian float32, float64 and int32 in C order.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "emshap/core/export.h"
#include "emshap/core/tensor.h"

namespace emshap {

/// Writes a contiguous CPU tensor, atomically. The header is padded to a multiple of 64 bytes.
EMSHAP_API void write_npy(const std::filesystem::path& path, ConstTensorView values);
/// Throws IoError for anything else than such a file of rank 0 to 4, or one that is too short or too long.
EMSHAP_API Tensor read_npy(const std::filesystem::path& path);

/// The same kind of file, written a few rows at a time, their number known only at the end: float32, int32 or
/// int64 (T: float, std::int32_t, std::int64_t).
template <class T>
class EMSHAP_API NpyWriter {
 public:
  /// Of shape (rows, columns), or (rows) with 0 columns.
  NpyWriter(const std::filesystem::path& path, std::int64_t columns);
  ~NpyWriter();
  NpyWriter(NpyWriter&&) noexcept;

  /// Appends whole rows. Throws ShapeError for a part of a row, IoError (environment) when writing fails.
  void write(std::span<const T> values);
  /// Nothing is there before.
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap
