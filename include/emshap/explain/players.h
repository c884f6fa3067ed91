#pragma once
// Players of the game: raw columns, or groups of them.
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/tensor.h"
#include "emshap/explain/coalitions.h"

namespace emshap {

/// Columns where `modelled` (D, or empty: all) is false are never unknown and belong to nobody; a group of
/// such columns alone is left out.
struct EMSHAP_API Players {
  std::vector<std::string> names;                  ///< (M)
  std::vector<std::vector<std::int64_t>> columns;  ///< (M): raw columns of each, ascending; disjoint
  std::int64_t inputs = 0;                         ///< D; columns that belong to nobody are always known

  std::int64_t size() const { return static_cast<std::int64_t>(names.size()); }
  /// (C, D) f32: 1 = known. Rows of coalitions [begin, begin + count). Throws ShapeError: coalitions of other
  /// players, rows that are not there.
  Tensor masks(const Coalitions& coalitions, std::int64_t begin, std::int64_t count) const;
  Tensor masks(const Coalitions& coalitions) const { return masks(coalitions, 0, coalitions.size()); }

  /// One player a column.
  static Players single(const std::vector<std::string>& columns, const std::vector<bool>& modelled = {});

  using Group = std::pair<std::string, std::vector<std::string>>;  ///< name, columns
  /// A player a group, in this order, then one for each column that no group names. Throws ConfigError:
  /// unknown column, column in two groups or twice in one, empty group, name used twice.
  static Players from_groups(const std::vector<Group>& groups, const std::vector<std::string>& columns,
                             const std::vector<bool>& modelled = {});
  /// The same for a TOML file of lines `"group name" = ["column", ...]`, groups ordered as in the file.
  /// Throws also IoError (the file cannot be read) and ConfigError (not such a file), Error (environment:
  /// built without toml++).
  static Players from_file(const std::filesystem::path& path, const std::vector<std::string>& columns,
                           const std::vector<bool>& modelled = {});
  /// Columns of one metric become one player of its name, at the place of the first; `metrics` (D): the
  /// metric of each column. Throws also ShapeError for another number of metrics.
  static Players by_metric(const std::vector<std::string>& columns, const std::vector<std::string>& metrics,
                           const std::vector<bool>& modelled = {});
  /// Columns "x", "x_lag1", "x_lag2" ... (or "x_lag_1") become one player "x", at the place of the first; a
  /// lag without companions keeps its own name.
  static Players by_lag(const std::vector<std::string>& columns, const std::vector<bool>& modelled = {});
};

}  // namespace emshap
