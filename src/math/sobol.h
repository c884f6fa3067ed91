#pragma once
// Sobol's low-discrepancy points with hash-based Owen scrambling: the points of one scramble fill every
// dyadic interval evenly, and each is uniform over scrambles, so that means over points are unbiased with
// small variance. Sources: Sobol 1967; Joe & Kuo 2008 (direction numbers); Owen 1995 (scrambling); Laine &
// Karras 2011 and Burley 2020, "Practical hash-based Owen scrambling", JCGT 9(4), 1-20 (the hash).
#include <cstdint>

#include "math/philox.h"
#include "math/sobol_table.h"

namespace emshap::math {

/// The 32 direction numbers of `dimension`, 0 <= dimension < sobol_dimensions: host code, called once per
/// dimension; loops and kernels read the result.
inline __attribute__((always_inline)) void sobol_directions(int dimension, std::uint32_t* v) {
  if (dimension == 0) {
    for (int i = 0; i < 32; ++i) v[i] = 1u << (31 - i);
    return;
  }
  const auto degree_of = [](int d) EMSHAP_INLINE_LAMBDA {
    int s = 0;
    while (sobol_polynomials[d] >> (s + 1) != 0) ++s;
    return s;
  };
  int begin = 0;
  for (int d = 1; d < dimension; ++d) begin += degree_of(d);
  const std::uint32_t polynomial = sobol_polynomials[dimension];
  const int degree = degree_of(dimension);
  for (int i = 0; i < 32; ++i) {
    if (i < degree) {
      v[i] = std::uint32_t{sobol_initial[begin + i]} << (31 - i);
      continue;
    }
    v[i] = v[i - degree] ^ (v[i - degree] >> degree);
    for (int k = 1; k < degree; ++k)
      if (polynomial >> (degree - k) & 1u) v[i] ^= v[i - k];
  }
}

/// Coordinate of point `index` as a fraction of 2^32, points in their natural order (not that of Gray codes).
EMSHAP_HD std::uint32_t sobol_word(const std::uint32_t* directions, std::uint32_t index) {
  std::uint32_t x = 0;
  for (int i = 0; index != 0; ++i, index >>= 1) x ^= directions[i] & (0u - (index & 1u));
  return x;
}

/// The bits in reverse order. U is std::uint32_t or a Pack of it.
template <class U>
EMSHAP_HD U reverse_bits(U x) {
  x = ((x >> 1) & U(0x55555555u)) | ((x & U(0x55555555u)) << 1);
  x = ((x >> 2) & U(0x33333333u)) | ((x & U(0x33333333u)) << 2);
  x = ((x >> 4) & U(0x0f0f0f0fu)) | ((x & U(0x0f0f0f0fu)) << 4);
  x = ((x >> 8) & U(0x00ff00ffu)) | ((x & U(0x00ff00ffu)) << 8);
  return (x >> 16) | (x << 16);
}

/// Owen's nested uniform scrambling of a coordinate: each bit is flipped by a hash of `seed` and the bits
/// above it.
template <class U>
EMSHAP_HD U owen_scramble(U x, std::uint32_t seed) {
  x = reverse_bits(x) + U(seed);
  x = x ^ (x * U(0x6c50b47cu));
  x = x ^ (x * U(0xb82f1e52u));
  x = x ^ (x * U(0xc7afe638u));
  x = x ^ (x * U(0x8d22f6e6u));
  return reverse_bits(x);
}

/// The seed of a dimension's scramble: a word of the Philox stream that names the point set.
EMSHAP_HD std::uint32_t sobol_seed(const PhiloxRow& stream, int dimension) {
  return stream.block(static_cast<std::uint32_t>(dimension) / 4).word[dimension % 4];
}

}  // namespace emshap::math
