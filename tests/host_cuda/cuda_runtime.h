#pragma once
// What nvcc knows by itself, for kernels that are compiled as C++: see executor.h.
#include <type_traits>

#include "cuda_runtime_api.h"
#include "executor.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__ __restrict
// There is no __shared__: it would not be poisoned. Kernels take emshap::cuda::shared_memory().

#define threadIdx (::emshap::host_cuda::thread().index)
#define blockIdx (::emshap::host_cuda::thread().block)
#define blockDim (::emshap::host_cuda::thread().threads)
#define gridDim (::emshap::host_cuda::thread().blocks)

inline void __syncthreads() {
  emshap::host_cuda::block_barrier();
}
inline int __syncthreads_or(int predicate) {
  return emshap::host_cuda::block_any(predicate != 0) ? 1 : 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  emshap::host_cuda::warp_barrier(mask);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int lane) {
  return emshap::host_cuda::shuffle(mask, value, lane & 31);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes) {
  return emshap::host_cuda::shuffle(mask, value, emshap::host_cuda::lane() ^ lanes);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by) {
  const int from = emshap::host_cuda::lane() + static_cast<int>(by);
  return emshap::host_cuda::shuffle(mask, value, from < 32 ? from : emshap::host_cuda::lane());
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by) {
  const int from = emshap::host_cuda::lane() - static_cast<int>(by);
  return emshap::host_cuda::shuffle(mask, value, from >= 0 ? from : emshap::host_cuda::lane());
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return emshap::host_cuda::ballot(mask, predicate != 0);
}

template <class T>
inline T __ldg(const T* at) {
  return *at;
}

inline int __popc(unsigned bits) {
  return __builtin_popcount(bits);
}

// Integer atomics: the fibers of a block share one processor thread, so plain reads and writes do.
template <class T, class U>
T atomicAdd(T* at, U value) {
  static_assert(std::is_integral_v<T>, "no float atomics: their sums depend on the order");
  const T before = *at;
  *at = static_cast<T>(before + static_cast<T>(value));
  return before;
}
template <class T, class U>
T atomicMax(T* at, U value) {
  static_assert(std::is_integral_v<T>);
  const T before = *at;
  if (static_cast<T>(value) > before) *at = static_cast<T>(value);
  return before;
}

/// Position of the lowest set bit, counted from 1; 0 for none.
inline int __ffs(int bits) {
  return __builtin_ffs(bits);
}
