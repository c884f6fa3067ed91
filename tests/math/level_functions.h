#pragma once
// The functions of src/math as one instruction-set level compiles them: on packs with a partial tail, as the
// ops call them, and on single numbers.
#include <cstdint>
#include <vector>

#include "emshap/core/device.h"

namespace emshap::test {

enum class Function {
  exp,
  log,
  log1p,
  tanh,
  sigmoid,
  softplus,
  erf,
  normal_cdf,
  gelu,
  silu,
  inverse_normal_tail
};

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

namespace emshap::test {

/// The levels that this processor can run.
inline std::vector<LevelFunctions> function_levels() {
  std::vector<LevelFunctions> all {
#if defined(__x86_64__)
    {Backend::cpu_v2, cpu::v2::test_packs, cpu::v2::test_scalars},
        {Backend::cpu_v3, cpu::v3::test_packs, cpu::v3::test_scalars},
        {Backend::cpu_v4, cpu::v4::test_packs, cpu::v4::test_scalars},
#endif
    {
      Backend::cpu_eigen, cpu::eigen::test_packs, cpu::eigen::test_scalars
    }
  };
  std::erase_if(all, [](const LevelFunctions& l) { return !cpu_backend_available(l.level); });
  return all;
}

}  // namespace emshap::test
