#pragma once
// What the CUDA backend keeps for a context, see Context::device_state().
#include <memory>

#include "emshap/core/context.h"

namespace emshap::cuda {

class Blas;

struct DeviceState {
  std::shared_ptr<Blas> blas;  ///< made by the first product
};

/// The state of a CUDA context, made at the first call.
inline DeviceState& device_state(Context& ctx) {
  auto& state = ctx.device_state();
  if (!state) state = std::make_shared<DeviceState>();
  return *state;
}

}  // namespace emshap::cuda
