#pragma once
// Sums over the threads of a warp and of a block, in an order that depends on the number of threads only.
#include "cuda/launch.h"

namespace emshap::cuda {

inline constexpr unsigned whole_warp = 0xffffffffu;

/// combine over the 32 lanes; every lane gets the result. combine must be commutative: all lanes then hold
/// the same bits.
template <class T, class Combine>
__device__ T warp_reduce(T value, const Combine& combine) {
  for (int lanes = math::warp_threads / 2; lanes > 0; lanes /= 2)
    value = combine(value, __shfl_xor_sync(whole_warp, value, lanes));
  return value;
}
template <class T>
__device__ T warp_sum(T value) {
  return warp_reduce(value, [](T a, T b) { return a + b; });
}
template <class T>
__device__ T warp_max(T value) {
  return warp_reduce(value, [](T a, T b) { return a > b ? a : b; });
}

/// combine over the threads of a block (a multiple of 32, at most 1024); every thread gets the result.
/// `slots`: 32 elements of shared memory, free again when the function returns.
template <class T, class Combine>
__device__ T block_reduce(T value, T* slots, T neutral, const Combine& combine) {
  const int lane = static_cast<int>(threadIdx.x) % math::warp_threads;
  const int warp = static_cast<int>(threadIdx.x) / math::warp_threads;
  const int warps = static_cast<int>(blockDim.x) / math::warp_threads;
  value = warp_reduce(value, combine);
  if (lane == 0) slots[warp] = value;
  __syncthreads();
  value = warp_reduce(lane < warps ? slots[lane] : neutral, combine);
  __syncthreads();
  return value;
}
template <class T>
__device__ T block_sum(T value, T* slots) {
  return block_reduce(value, slots, T(0), [](T a, T b) { return a + b; });
}

}  // namespace emshap::cuda
