#pragma once
// Cuts a stream of bytes into records and cells (RFC 4180), in a buffer of fixed size that grows only for a
// record that does not fit.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/data/csv.h"

namespace emshap {

/// One cell, valid until the next record; blanks around it and its quotes are gone.
struct CsvCell {
  std::string_view text;
  bool quoted = false;
};

class CsvScanner {
 public:
  /// Throws ConfigError for a delimiter that cannot work.
  CsvScanner(std::string name, ByteReader reader, const CsvOptions& options);

  /// The next record that is not a blank line; false at the end. Throws DataError.
  bool next(std::vector<CsvCell>& cells);
  /// Line on which the last record starts, from 1.
  std::int64_t line() const { return record_line_; }
  /// Bytes taken so far.
  std::int64_t bytes() const { return bytes_; }
  const std::vector<std::int64_t>& blank_lines() const { return blank_lines_; }
  std::int64_t blank_line_count() const { return blank_count_; }
  const std::string& name() const { return name_; }

 private:
  static constexpr std::size_t max_record = std::size_t{16} << 20;
  enum class Outcome { record, more };
  Outcome scan(std::size_t& end, std::int64_t& line_ends);
  bool refill();
  void skip_mark();
  static std::string_view unescape(char* begin, char* end);
  [[noreturn]] void fail(std::int64_t line, const std::string& what) const;

  struct Raw {
    std::size_t begin, end;
    bool quoted, doubled;
  };
  std::string name_;
  ByteReader reader_;
  char delimiter_;
  std::vector<char> buffer_;  // one byte more than is read, for a sentinel
  std::size_t begin_ = 0, end_ = 0;
  bool at_end_ = false, started_ = false;
  bool special_[256] = {};  // ends the scan of a cell without quotes
  std::vector<Raw> raw_;
  std::int64_t line_ = 1, record_line_ = 1, bytes_ = 0, blank_count_ = 0;
  std::vector<std::int64_t> blank_lines_;
};

}  // namespace emshap
