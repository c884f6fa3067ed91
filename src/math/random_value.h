#pragma once
// From random words to numbers. A double takes two words, the first of which alone gives the float: the float
// is the double with fewer digits, so that runs in float and double see the same random numbers up to
// rounding.
#include <cstdint>

#include "math/inverse_normal.h"

namespace emshap::math {

/// Uniform on (0, 1), never 0 or 1: (k + 1/2) / 2^23 from the 23 high bits.
EMSHAP_HD float uniform_from(std::uint32_t word) {
  return (static_cast<float>(word >> 9) + .5f) * 0x1p-23f;
}
/// (k + 1/2) / 2^52 from the 32 bits of `high` and the 20 high bits of `low`.
EMSHAP_HD double uniform_from(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t k = std::uint64_t{high} << 20 | low >> 12;
  return (static_cast<double>(k) + .5) * 0x1p-52;
}

/// Standard normal: the top bit is the sign, the others the probability of the tail beyond the value, (k +
/// 1/2) / 2^32, so that the tails are as finely resolved as floats allow (to 6.2 standard deviations).
EMSHAP_HD float normal_from(std::uint32_t word) {
  const float p = (static_cast<float>(word & 0x7fffffffu) + .5f) * 0x1p-32f;
  const float z = inverse_normal_tail(p);
  return word >> 31 ? z : -z;
}
EMSHAP_HD double normal_from(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t k = std::uint64_t{high & 0x7fffffffu} << 21 | low >> 11;
  const double z = inverse_normal_tail((static_cast<double>(k) + .5) * 0x1p-53);
  return high >> 31 ? z : -z;
}

#if !defined(__CUDACC__)
template <int N>
EMSHAP_HD Pack<float, N> uniform_from(Pack<std::uint32_t, N> word) {
  return (convert<float>(as_int(word >> 9)) + Pack<float, N>(.5f)) * Pack<float, N>(0x1p-23f);
}
/// The value of k < 2^52: put into the digits of a double between 2^52 and 2^53.
template <int N>
EMSHAP_HD Pack<double, N> value_of(Pack<std::uint64_t, N> k) {
  return as_float(k | Pack<std::uint64_t, N>(std::uint64_t{0x433} << 52)) - Pack<double, N>(0x1p52);
}
template <int N>
EMSHAP_HD Pack<double, N> uniform_from(Pack<std::uint32_t, N> high, Pack<std::uint32_t, N> low) {
  const auto k = (convert<std::uint64_t>(high) << 20) | convert<std::uint64_t>(low >> 12);
  return (value_of(k) + Pack<double, N>(.5)) * Pack<double, N>(0x1p-52);
}
template <int N>
EMSHAP_HD Pack<float, N> normal_from(Pack<std::uint32_t, N> word) {
  const auto k = as_int(word) & Pack<std::int32_t, N>(0x7fffffff);
  const auto z = inverse_normal_tail((convert<float>(k) + Pack<float, N>(.5f)) * Pack<float, N>(0x1p-32f));
  return select(as_int(word) < Pack<std::int32_t, N>(0), z, -z);
}
template <int N>
EMSHAP_HD Pack<double, N> normal_from(Pack<std::uint32_t, N> high, Pack<std::uint32_t, N> low) {
  const auto wide = convert<std::uint64_t>(high);
  const auto k = ((wide & Pack<std::uint64_t, N>(0x7fffffffu)) << 21) | convert<std::uint64_t>(low >> 11);
  const auto z = inverse_normal_tail((value_of(k) + Pack<double, N>(.5)) * Pack<double, N>(0x1p-53));
  return select(as_int(wide << 32) < Pack<std::int64_t, N>(0), z, -z);
}
#endif

/// Position i of a row holds word i % 4 of block i / 4; a double's second word is that of the block with the
/// top bit set.
inline constexpr std::uint32_t second_word_blocks = 0x80000000u;

}  // namespace emshap::math
