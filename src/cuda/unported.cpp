// Ops that have no CUDA kernel yet. Each throws and names itself; the configure summary prints the list.
#include "core/mat.h"
#include "emshap/core/context.h"
#include "emshap/core/error.h"

#define EMSHAP_BACKEND cuda
#include "ops/draw_step_backend.h"

// EMSHAP_UNPORTED(name, parameter types)
#define EMSHAP_UNPORTED(name, ...)                                        \
  template <>                                                             \
  void name<float>(__VA_ARGS__) {                                         \
    throw DeviceError(#name " has no CUDA kernel yet; use --device cpu"); \
  }

namespace emshap::cuda {

using In = Mat<const float>;
using Out = Mat<float>;

EMSHAP_UNPORTED(draw_from_state, Context&, In, const float*, double, In, In, const float*, In, In,
                const float*, const float*, float*, float*, std::int64_t)
EMSHAP_UNPORTED(advance_state, Context&, In, const float*, const float*, In, const std::int32_t*, In,
                const float*, Out)

}  // namespace emshap::cuda
