#pragma once
// The rows that emshap_explain explains.
#include <cstdint>
#include <string>
#include <vector>

#include "emshap/core/tensor.h"
#include "emshap/data/table.h"
#include "emshap/explain/attribution_run.h"
#include "explain_models.h"

namespace emshap::app {

/// See the options of the same names.
struct RowChoice {
  std::string data, where, target, rows, part, split_file;
};

struct ExplainRows {
  Table table;                        ///< all rows of the data
  std::vector<std::int64_t> rows;     ///< (n) of the table, in the order of the results
  std::vector<std::int64_t> numbers;  ///< (n): their rows in the source, from 0
  Tensor raw;                         ///< (n, D) f32, missing values NaN
  std::vector<float> actual;          ///< (n) or empty: the target, NaN where it is missing
  std::string part;                   ///< "test", or empty

  const Column* time() const { return table.only(ColumnRole::time); }
  const Column* node() const { return table.only(ColumnRole::node_id); }
  /// Time and node of the i-th row, where the data have them, and its actual value.
  std::vector<ResultColumn> columns() const;
};

/// Numbers 0..count-1 chosen by a text such as "0:100", "7", "3,10:20,90:"; an end is not part of its range
/// and may lie beyond the last row. Throws ConfigError.
std::vector<std::int64_t> parse_rows(const std::string& text, std::int64_t count);

/// Throws DataError, IoError for data that cannot be read or lack a column, DataError naming the row for a
/// value that the density model cannot do without, ConfigError for rows that are not there.
ExplainRows read_explain_rows(const RowChoice& choice, const ExplainModels& models, ProgressSink& sink);

}  // namespace emshap::app
