#pragma once
// Aligned tables for a terminal or a log.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/core/export.h"

namespace emshap::report {

/// Columns that `text` (UTF-8) takes on a terminal: 2 for East Asian wide characters and emoji, 0 for
/// combining marks and control characters, 1 otherwise; an invalid byte counts 1.
EMSHAP_API std::int64_t display_width(std::string_view text);

/// `text` with invalid UTF-8 replaced by U+FFFD and control characters (line breaks included) by a space.
EMSHAP_API std::string printable(std::string_view text);

enum class Align { left, right };

/// Heading, rule, rows; columns two spaces apart, no trailing blanks.
///   part        rows     RMSE      R2
///   ----------  ----  -------  ------
///   test        1639  1.98123  0.9871
class EMSHAP_API TextTable {
 public:
  struct Column {
    std::string heading;
    Align align = Align::right;
  };
  explicit TextTable(std::vector<Column> columns);
  /// Throws ShapeError when the number of cells is not the number of columns.
  void add_row(std::vector<std::string> cells);
  std::string str() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Six significant digits, "nan" and "inf" spelled so, for table cells.
EMSHAP_API std::string format_number(double value);

}  // namespace emshap::report
