#pragma once
// CSV after RFC 4180, read and written as a stream.
//
// Read: quotes with doubled quotes and embedded line ends, LF or CRLF, a UTF-8 byte-order mark, a last line
// without its end; blanks around a cell are dropped, blank lines are skipped and counted. The first line
// names the columns. Numbers are read with std::from_chars: decimal point, no locale. A time cell is an
// integer, kept as it is, a decimal number of seconds or an ISO 8601 date or date-time (without zone: UTC),
// both kept as microseconds; one column holds one form. A quoted cell of a text column is never missing.
// Errors are DataError or IoError (exit code 3), "FILE line 7, column 'usr': 'abc' is not a number, ...": an
// unparsable or infinite number or one beyond float32, a row with too few or too many cells, an open quote at
// the end, a NUL byte, a repeated or empty column name, no header.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/data/source.h"

namespace emshap {

/// Which rows of a file are read, by time and host; the others are as if they were not there: they have no
/// number and do not count for the hash. A row whose time or host is missing, where it is looked at, is left
/// out.
struct CsvRowTest {
  std::string time, node_id;  ///< columns; empty: not looked at
  /// Unix seconds (fractions cut off; integers as they are) and host, 0 and "" where they are not looked at.
  std::function<bool(std::int64_t time, std::string_view node_id)> keep;
};

struct CsvOptions {
  char delimiter = ',';
  std::vector<std::string> missing{"", "NA", "NaN", "nan", "null", "NULL", "-"};
  std::size_t chunk_bytes = 1 << 20;  ///< text parsed at once
  CsvRowTest rows{};                  ///< without `keep`: all rows
};

/// Fills `buffer` with up to `capacity` bytes and returns how many; 0 at the end.
using ByteReader = std::function<std::size_t(char* buffer, std::size_t capacity)>;

class EMSHAP_API CsvSource : public Source {
 public:
  /// Opens the file and reads its header. Throws IoError for a file that cannot be read, DataError for a bad
  /// header or selection.
  CsvSource(const std::filesystem::path& path, const ColumnSelection& selection,
            const CsvOptions& options = {});
  /// The same over any bytes; `name` is for messages.
  CsvSource(std::string name, ByteReader reader, const ColumnSelection& selection,
            const CsvOptions& options = {});
  ~CsvSource() override;
  CsvSource(CsvSource&&) noexcept;

  const std::string& name() const override;
  const std::vector<ColumnSpec>& schema() const override;
  bool next(Chunk& chunk) override;
  const Provenance& provenance() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// read_all of a file.
EMSHAP_API Table read_csv(const std::filesystem::path& path, const ColumnSelection& selection,
                          const RowPolicy& policy = {}, const CsvOptions& options = {});
/// Names in the header of a file.
EMSHAP_API std::vector<std::string> csv_header(const std::filesystem::path& path,
                                               const CsvOptions& options = {});

/// Writes tables of one schema to one file, atomically. Numbers are the shortest text that reads back to the
/// same value; missing cells are empty (NA in a table of one column).
class EMSHAP_API CsvWriter {
 public:
  explicit CsvWriter(const std::filesystem::path& path, const CsvOptions& options = {});
  /// To any sink of text; commit() is then not needed.
  explicit CsvWriter(std::function<void(std::string_view)> sink, const CsvOptions& options = {});
  ~CsvWriter();
  CsvWriter(CsvWriter&&) noexcept;

  /// The first call also writes the header. Throws DataError when the schema changes, IoError when writing
  /// fails.
  void write(const Table& table);
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

EMSHAP_API void write_csv(const std::filesystem::path& path, const Table& table,
                          const CsvOptions& options = {});

}  // namespace emshap
