#pragma once
// Checkpoint file: "EMSHAPCK", version, number of sections, then the sections (name, element kind, shape,
// bytes), and a 64-bit checksum over everything before it. All numbers little-endian. Written atomically.
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

inline constexpr std::uint32_t checkpoint_version = 1;

/// 64-bit checksum of a byte sequence, see data/hash.h.
EMSHAP_API std::uint64_t hash_bytes(const void* data, std::size_t bytes);
/// The hash of a file's content as 16 hexadecimal digits. Throws IoError.
EMSHAP_API std::string hash_file(const std::filesystem::path& path);

class EMSHAP_API CheckpointWriter {
 public:
  /// Adds a named section; names are unique. Tensors may live on any device and must be contiguous.
  void add(const std::string& name, ConstTensorView tensor);
  void add(const std::string& name, std::span<const std::int64_t> integers);
  void add(const std::string& name, std::span<const double> reals);
  void add(const std::string& name, std::string_view text);
  /// Throws IoError (environment) when the file cannot be written.
  void write(const std::filesystem::path& path) const;

 private:
  void section(const std::string& name, std::uint8_t kind, const Shape& shape, const void* data,
               std::size_t bytes);
  std::string body_;
  std::uint32_t count_ = 0;
  std::map<std::string, bool> names_;
};

/// The whole file in memory, checked. Every failure is an IoError (data) of one sentence that names the file.
class EMSHAP_API CheckpointReader {
 public:
  /// Throws IoError when the file is missing, truncated, damaged, of another format or of another version.
  explicit CheckpointReader(const std::filesystem::path& path);
  bool has(const std::string& name) const { return sections_.contains(name); }
  /// Copies a tensor section into `tensor` (any device). Throws IoError when it is missing or has another
  /// shape or type.
  void read(const std::string& name, TensorView tensor) const;
  std::vector<std::int64_t> integers(const std::string& name) const;
  std::vector<double> reals(const std::string& name) const;
  std::string text(const std::string& name) const;

 private:
  struct Section {
    std::uint8_t kind;
    Shape shape;
    std::size_t offset, bytes;
  };
  const Section& find(const std::string& name, std::uint8_t kind) const;
  std::string path_, content_;
  std::map<std::string, Section> sections_;
};

}  // namespace emshap
