#pragma once
// The only place that starts kernels: nothing for zero blocks, 64-bit counts, every launch is checked.
#include <cstdint>
#include <cstdlib>

#include "cuda/check.h"
#include "emshap/core/context.h"
#include "math/launch_shape.h"

namespace emshap::cuda {

using math::pointwise_blocks;
using math::pointwise_threads;

/// EMSHAP_CUDA_SYNC=1 waits after each launch, so that an error is reported by the kernel that made it.
inline bool synchronous() {
  static const bool on = [] {
    const char* text = std::getenv("EMSHAP_CUDA_SYNC");
    return text != nullptr && text[0] == '1';
  }();
  return on;
}

/// Runs `kernel` on `blocks` blocks of `threads` threads of the context's stream.
template <class... Params, class... Args>
void launch(Context& ctx, const char* name, void (*kernel)(Params...), std::int64_t blocks, int threads,
            const Args&... args) {
  if (blocks == 0) return;
  check(cudaSetDevice(ctx.device().index), "cudaSetDevice");
  const auto stream = static_cast<cudaStream_t>(ctx.stream());
  kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), 0, stream>>>(args...);
  check(cudaGetLastError(), name);
  if (synchronous()) check(cudaStreamSynchronize(stream), name);
}

}  // namespace emshap::cuda
