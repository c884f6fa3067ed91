#pragma once
// Which rows of a store are read: --where "time >= 2025-01-01 and node_id = web-1".
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "emshap/core/export.h"

namespace emshap::stream {

/// All conditions hold together.
struct RowFilter {
  std::optional<std::int64_t> from;    ///< time >= from, Unix seconds
  std::optional<std::int64_t> until;   ///< time < until
  std::vector<std::string> nodes;      ///< one of these; empty: all
  std::vector<std::string> not_nodes;  ///< none of these
};

/// Conditions joined by "and": time >=, >, <, <=, = with Unix seconds or ISO 8601 (without zone: UTC),
/// node_id =, != or "in (a, b)"; names with blanks in single or double quotes. Empty text: all rows. Throws
/// ConfigError naming the place.
EMSHAP_API RowFilter parse_row_filter(const std::string& text);

}  // namespace emshap::stream
