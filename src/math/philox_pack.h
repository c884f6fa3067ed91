#pragma once
// Philox for N blocks at a time: the same words as philox.h. Each word sits in the low half of a 64-bit lane,
// where the 32 x 32 -> 64 bit products of a round are one instruction; the high halves hold leftovers that
// nothing reads.
#include "math/pack.h"
#include "math/philox.h"

#if !defined(__CUDACC__)
namespace emshap::math {

/// N blocks: word[w] holds word w of block i in the low half of lane i.
template <int N>
struct PhiloxPack {
  Pack<std::uint64_t, N> word[4];
};

/// Blocks first .. first + N - 1 of a row.
template <int N>
EMSHAP_HD PhiloxPack<N> philox_blocks(const PhiloxRow& row, std::uint32_t first) {
  using P = Pack<std::uint64_t, N>;
  P a = P::iota() + P(std::uint64_t{first});
  P b(std::uint64_t{row.counter1}), c(std::uint64_t{row.counter2}), d(std::uint64_t{row.counter3});
  std::uint32_t key0 = row.key0, key1 = row.key1;
#pragma GCC unroll 10
  for (int round = 0; round < philox::rounds; ++round) {
    const P p0 = mul_low32(a, P(std::uint64_t{philox::multiplier0}));
    const P p1 = mul_low32(c, P(std::uint64_t{philox::multiplier1}));
    a = (p1 >> 32) ^ b ^ P(std::uint64_t{key0});
    c = (p0 >> 32) ^ d ^ P(std::uint64_t{key1});
    b = p1;
    d = p0;
    key0 += philox::weyl0;
    key1 += philox::weyl1;
  }
  return {{a, b, c, d}};
}

/// The 4 N words of N blocks in order: block 0 words 0-3, block 1 words 0-3 ... as two packs of 2 N words.
template <int N>
struct PhiloxWords {
  Pack<std::uint32_t, 2 * N> low, high;
};
template <int N, int... I>
EMSHAP_HD PhiloxWords<N> in_order(const PhiloxPack<N>& p, std::integer_sequence<int, I...>) {
  const Pack<std::uint64_t, N> mask(0xffffffffu);
  const Pack<std::uint64_t, N> words01 = (p.word[0] & mask) | (p.word[1] << 32);
  const Pack<std::uint64_t, N> words23 = (p.word[2] & mask) | (p.word[3] << 32);
  using Words = Pack<std::uint32_t, 2 * N>;
  using Vec = typename Words::Vec;
  return {Words(reinterpret_cast<Vec>(
              __builtin_shufflevector(words01.v, words23.v, (I % 2 ? N + I / 2 : I / 2)...))),
          Words(reinterpret_cast<Vec>(
              __builtin_shufflevector(words01.v, words23.v, (I % 2 ? N + (N + I) / 2 : (N + I) / 2)...)))};
}
template <int N>
EMSHAP_HD PhiloxWords<N> in_order(const PhiloxPack<N>& p) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
  return in_order(p, std::make_integer_sequence<int, N>());
}

}  // namespace emshap::math
#endif
