#pragma once
// Which rows of a store are read: --where "time >= 2025-01-01 and node_id = web-1".
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/core/export.h"

namespace emshap::stream {

/// All conditions hold together.
struct EMSHAP_API RowFilter {
  std::optional<std::int64_t> from;    ///< time >= from, Unix seconds
  std::optional<std::int64_t> until;   ///< time < until
  std::vector<std::string> nodes;      ///< one of these, sorted; empty: all
  std::vector<std::string> not_nodes;  ///< none of these, sorted; empty where `nodes` is not

  bool takes_time(std::int64_t time) const { return (!from || time >= *from) && (!until || time < *until); }
  bool takes_node(std::string_view node) const;
  bool by_time() const { return from || until; }
  bool by_node() const { return !nodes.empty() || !not_nodes.empty(); }
};

/// Conditions joined by "and": time >=, >, <, <=, = with Unix seconds or ISO 8601 (without zone: UTC),
/// node_id =, !=, "in (a, b)" or "not in (a, b)"; names and times with blanks in single or double quotes,
/// which are doubled inside. Empty text: all rows. Throws ConfigError naming the place, also for conditions
/// that no row can meet.
EMSHAP_API RowFilter parse_row_filter(const std::string& text);

/// A time as in parse_row_filter, in Unix seconds, rounded up to a whole one. Empty for other text.
EMSHAP_API std::optional<std::int64_t> parse_unix_seconds(std::string_view text);

}  // namespace emshap::stream
