#pragma once
// Integers that grow with the numbers whose bits they are made of: -NaN < -inf < ... < -0 < 0 < ... < inf <
// NaN.
#include "math/scalar.h"

namespace emshap::math {

EMSHAP_HD std::int64_t order_key(float x) {
  const std::int32_t bits = as_int(x);
  return bits < 0 ? static_cast<std::int64_t>(bits ^ 0x7fffffff) : bits;
}
EMSHAP_HD std::int64_t order_key(double x) {
  const std::int64_t bits = as_int(x);
  return bits < 0 ? bits ^ 0x7fffffffffffffffll : bits;
}

/// The key of a float as digits: 0 for the least.
EMSHAP_HD std::uint32_t order_digits(float x) {
  return static_cast<std::uint32_t>(order_key(x)) ^ 0x80000000u;
}
EMSHAP_HD float from_order_digits(std::uint32_t digits) {
  const auto key = static_cast<std::int32_t>(digits ^ 0x80000000u);
  return as_float(key < 0 ? key ^ 0x7fffffff : key);
}

}  // namespace emshap::math
