#pragma once
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/data/csv.h"

namespace emshap {

/// The bytes of a file as they come; after the end it looks again when it is asked again, so that a file that
/// grows can be followed. `expected`: what the message of a folder asks for, "a CSV file". Throws IoError
/// (data).
inline ByteReader open_bytes(const std::filesystem::path& path, const char* expected) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    throw IoError(fmt::format("{}: this is a folder, expected {}", path.string(), expected));
  std::FILE* raw = std::fopen(path.c_str(), "rb");
  if (raw == nullptr)
    throw IoError(fmt::format("{}: cannot be opened for reading: {}", path.string(), std::strerror(errno)));
  std::setvbuf(raw, nullptr, _IONBF, 0);
  const std::shared_ptr<std::FILE> file(raw, [](std::FILE* f) { std::fclose(f); });
  return [file, name = path.string()](char* buffer, std::size_t capacity) {
    std::clearerr(file.get());
    const std::size_t got = std::fread(buffer, 1, capacity, file.get());
    if (got == 0 && std::ferror(file.get()) != 0)
      throw IoError(fmt::format("{}: reading failed: {}", name, std::strerror(errno)));
    return got;
  };
}

}  // namespace emshap
