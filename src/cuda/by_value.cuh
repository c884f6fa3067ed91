#pragma once
// A few kilobytes of host memory for a kernel: they travel as arguments of small kernels that put them into
// the workspace. The host does not wait, the memory may change as soon as the call returns, and a captured
// step keeps what it was given. Arguments of a kernel are limited to 4 KiB by every driver.
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/launch.h"

namespace emshap::cuda {

struct ValueParcel {
  static constexpr std::int64_t most = 960;
  std::uint32_t word[most];
};

inline __global__ void by_value_kernel(ValueParcel parcel, std::int64_t count, std::uint32_t* to) {
  for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) to[i] = parcel.word[i];
}

/// The same elements on the device, valid until the enclosing scope of the workspace ends.
template <class T>
const T* by_value(Context& ctx, const T* host, std::int64_t count) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 4 == 0);
  T* const device = ctx.workspace().template take<T>(count);
  const std::int64_t words = count * static_cast<std::int64_t>(sizeof(T) / 4);
  for (std::int64_t first = 0; first < words; first += ValueParcel::most) {
    const std::int64_t n = words - first < ValueParcel::most ? words - first : ValueParcel::most;
    ValueParcel parcel{};
    std::memcpy(parcel.word, reinterpret_cast<const char*>(host) + 4 * first,
                static_cast<std::size_t>(4 * n));
    launch(ctx, "by_value", by_value_kernel, Grid{1, 256}, parcel, n,
           reinterpret_cast<std::uint32_t*>(device) + first);
  }
  return device;
}

}  // namespace emshap::cuda
