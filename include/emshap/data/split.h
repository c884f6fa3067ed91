#pragma once
// Training, validation and test rows.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/data/table.h"

namespace emshap {

enum class SplitMode : std::uint8_t {
  row,    ///< rows in random order
  time,   ///< by the time column: training first, test last; equal times stay in one part
  group,  ///< by the group column: whole groups in random order, fractions met as nearly as groups allow
};
/// Parses "row", "time" or "group". Throws ConfigError.
EMSHAP_API SplitMode parse_split_mode(const std::string& text);
EMSHAP_API const char* to_string(SplitMode mode);

struct SplitOptions {
  SplitMode mode = SplitMode::row;
  double train = .7, validation = .1, test = .2;  ///< fractions of all rows, sum 1
  std::uint64_t seed = 42;
};

/// Table rows of each part, ascending.
struct Split {
  std::vector<std::int64_t> train, validation, test;
  SplitMode mode = SplitMode::row;
  std::uint64_t seed = 42;
};

/// Throws ConfigError for fractions outside [0, 1] or a sum other than 1; DataError when a part with a
/// fraction above zero would be empty (naming the counts), or the time or group column is absent or has
/// missing cells.
EMSHAP_API Split make_split(const Table& table, const SplitOptions& options);

/// Number of each row's part: 0 training, 1 validation, 2 test, 3 for rows of none.
EMSHAP_API std::vector<std::int32_t> parts_of(const Split& split, std::int64_t rows);

/// A comment line with the data hash, then `row,part`: source rows from 0 (see Table::source_row), ascending,
/// and train, validation or test. pandas reads it with comment="#".
EMSHAP_API void write_split(const std::filesystem::path& path, const Split& split, const Table& table);
/// Throws IoError for a file that is no split, DataError when `table` comes from other data (hash) or lacks a
/// row.
EMSHAP_API Split read_split(const std::filesystem::path& path, const Table& table);

}  // namespace emshap
