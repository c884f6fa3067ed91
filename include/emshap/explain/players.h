#pragma once
// Players of the game: raw columns, or groups of them.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "emshap/core/tensor.h"
#include "emshap/explain/coalitions.h"

namespace emshap {

struct EMSHAP_API Players {
  std::vector<std::string> names;                  ///< (M)
  std::vector<std::vector<std::int64_t>> columns;  ///< (M): raw columns of each, ascending; disjoint
  std::int64_t inputs = 0;                         ///< D; columns that belong to nobody are always known

  std::int64_t size() const { return static_cast<std::int64_t>(names.size()); }
  /// (C, D) f32: 1 = known. Rows of coalitions [begin, begin + count).
  Tensor masks(const Coalitions& coalitions, std::int64_t begin, std::int64_t count) const;
  Tensor masks(const Coalitions& coalitions) const { return masks(coalitions, 0, coalitions.size()); }

  /// One player a column; those where `modelled` (D, or empty: all) is false belong to nobody.
  static Players single(const std::vector<std::string>& columns, const std::vector<bool>& modelled = {});
  /// {"group name": ["column", ...], ...}: a TOML file. Columns named in no group are players of their own.
  /// Throws ConfigError: unknown column, column in two groups, empty group, name used twice.
  static Players from_file(const std::filesystem::path& path, const std::vector<std::string>& columns,
                           const std::vector<bool>& modelled = {});
  /// Columns "x_lag1", "x_lag2" ... and "x" become one player "x".
  static Players by_lag(const std::vector<std::string>& columns, const std::vector<bool>& modelled = {});
};

}  // namespace emshap
