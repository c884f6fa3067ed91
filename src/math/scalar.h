#pragma once
// The operations that formulas use beside + - * / and comparisons, for float and double. pack.h has the same
// set for vectors, with the same bits: a formula written as a template over the value type runs on either.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "math/host_device.h"

namespace emshap::math {

/// What belongs to a value type: its element, the integers of the same width, the result of a comparison.
template <class V>
struct Traits;
template <>
struct Traits<float> {
  using Scalar = float;
  using Int = std::int32_t;
  using Mask = bool;
  static constexpr int lanes = 1;
};
template <>
struct Traits<double> {
  using Scalar = double;
  using Int = std::int64_t;
  using Mask = bool;
  static constexpr int lanes = 1;
};
template <class V>
using scalar_of = typename Traits<V>::Scalar;
template <class V>
using int_of = typename Traits<V>::Int;
template <class V>
using mask_of = typename Traits<V>::Mask;

EMSHAP_HD float select(bool m, float a, float b) {
  return m ? a : b;
}
EMSHAP_HD double select(bool m, double a, double b) {
  return m ? a : b;
}

/// a < b ? a : b, so the second operand when one is NaN; max likewise.
EMSHAP_HD float min(float a, float b) {
  return a < b ? a : b;
}
EMSHAP_HD double min(double a, double b) {
  return a < b ? a : b;
}
EMSHAP_HD float max(float a, float b) {
  return a > b ? a : b;
}
EMSHAP_HD double max(double a, double b) {
  return a > b ? a : b;
}

EMSHAP_HD float abs(float a) {
  return __builtin_fabsf(a);
}
EMSHAP_HD double abs(double a) {
  return __builtin_fabs(a);
}
EMSHAP_HD float copysign(float size, float sign) {
  return __builtin_copysignf(size, sign);
}
EMSHAP_HD double copysign(double size, double sign) {
  return __builtin_copysign(size, sign);
}

#if defined(__CUDA_ARCH__) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define EMSHAP_FUSED 1  // mul_add rounds once
#else
#define EMSHAP_FUSED 0
#endif
#if defined(__CUDA_ARCH__)
EMSHAP_HD float sqrt(float a) {
  return ::sqrtf(a);
}
EMSHAP_HD double sqrt(double a) {
  return ::sqrt(a);
}
EMSHAP_HD float mul_add(float a, float b, float c) {
  return ::fmaf(a, b, c);
}
EMSHAP_HD double mul_add(double a, double b, double c) {
  return ::fma(a, b, c);
}
#else
EMSHAP_HD float sqrt(float a) {
  return __builtin_sqrtf(a);
}
EMSHAP_HD double sqrt(double a) {
  return __builtin_sqrt(a);
}
#if EMSHAP_FUSED
/// a * b + c, rounded once where the instruction-set level has the instruction, twice where not.
EMSHAP_HD float mul_add(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}
EMSHAP_HD double mul_add(double a, double b, double c) {
  return __builtin_fma(a, b, c);
}
#else
EMSHAP_HD float mul_add(float a, float b, float c) {
  return a * b + c;
}
EMSHAP_HD double mul_add(double a, double b, double c) {
  return a * b + c;
}
#endif
#endif

/// The bits of a number as an integer and back.
EMSHAP_HD std::int32_t as_int(float a) {
  std::int32_t i;
  memcpy(&i, &a, sizeof i);
  return i;
}
EMSHAP_HD std::int64_t as_int(double a) {
  std::int64_t i;
  memcpy(&i, &a, sizeof i);
  return i;
}
EMSHAP_HD float as_float(std::int32_t i) {
  float a;
  memcpy(&a, &i, sizeof a);
  return a;
}
EMSHAP_HD double as_float(std::int64_t i) {
  double a;
  memcpy(&a, &i, sizeof a);
  return a;
}
/// a - b modulo 2^32, without overflow.
EMSHAP_HD std::int32_t wrapping_sub(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) - static_cast<std::uint32_t>(b));
}
/// Conversions by value; to_int truncates.
EMSHAP_HD std::int32_t to_int(float a) {
  return static_cast<std::int32_t>(a);
}
EMSHAP_HD std::int64_t to_int(double a) {
  return static_cast<std::int64_t>(a);
}
EMSHAP_HD float to_float(std::int32_t i) {
  return static_cast<float>(i);
}
EMSHAP_HD double to_float(std::int64_t i) {
  return static_cast<double>(i);
}

/// f of the number, or of each lane of a pack.
template <class F>
EMSHAP_HD double per_lane(double a, F f) {
  return f(a);
}

/// c0 + c1 x + c2 x^2 ... by Horner's rule.
template <class V>
EMSHAP_HD V horner(V, scalar_of<V> c0) {
  return V(c0);
}
template <class V, class... C>
EMSHAP_HD V horner(V x, scalar_of<V> c0, C... rest) {
  return mul_add(horner(x, rest...), x, V(c0));
}

EMSHAP_HD bool any(bool m) {
  return m;
}
EMSHAP_HD bool all(bool m) {
  return m;
}

}  // namespace emshap::math
