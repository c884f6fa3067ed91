#pragma once
#include "common/app.h"

namespace emshap::app {

/// Adds `emshap_train power`.
void add_train_power(App& app);

}  // namespace emshap::app
