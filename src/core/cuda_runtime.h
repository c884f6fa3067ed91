#pragma once
// The few calls that core makes into the CUDA runtime. Implemented in src/cuda/runtime.cpp; without CUDA the
// inline versions below throw, or say that there is no device.
#include <cstdint>
#include <string>

#include "emshap/core/error.h"

namespace emshap::cuda_runtime {

inline constexpr const char* not_built =
    "this build has no CUDA backend; configure with -DEMSHAP_WITH_CUDA=ON, or use --device cpu";

#if EMSHAP_WITH_CUDA
int device_count();           ///< 0 without a driver or a device
std::string why_no_device();  ///< one sentence for an error message
void* allocate(std::int64_t bytes, int device);
void free(void* data, int device) noexcept;
void copy(void* to, const void* from, std::int64_t bytes);
void zero(void* data, std::int64_t bytes);
void* create_stream(int device);
void destroy_stream(void* stream) noexcept;
void synchronize(void* stream);
#else
inline int device_count() {
  return 0;
}
inline std::string why_no_device() {
  return not_built;
}
inline void* allocate(std::int64_t, int) {
  throw DeviceError(not_built);
}
inline void free(void*, int) noexcept {}
inline void copy(void*, const void*, std::int64_t) {
  throw DeviceError(not_built);
}
inline void zero(void*, std::int64_t) {
  throw DeviceError(not_built);
}
inline void* create_stream(int) {
  throw DeviceError(not_built);
}
inline void destroy_stream(void*) noexcept {}
inline void synchronize(void*) {}
#endif

}  // namespace emshap::cuda_runtime
