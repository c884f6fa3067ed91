#include <doctest/doctest.h>

#include <set>
#include <tuple>
#include <vector>

#include "math/philox.h"
#include "math/philox_pack.h"

using namespace emshap;
using namespace emshap::math;

TEST_CASE("Philox4x32-10 gives the published known answers") {
  // kat_vectors of Random123, the authors' own library.
  struct Answer {
    PhiloxBlock counter;
    std::uint32_t key0, key1;
    PhiloxBlock expected;
  };
  const Answer answers[] = {{{{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
                            {{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
                             0xffffffff,
                             0xffffffff,
                             {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
                            {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
                             0xa4093822,
                             0x299f31d0,
                             {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}}};
  for (const Answer& a : answers) {
    const PhiloxBlock got = philox4x32(a.counter, a.key0, a.key1);
    for (int i = 0; i < 4; ++i) CHECK(got.word[i] == a.expected.word[i]);
  }
}

template <int N>
void compare_blocks() {
  const PhiloxRow row = PhiloxStream({0x123456789abcdefull, RandomPurpose::test, 5, 77}).row(123456789012ull);
  for (const std::uint32_t first : {0u, 1u, 1000u, 0xfffffff0u}) {
    const auto words = in_order(philox_blocks<N>(row, first));
    for (int b = 0; b < N; ++b) {
      const PhiloxBlock expected = row.block(first + static_cast<std::uint32_t>(b));
      for (int w = 0; w < 4; ++w) {
        const int i = 4 * b + w;
        CHECK((i < 2 * N ? words.low[i] : words.high[i - 2 * N]) == expected.word[w]);
      }
    }
  }
}

TEST_CASE("vectors of blocks hold the words of single blocks in order") {
  compare_blocks<2>();
  compare_blocks<4>();
  compare_blocks<8>();
}

TEST_CASE("different keys and rows have different counters or keys") {
  std::set<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>> seen;
  std::size_t count = 0;
  const std::uint64_t bit = 1;
  const auto add = [&](const RandomKey& key, std::uint64_t row) {
    const PhiloxRow r = PhiloxStream(key).row(row);
    seen.insert({r.key0, r.key1, r.counter1, r.counter2, r.counter3});
    ++count;
  };
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, bit << 32, ~std::uint64_t{0}})
    for (const RandomPurpose purpose :
         {RandomPurpose::initialisation, RandomPurpose::dropout, RandomPurpose::test})
      for (const std::uint32_t layer : {0u, 1u, 4095u, 4096u, 0x80000000u})
        for (const std::uint64_t step : {std::uint64_t{0}, std::uint64_t{1}, bit << 31, bit << 32, bit << 63})
          for (const std::uint64_t row : {std::uint64_t{0}, std::uint64_t{1}, bit << 31, bit << 32,
                                          (bit << 44) - 1, bit << 44, ~std::uint64_t{0}})
            add({seed, purpose, layer, step}, row);
  CHECK(seen.size() == count);
}

TEST_CASE("near_row is row below its limit") {
  const PhiloxStream stream({9, RandomPurpose::dropout, 70000, 1ull << 40});
  for (const std::uint64_t row : {0ull, 1ull, 1ull << 32, (1ull << 44) - 1})
    for (const std::uint32_t block : {0u, 3u})
      for (int w = 0; w < 4; ++w)
        CHECK(stream.row(row).block(block).word[w] == stream.near_row(row).block(block).word[w]);
}
