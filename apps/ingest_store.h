#pragma once
// emshap_ingest inspect, prune and export: what is in a store, removing what is old, copies of it.
#include "common/app.h"

namespace emshap::app {

void add_store_commands(App& app);

}  // namespace emshap::app
