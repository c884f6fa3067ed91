#include "emshap/core/error.h"
#include "stream/store_engine.h"

namespace emshap::stream {

std::unique_ptr<StoreEngine> open_postgres(const std::string&, const StoreOptions&) {
  throw ConfigError("store: PostgreSQL was not built in (libpq was not found)");
}

}  // namespace emshap::stream
