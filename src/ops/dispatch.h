#pragma once
// From a checked front to a backend: one switch on the element type, one on the backend.
#include <type_traits>

#include "core/cuda_runtime.h"
#include "core/mat.h"
#include "emshap/core/context.h"
#include "emshap/core/error.h"

#define EMSHAP_TRACE(ctx, op)             \
  do {                                    \
    if ((ctx).trace()) (ctx).trace()(op); \
  } while (false)

#if defined(__x86_64__)
#define EMSHAP_X86_CASES(...)       \
  case ::emshap::Backend::cpu_v2:   \
    ::emshap::cpu::v2::__VA_ARGS__; \
    break;                          \
  case ::emshap::Backend::cpu_v3:   \
    ::emshap::cpu::v3::__VA_ARGS__; \
    break;                          \
  case ::emshap::Backend::cpu_v4:   \
    ::emshap::cpu::v4::__VA_ARGS__; \
    break;
#else
#define EMSHAP_X86_CASES(...)     \
  case ::emshap::Backend::cpu_v2: \
  case ::emshap::Backend::cpu_v3: \
  case ::emshap::Backend::cpu_v4: \
    break;
#endif

/// EMSHAP_DISPATCH_CUDA(ctx, refusal, fn(ctx, ...)), for ops that only CUDA has: calls the backend's fn, not
/// a template; throws DeviceError with the text `refusal` for another backend.
#if EMSHAP_WITH_CUDA
#define EMSHAP_CUDA_CASE(...)                                                                     \
  case ::emshap::Backend::cuda:                                                                   \
    if constexpr (std::is_same_v<T, float>) {                                                     \
      ::emshap::cuda::__VA_ARGS__;                                                                \
    } else {                                                                                      \
      throw ::emshap::DTypeError("CUDA kernels take f32 only; convert the tensor or run on cpu"); \
    }                                                                                             \
    break;
#define EMSHAP_DISPATCH_CUDA(ctx, refusal, ...)                                           \
  do {                                                                                    \
    if ((ctx).backend() != ::emshap::Backend::cuda) throw ::emshap::DeviceError(refusal); \
    ::emshap::cuda::__VA_ARGS__;                                                          \
  } while (false)
#else
#define EMSHAP_CUDA_CASE(...)   \
  case ::emshap::Backend::cuda: \
    throw ::emshap::DeviceError(::emshap::cuda_runtime::not_built);
// The call is not evaluated; that it is named keeps arguments from being unused.
#define EMSHAP_DISPATCH_CUDA(ctx, refusal, ...)                  \
  do {                                                           \
    static_cast<void>(sizeof((::emshap::cuda::__VA_ARGS__, 0))); \
    throw ::emshap::DeviceError(refusal);                        \
  } while (false)
#endif

/// EMSHAP_DISPATCH(ctx, dtype, fn<T>(ctx, mat<T>(x), ...)): calls the backend's fn with T = float or double.
#define EMSHAP_DISPATCH(ctx, dtype_value, ...)                   \
  ::emshap::with_float_type(dtype_value, [&](auto emshap_zero) { \
    using T = decltype(emshap_zero);                             \
    switch ((ctx).backend()) {                                   \
      EMSHAP_X86_CASES(__VA_ARGS__)                              \
      case ::emshap::Backend::cpu_eigen:                         \
        ::emshap::cpu::eigen::__VA_ARGS__;                       \
        break;                                                   \
        EMSHAP_CUDA_CASE(__VA_ARGS__)                            \
    }                                                            \
  })

namespace emshap {

template <class Body>
void with_float_type(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::f32:
      return body(0.0f);
    case DType::f64:
      return body(0.0);
    case DType::i32:
      break;
  }
  throw DTypeError("an op got a tensor of i32, expected f32 or f64");
}

}  // namespace emshap
