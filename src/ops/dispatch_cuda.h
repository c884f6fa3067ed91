#pragma once
// For ops that only CUDA has.
#include "ops/dispatch.h"

/// EMSHAP_DISPATCH_CUDA(ctx, refusal, fn(ctx, ...)): calls the backend's fn, not a template; throws
/// DeviceError with the text `refusal` for another backend.
#if EMSHAP_WITH_CUDA
#define EMSHAP_DISPATCH_CUDA(ctx, refusal, ...)                                           \
  do {                                                                                    \
    if ((ctx).backend() != ::emshap::Backend::cuda) throw ::emshap::DeviceError(refusal); \
    ::emshap::cuda::__VA_ARGS__;                                                          \
  } while (false)
#else
#define EMSHAP_DISPATCH_CUDA(ctx, refusal, ...) throw ::emshap::DeviceError(refusal)
#endif
