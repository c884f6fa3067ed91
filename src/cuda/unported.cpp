// Ops that have no CUDA kernel yet: none now. A new op may begin here: it throws and names itself, and the
// configure summary prints the list.
#include "core/mat.h"
#include "emshap/core/context.h"
#include "emshap/core/error.h"

#define EMSHAP_BACKEND cuda

// EMSHAP_UNPORTED(name, parameter types)
#define EMSHAP_UNPORTED(name, ...)                                        \
  template <>                                                             \
  void name<float>(__VA_ARGS__) {                                         \
    throw DeviceError(#name " has no CUDA kernel yet; use --device cpu"); \
  }

namespace emshap::cuda {

using In = Mat<const float>;
using Out = Mat<float>;

}  // namespace emshap::cuda
