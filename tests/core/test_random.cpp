#include "emshap/core/random.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "math/philox.h"

using namespace emshap;

TEST_CASE("a generator reads the words of its stream in order") {
  const RandomKey key{7, RandomPurpose::shuffle, 2, 5};
  Generator g(key, 11);
  for (std::uint32_t block = 0; block < 5; ++block)
    for (const std::uint32_t word : math::PhiloxStream(key).row(11).block(block).word)
      CHECK(g.next_u32() == word);
  Generator a(key), b(key), other(key, 1);
  const std::uint64_t first = a.next_u64();
  CHECK(b.next_u64() == first);
  CHECK(other.next_u64() != first);
}

TEST_CASE("uniform numbers and normals have their moments and stay inside") {
  Generator g({1, RandomPurpose::test});
  const int n = 200000;
  double mean = 0, square = 0, z1 = 0, z2 = 0, z3 = 0, z4 = 0;
  for (int i = 0; i < n; ++i) {
    const double u = g.uniform();
    CHECK_UNARY(u > 0 && u < 1);
    mean += u / n;
    square += u * u / n;
    const double z = g.normal();
    z1 += z / n, z2 += z * z / n, z3 += z * z * z / n, z4 += z * z * z * z / n;
  }
  CHECK(std::abs(mean - .5) < 5 * .29 / std::sqrt(n));
  CHECK(std::abs(square - 1. / 3) < 5 * .3 / std::sqrt(n));
  CHECK(std::abs(z1) < 5 / std::sqrt(n));
  CHECK(std::abs(z2 - 1) < 5 * std::sqrt(2. / n));
  CHECK(std::abs(z3) < 5 * std::sqrt(15. / n));
  CHECK(std::abs(z4 - 3) < 5 * std::sqrt(96. / n));
}

TEST_CASE("below is uniform without bias, for bounds near 2^64 too") {
  Generator g({3, RandomPurpose::test});
  for (const std::uint64_t bound : {1u, 2u, 3u, 7u}) {
    std::vector<int> seen(bound);
    const int n = 30000;
    for (int i = 0; i < n; ++i) ++seen[g.below(bound)];
    for (const int s : seen) {
      const double p = 1. / static_cast<double>(bound);
      CHECK(std::abs(s - n * p) <= 5 * std::sqrt(n * p * (1 - p)));
    }
  }
  const std::uint64_t bound = 3ull << 62;  // plain multiplication would prefer every third result
  int low = 0;
  for (int i = 0; i < 30000; ++i) {
    const std::uint64_t x = g.below(bound);
    CHECK_UNARY(x < bound);
    low += x < bound / 3;
  }
  CHECK(std::abs(low - 10000) < 5 * std::sqrt(30000 * 2. / 9));
}

TEST_CASE("permutations hold every index once, follow the key and are uniform") {
  for (const std::int64_t n : {0, 1, 2, 31, 1000}) {
    auto p = permutation({5, RandomPurpose::shuffle, 0, 1}, n);
    CHECK(p == permutation({5, RandomPurpose::shuffle, 0, 1}, n));
    if (n > 30) CHECK(p != permutation({5, RandomPurpose::shuffle, 0, 2}, n));
    std::sort(p.begin(), p.end());
    std::vector<std::int64_t> all(static_cast<std::size_t>(n));
    std::iota(all.begin(), all.end(), std::int64_t{0});
    CHECK(p == all);
  }
  std::map<std::vector<std::int64_t>, int> seen;
  const int draws = 24000;
  for (int i = 0; i < draws; ++i)
    ++seen[permutation({1, RandomPurpose::shuffle, 0, static_cast<std::uint64_t>(i)}, 4)];
  CHECK(seen.size() == 24);
  double chi2 = 0;
  for (const auto& [order, count] : seen) chi2 += (count - 1000.) * (count - 1000.) / 1000;
  CHECK(chi2 < 60);  // 23 degrees of freedom: exceeded once in 30,000
}
