#pragma once
// Philox4x32-10: four random words from a 128-bit counter and a 64-bit key, without state.
// Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
//
// How this project addresses it. A stream is (RandomKey, row); position i of a stream is word i % 4 of block
// i / 4:
//   key      seed (64 bits)
//   counter  word 0: block
//            word 1: row, bits 0-31
//            word 2: step, bits 0-31
//            word 3: purpose (8 bits) | layer, bits 0-11 | row, bits 32-43
// Below these limits (2^32 steps, 4096 layers, 2^44 rows) every use has its own counters and nothing can
// collide. What lies beyond (high bits of step, layer, row) is hashed into the key, so that streams beyond
// the limits meet others only by a 64-bit accident.
#include <cstdint>

#include "emshap/core/random.h"
#include "math/host_device.h"

namespace emshap::math {

namespace philox {
constexpr std::uint32_t multiplier0 = 0xD2511F53u;
constexpr std::uint32_t multiplier1 = 0xCD9E8D57u;
constexpr std::uint32_t weyl0 = 0x9E3779B9u;
constexpr std::uint32_t weyl1 = 0xBB67AE85u;
constexpr int rounds = 10;
}  // namespace philox

struct PhiloxBlock {
  std::uint32_t word[4];
};

EMSHAP_HD PhiloxBlock philox4x32(PhiloxBlock counter, std::uint32_t key0, std::uint32_t key1) {
  std::uint32_t a = counter.word[0], b = counter.word[1], c = counter.word[2], d = counter.word[3];
  for (int round = 0; round < philox::rounds; ++round) {
    const std::uint64_t p0 = std::uint64_t{philox::multiplier0} * a;
    const std::uint64_t p1 = std::uint64_t{philox::multiplier1} * c;
    a = static_cast<std::uint32_t>(p1 >> 32) ^ b ^ key0;
    b = static_cast<std::uint32_t>(p1);
    c = static_cast<std::uint32_t>(p0 >> 32) ^ d ^ key1;
    d = static_cast<std::uint32_t>(p0);
    key0 += philox::weyl0;
    key1 += philox::weyl1;
  }
  return {{a, b, c, d}};
}

/// A bijection of 64-bit words that spreads every input bit (Stafford's variant 13 of MurmurHash3's
/// finaliser).
EMSHAP_HD std::uint64_t mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

/// One row of a stream: all of counter and key but the block.
struct PhiloxRow {
  std::uint32_t key0, key1;
  std::uint32_t counter1, counter2, counter3;

  EMSHAP_HD PhiloxBlock block(std::uint32_t index) const {
    return philox4x32({{index, counter1, counter2, counter3}}, key0, key1);
  }
};

/// All rows of a RandomKey.
struct PhiloxStream {
  std::uint64_t seed;
  std::uint32_t counter2, counter3;

  EMSHAP_HD explicit PhiloxStream(const RandomKey& key) : seed(key.seed) {
    const std::uint32_t purpose = static_cast<std::uint32_t>(key.purpose);
    counter2 = static_cast<std::uint32_t>(key.step);
    counter3 = purpose << 24 | (key.layer & 0xfffu) << 12;
    const std::uint32_t step_above = static_cast<std::uint32_t>(key.step >> 32);
    const std::uint32_t others_above = purpose >> 8 << 20 | key.layer >> 12;
    if ((step_above | others_above) != 0) absorb(std::uint64_t{step_above} << 32 | others_above);
  }
  EMSHAP_HD PhiloxRow row(std::uint64_t index) const {
    PhiloxStream s = *this;
    if (index >> 44 != 0) s.absorb(~(index >> 44));
    return s.near_row(index);
  }
  /// The same for index < 2^44, as in any batch.
  EMSHAP_HD PhiloxRow near_row(std::uint64_t index) const {
    return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
            static_cast<std::uint32_t>(index), counter2,
            counter3 | (static_cast<std::uint32_t>(index >> 32) & 0xfffu)};
  }

 private:
  EMSHAP_HD void absorb(std::uint64_t x) { seed = mix64(mix64(seed + 0x9E3779B97F4A7C15ull) ^ x); }
};

}  // namespace emshap::math
