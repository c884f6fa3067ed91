#pragma once
// The functions of src/math as one instruction-set level compiles them: on packs with a partial tail, as the
// ops call them, and on single numbers.
#include <cstdint>

#include "emshap/core/device.h"

namespace emshap::test {

enum class Function { exp, log, log1p, tanh, sigmoid, softplus, erf, normal_cdf, gelu, silu };

struct LevelFunctions {
  Backend level;
  void (*packs)(Function, const float* x, float* y, std::int64_t n);
  void (*scalars)(Function, const float* x, float* y, std::int64_t n);
};

}  // namespace emshap::test

#define EMSHAP_DECLARE_LEVEL(level)                                                      \
  namespace emshap::cpu::level {                                                         \
  void test_packs(::emshap::test::Function, const float* x, float* y, std::int64_t n);   \
  void test_scalars(::emshap::test::Function, const float* x, float* y, std::int64_t n); \
  }
#if defined(__x86_64__)
EMSHAP_DECLARE_LEVEL(v2)
EMSHAP_DECLARE_LEVEL(v3)
EMSHAP_DECLARE_LEVEL(v4)
#endif
EMSHAP_DECLARE_LEVEL(eigen)
