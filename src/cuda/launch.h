#pragma once
// The only place that starts kernels: nothing for zero blocks, 64-bit counts, every launch is checked.
#include <cstdint>
#include <cstdlib>
#include <tuple>

#include <cuda_runtime.h>

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

struct Grid {
  std::int64_t blocks = 0;    ///< gridDim.x, up to 2^31 - 1
  int threads = 0;            ///< a block; a multiple of 32
  std::int64_t shared = 0;    ///< bytes of shared_memory() of a block
  std::int64_t blocks_y = 1;  ///< gridDim.y, up to 65,535
};

/// Shared memory of a block that it may ask for without being told.
inline constexpr std::int64_t plain_shared_bytes = 48 * 1024;

/// What a block of this device may have when it asks. Throws CudaError.
inline int block_shared_limit(int device) {
  int bytes = 0;
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
        "reading the shared memory of a block");
  return bytes;
}

/// Runs `kernel` on the context's stream. Throws CudaError.
template <class... Params, class... Args>
void launch(Context& ctx, const char* name, void (*kernel)(Params...), const Grid& grid,
            const Args&... args) {
  if (grid.blocks == 0 || grid.blocks_y == 0) return;
  check(cudaSetDevice(ctx.device().index), "cudaSetDevice");
  const auto address = reinterpret_cast<const void*>(kernel);
  if (grid.shared > plain_shared_bytes) {
    // The limit is the kernel's, not the launch's: other threads and captured steps rely on it, so it is
    // always the device's. How many blocks run side by side follows from what each launch asks for.
    check(cudaFuncSetAttribute(address, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               block_shared_limit(ctx.device().index)),
          name);
  }
  const auto stream = static_cast<cudaStream_t>(ctx.stream());
  const auto x = static_cast<unsigned>(grid.blocks), y = static_cast<unsigned>(grid.blocks_y),
             threads = static_cast<unsigned>(grid.threads);
  const auto shared = static_cast<std::size_t>(grid.shared);
#if defined(__CUDACC__)
  kernel<<<dim3(x, y), threads, shared, stream>>>(static_cast<Params>(args)...);
#else
  const std::tuple<Params...> copies(static_cast<Params>(args)...);
  host_cuda::launch(stream, name, address, {x, y, 1}, threads, shared,
                    [kernel, copies] { std::apply(kernel, copies); });
#endif
  check(cudaGetLastError(), name);
  if (synchronous()) check(cudaStreamSynchronize(stream), name);
}

/// The dynamic shared memory of a block, for kernels; 16-byte aligned.
template <class T>
__device__ inline T* shared_memory() {
#if defined(__CUDACC__)
  extern __shared__ __align__(16) unsigned char emshap_shared[];
  return reinterpret_cast<T*>(emshap_shared);
#else
  return static_cast<T*>(host_cuda::shared_memory());
#endif
}

}  // namespace emshap::cuda
