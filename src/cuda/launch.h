#pragma once
// The only place that starts kernels: nothing for zero blocks, 64-bit counts, every launch is checked.
#include <cstdint>
#include <cstdlib>

#include "cuda/check.h"
#include "emshap/core/context.h"

namespace emshap::cuda {

/// Threads of a block of pointwise kernels, and the most blocks: beyond, threads loop with the stride of the
/// grid.
inline constexpr int pointwise_threads = 256;
inline constexpr std::int64_t pointwise_most_blocks = 8192;

inline std::int64_t pointwise_blocks(std::int64_t elements) {
  const std::int64_t blocks = (elements + pointwise_threads - 1) / pointwise_threads;
  return blocks < pointwise_most_blocks ? blocks : pointwise_most_blocks;
}

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
