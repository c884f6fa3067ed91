#include "emshap/core/error.h"
#include "stream/store_impl.h"

namespace emshap::stream {

std::unique_ptr<FeatureStore> open_store(const std::string& location, const StoreOptions& options) {
  if (location.starts_with("postgresql://") || location.starts_with("postgres://"))
    return std::make_unique<EngineStore>(open_postgres(location, options), options.repeated);
  constexpr std::string_view prefix = "sqlite:";
  const std::string path = location.starts_with(prefix) ? location.substr(prefix.size()) : location;
  // Not shown as it is: it may hold a password.
  if (const std::size_t end = path.find("://"); end != std::string::npos && path.find('/') > end)
    throw ConfigError("store: '" + path.substr(0, end) +
                      "://' is not known; expected postgresql:// or the path of an SQLite file");
  if (path.empty()) throw ConfigError("store: its location is empty; expected a file or a PostgreSQL URL");
  return std::make_unique<EngineStore>(open_sqlite(path, options), options.repeated);
}

}  // namespace emshap::stream
