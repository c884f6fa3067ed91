#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "emshap/core/export.h"

namespace emshap {

/// Writes a file so that readers see the old content or all of the new one: temporary name in the same
/// folder, write, flush, fsync, rename, fsync of the folder. Without commit() the temporary file is removed.
/// Throws IoError (environment) naming the file and the reason, e.g. "No space left on device".
class EMSHAP_API AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Puts these bytes in the place of others that have been written.
  void overwrite(std::int64_t offset, std::string_view bytes);
  void commit();
  const std::filesystem::path& temporary_path() const { return temporary_; }

 private:
  void flush();
  [[noreturn]] void fail(const char* action, int error) const;
  std::filesystem::path path_, temporary_;
  std::string buffer_;
  int descriptor_ = -1;
};

/// AtomicFile in one call.
EMSHAP_API void write_file_atomically(const std::filesystem::path& path, std::string_view content);
/// The whole file. Throws IoError (data) naming the file.
EMSHAP_API std::string read_file(const std::filesystem::path& path);

}  // namespace emshap
