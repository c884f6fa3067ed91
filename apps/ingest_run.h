#pragma once
// What emshap_ingest does by itself: from a topic or a file into a store.
#include "common/app.h"

namespace emshap::app {

/// Adds `run`, which is also what happens without a subcommand.
void add_run_command(App& app);

}  // namespace emshap::app
