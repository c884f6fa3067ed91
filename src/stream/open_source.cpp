#include "emshap/stream/open_source.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/data/csv.h"
#include "emshap/stream/feature_store.h"
#include "emshap/stream/store_source.h"

namespace emshap::stream {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<FeatureStore> open_to_read(const std::string& location) {
  StoreOptions options;
  options.create = false;
  options.read_only = true;
  return open_store(location, options);
}

/// The column of a CSV file that a condition means.
std::string column_for(const std::string& location, const std::string& chosen,
                       std::initializer_list<const char*> usual, const std::string& where) {
  const std::vector<std::string> header = csv_header(location);
  const auto has = [&](const std::string& name) {
    return std::find(header.begin(), header.end(), name) != header.end();
  };
  if (!chosen.empty()) return chosen;
  for (const char* name : usual)
    if (has(name)) return name;
  throw ConfigError(
      fmt::format("{} has no column {}, which the condition '{}' needs", location, *usual.begin(), where));
}

CsvOptions csv_options(const std::string& location, const ColumnSelection& selection,
                       const std::string& where) {
  CsvOptions options;
  RowFilter filter = parse_row_filter(where);
  if (filter.by_time())
    options.rows.time = column_for(location, selection.time, {"time", "timestamp"}, where);
  if (filter.by_node()) options.rows.node_id = column_for(location, selection.node_id, {"node_id"}, where);
  if (filter.by_time() || filter.by_node())
    options.rows.keep = [filter = std::move(filter)](std::int64_t time, std::string_view node) {
      return filter.takes_time(time) && filter.takes_node(node);
    };
  return options;
}

}  // namespace

std::unique_ptr<Source> open_source(const std::string& location, const ColumnSelection& selection,
                                    const std::string& where) {
  if (is_store(location)) {
    RowFilter filter = parse_row_filter(where);
    return std::make_unique<StoreSource>(open_to_read(location), without_password(location), selection,
                                         std::move(filter));
  }
  return std::make_unique<CsvSource>(fs::path(location), selection, csv_options(location, selection, where));
}

std::vector<std::string> column_names(const std::string& location) {
  return is_store(location) ? store_columns() : csv_header(location);
}

bool is_extra_column(const std::string& location, const std::string& column) {
  return column.starts_with("extra.") && is_store(location);
}

bool may_be_there(const std::string& location) {
  return is_store(location) || fs::exists(location);
}

std::string data_name(const std::string& location) {
  if (!is_store(location) || location.starts_with("sqlite:") || location.find("//") == std::string::npos)
    return fs::path(location.starts_with("sqlite:") ? location.substr(7) : location).stem().string();
  const std::string path = location.substr(0, location.find('?'));
  const std::size_t begin = path.find("//") + 2, slash = path.find('/', begin);
  const bool named = slash != std::string::npos && slash + 1 < path.size();
  return named ? path.substr(slash + 1) : "postgresql";
}

}  // namespace emshap::stream
