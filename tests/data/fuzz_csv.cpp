// The property that fuzzing checks, and libFuzzer's entry point:
//   clang++ -std=c++20 -fsanitize=fuzzer,address -Iinclude -Isrc -Itests tests/data/fuzz_csv.cpp
//   src/data/*.cpp ...
// The same property runs without libFuzzer in test_fuzz_csv.cpp.
#include "fuzz_csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "emshap/core/error.h"
#include "emshap/data/csv.h"

namespace emshap::test {
namespace {

CsvSource open(const std::string& text, const ColumnSelection& selection, const CsvOptions& options,
               std::size_t piece) {
  ByteReader reader = [&text, piece, at = std::size_t{0}](char* buffer, std::size_t capacity) mutable {
    const std::size_t count = std::min({capacity, piece, text.size() - at});
    std::memcpy(buffer, text.data() + at, count);
    at += count;
    return count;
  };
  return CsvSource("f.csv", std::move(reader), selection, options);
}

struct Outcome {
  bool ok = false;
  std::string message;  // of the error
  std::string content, data_hash;
  Table table;
};

Outcome read(const std::string& text, const ColumnSelection& selection, const CsvOptions& options,
             std::size_t piece) {
  Outcome outcome;
  try {
    CsvSource source = open(text, selection, options, piece);
    outcome.table = read_all(source);
    outcome.content = outcome.table.content_hash();
    outcome.data_hash = outcome.table.provenance().data_hash;
    outcome.ok = true;
  } catch (const Error& e) {
    outcome.message = e.what();
  }
  return outcome;
}

// An error of kind data that names the file, and the line unless it is about the file as a whole.
bool good_message(const std::string& text) {
  if (text.rfind("f.csv", 0) != 0 || text.size() > 2000) return false;
  return text.rfind("f.csv line ", 0) == 0 || text.find("no column '") != std::string::npos ||
         text.find("is named as") != std::string::npos ||
         text.find("is left as a feature") != std::string::npos ||
         text.find("no data rows") != std::string::npos;
}

}  // namespace

std::string fuzz_csv_once(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  // The first byte chooses roles and sizes, so that one corpus covers them all.
  const unsigned char shape = text.empty() ? 0 : static_cast<unsigned char>(text[0]);
  if (!text.empty()) text.erase(0, 1);
  ColumnSelection selection;
  if ((shape & 1) != 0) selection.group = "g";
  if ((shape & 2) != 0) selection.time = "t";
  if ((shape & 4) != 0) selection.target = "y";
  CsvOptions options;
  options.chunk_bytes = 1 << 14;
  if ((shape & 8) != 0) options.delimiter = ';';
  try {
    const Outcome whole = read(text, selection, options, 1 << 20);
    if (!whole.ok && !good_message(whole.message))
      return fmt::format("a message without a place: {}", whole.message);
    CsvOptions small = options;
    small.chunk_bytes = 1 + (shape >> 4);
    const Outcome pieces = read(text, selection, small, static_cast<std::size_t>(1 + (shape >> 5)));
    if (pieces.ok != whole.ok || pieces.content != whole.content || pieces.data_hash != whole.data_hash)
      return fmt::format("small pieces are read differently: {} | {}", whole.message, pieces.message);
    if (!whole.ok) return "";
    std::string written;
    CsvWriter writer([&](std::string_view part) { written += part; }, options);
    writer.write(whole.table);
    ColumnSelection again = selection;
    again.features = whole.table.feature_names();
    const Outcome back = read(written, again, options, 1 << 20);
    if (!back.ok) return fmt::format("what was written cannot be read: {}", back.message);
    if (back.content != whole.content) return "what was written reads as another table";
  } catch (const std::exception& e) {
    return fmt::format("an exception that is no emshap::Error: {}", e.what());
  }
  return "";
}

}  // namespace emshap::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string wrong = emshap::test::fuzz_csv_once(data, size);
  if (!wrong.empty()) {
    std::fprintf(stderr, "%s\n", wrong.c_str());
    std::abort();
  }
  return 0;
}
