#pragma once
// What --data and --where name: a CSV file or a feature store.
#include <memory>
#include <string>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/data/source.h"

namespace emshap::stream {

/// A StoreSource where is_store(location), else a CsvSource. `where`: see parse_row_filter. In a CSV file it
/// looks at the selection's time and node_id columns or else those named time (or timestamp) and node_id, and
/// rows that it leaves out are as if they were not there. Throws ConfigError for `where`, else as the sources
/// do.
EMSHAP_API std::unique_ptr<Source> open_source(const std::string& location, const ColumnSelection& selection,
                                               const std::string& where = {});
/// Names of the columns of a file or, without extra metrics, a store.
EMSHAP_API std::vector<std::string> column_names(const std::string& location);
/// Whether it says "extra.NAME", a column that a store has although column_names does not list it.
EMSHAP_API bool is_extra_column(const std::string& location, const std::string& column);
/// Whether there is something to open: a file, or a store, which is not asked.
EMSHAP_API bool may_be_there(const std::string& location);
/// A name for what is made of it: the file's without folder and extension, or the database's.
EMSHAP_API std::string data_name(const std::string& location);

}  // namespace emshap::stream
