#pragma once
#include "emshap/core/export.h"

namespace emshap {
EMSHAP_API const char* version();              ///< "0.1.0"
EMSHAP_API const char* build_configuration();  ///< one line: compiler, CPU levels, CUDA, io
}  // namespace emshap
