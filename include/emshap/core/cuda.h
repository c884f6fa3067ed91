#pragma once
#include <string>

#include "emshap/core/export.h"

namespace emshap {

/// Empty when cuda:`index` can be used; else one sentence that says why not and what to do: no CUDA in the
/// build, no driver or one that is too old, no such device, or a device for which the build has no code.
EMSHAP_API std::string why_not_cuda(int index = 0);

}  // namespace emshap
