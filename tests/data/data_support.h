#pragma once
// Shared by the tests of data: CSV from text, files in a folder of their own, what an error says.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "emshap/core/error.h"
#include "emshap/data/csv.h"

namespace emshap::test {

/// Reads text as CSV, handing out at most `piece` bytes at a time.
inline CsvSource csv_source(const std::string& text, const ColumnSelection& selection,
                            CsvOptions options = {}, std::size_t piece = 1 << 20) {
  ByteReader reader = [text, piece, at = std::size_t{0}](char* buffer, std::size_t capacity) mutable {
    const std::size_t count = std::min({capacity, piece, text.size() - at});
    std::memcpy(buffer, text.data() + at, count);
    at += count;
    return count;
  };
  return CsvSource("t.csv", std::move(reader), selection, options);
}

inline Table csv_table(const std::string& text, const ColumnSelection& selection,
                       const RowPolicy& policy = {}, const CsvOptions& options = {}) {
  CsvSource source = csv_source(text, selection, options);
  return read_all(source, policy);
}

/// The message of the Error that `body` throws; its kind must be `kind`. Fails the test when none is thrown.
template <class Body>
std::string error_text(ErrorKind kind, const Body& body) {
  try {
    body();
  } catch (const Error& e) {
    CHECK(static_cast<int>(e.kind()) == static_cast<int>(kind));
    return e.what();
  }
  FAIL_CHECK("no error was thrown");
  return "";
}

#define CHECK_SAYS(text, part)                          \
  CHECK_MESSAGE((text).find(part) != std::string::npos, \
                "\"" << (text) << "\" does not say \"" << (part) << "\"")

/// A folder that is removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "emshap-data-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace emshap::test
