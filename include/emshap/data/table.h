#pragma once
// A table in memory: typed columns with roles, where it comes from, and what was left out of it.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/core/tensor.h"
#include "emshap/data/column.h"

namespace emshap {

/// What was left out or replaced for one reason in one column: how often, and the first places to look at.
struct Skipped {
  std::string reason;  ///< "missing target", "missing feature", "blank line"
  std::string column;  ///< empty when it concerns whole rows
  std::int64_t count = 0;
  std::vector<std::int64_t>
      places;  ///< the first 20: line numbers of a file (from 1), else source rows (from 0)
};

struct EMSHAP_API Provenance {
  std::string source;          ///< file name or other name for messages
  std::int64_t rows_read = 0;  ///< data rows of the source, before any were dropped
  std::string data_hash;       ///< of all cells of the source, independent of line endings, quotes and roles
  std::vector<Skipped> skipped;

  static constexpr std::size_t max_places = 20;
  void skip(std::string_view reason, std::string_view column, std::int64_t place, std::int64_t count = 1);
  std::int64_t skipped_count(std::string_view reason) const;
};

class EMSHAP_API Table {
 public:
  Table() = default;
  /// No rows. Throws DataError for two columns of one name.
  explicit Table(const std::vector<ColumnSpec>& schema);

  std::int64_t rows() const { return columns_.empty() ? 0 : columns_.front().size(); }
  std::vector<Column>& columns() { return columns_; }
  const std::vector<Column>& columns() const { return columns_; }
  std::vector<ColumnSpec> schema() const;

  const Column* find(std::string_view name) const;
  /// Throws DataError naming the source and near matches.
  const Column& column(std::string_view name) const;
  std::vector<const Column*> with_role(ColumnRole role) const;
  /// The only column of this role, or null. Throws DataError for several.
  const Column* only(ColumnRole role) const;
  /// Names of the features, in table order.
  std::vector<std::string> feature_names() const;

  /// Number of a row in its source, from 0 (data rows; a CSV header and blank lines do not count). Differs
  /// from `row` only when rows were dropped.
  std::int64_t source_row(std::int64_t row) const {
    return source_rows_.empty() ? row : source_rows_[static_cast<std::size_t>(row)];
  }
  /// The source row of each row; for readers that drop rows.
  void set_source_rows(Buffer<std::int64_t> source_rows) { source_rows_ = std::move(source_rows); }

  /// Appends the rows of a table of the same schema; provenance is left alone. Throws DataError.
  void append(const Table& other);
  /// A new table of these rows, in this order; keeps provenance and source rows.
  Table select(std::span<const std::int64_t> rows) const;
  void clear_rows();
  std::int64_t bytes() const;
  /// Hash of names, types, presence and values of the columns held (provenance().data_hash covers the whole
  /// source).
  std::string content_hash() const;

  Provenance& provenance() { return provenance_; }
  const Provenance& provenance() const { return provenance_; }

 private:
  std::vector<Column> columns_;
  Buffer<std::int64_t> source_rows_;
  Provenance provenance_;
};

/// Features of these names from raw rows (n, columns.size()) f32; NaN is a missing cell. Throws DataError for
/// another number of columns, or for infinity.
EMSHAP_API Table table_of(const std::vector<std::string>& columns, ConstTensorView rows);
/// Every row number 0..rows-1.
EMSHAP_API std::vector<std::int64_t> all_rows(const Table& table);
/// The feature columns of these rows in raw units: (rows.size(), F) float32, row-major, missing cells NaN.
EMSHAP_API Tensor raw_features(const Table& table, std::span<const std::int64_t> rows);
/// The target of these rows in raw units: (rows.size(), 1) float32. Throws DataError without a target column.
EMSHAP_API Tensor raw_target(const Table& table, std::span<const std::int64_t> rows);
/// `count` training rows (all of them when there are fewer), drawn without replacement, in ascending order.
EMSHAP_API std::vector<std::int64_t> background_rows(std::span<const std::int64_t> train, std::int64_t count,
                                                     std::uint64_t seed);

}  // namespace emshap
