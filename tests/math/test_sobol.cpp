#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <vector>

#include "math/pack.h"
#include "math/random_value.h"
#include "math/sobol.h"

using namespace emshap;
using namespace emshap::math;

namespace {

struct Directions {
  std::uint32_t v[32];
  explicit Directions(int dimension) { sobol_directions(dimension, v); }
};

std::uint32_t gray(std::uint32_t n) {
  return n ^ (n >> 1);
}

}  // namespace

TEST_CASE("the first Sobol points are the published ones") {
  // Joe and Kuo's own example output (10 points in 3 dimensions, in Gray code order).
  const double published[10][3] = {{0, 0, 0},
                                   {.5, .5, .5},
                                   {.75, .25, .25},
                                   {.25, .75, .75},
                                   {.375, .375, .625},
                                   {.875, .875, .125},
                                   {.625, .125, .875},
                                   {.125, .625, .375},
                                   {.1875, .3125, .9375},
                                   {.6875, .8125, .4375}};
  for (int d = 0; d < 3; ++d) {
    const Directions directions(d);
    for (std::uint32_t n = 0; n < 10; ++n)
      CHECK(sobol_word(directions.v, gray(n)) * 0x1p-32 == published[n][d]);
  }
}

TEST_CASE("later points in high dimensions are those of SciPy 1.17") {
  const int dimensions[] = {0, 1, 2, 9, 99, 199, 255};
  const std::uint32_t point_1000[] = {943718400, 415236096,  2227175424, 297795584,
                                      801112064, 3619684352, 1069547520};
  const std::uint32_t point_4095[] = {1048576,    4042260480, 1435500544, 1058013184,
                                      4134535168, 3566206976, 2632974336};
  for (std::size_t i = 0; i < 7; ++i) {
    const Directions directions(dimensions[i]);
    CHECK(sobol_word(directions.v, gray(1000)) == point_1000[i]);
    CHECK(sobol_word(directions.v, gray(4095)) == point_4095[i]);
  }
}

TEST_CASE("every dimension fills every dyadic interval once, before and after scrambling") {
  for (int d = 0; d < sobol_dimensions; ++d) {
    const Directions directions(d);
    for (const std::uint32_t seed : {0u, 12345u, 0x9e3779b9u * static_cast<std::uint32_t>(d)})
      for (const int bits : {1, 5, 8}) {
        std::set<std::uint32_t> plain, scrambled;
        for (std::uint32_t n = 0; n < 1u << bits; ++n) {
          const std::uint32_t x = sobol_word(directions.v, n);
          plain.insert(x >> (32 - bits));
          scrambled.insert(owen_scramble(x, seed) >> (32 - bits));
        }
        CHECK(plain.size() == 1u << bits);
        CHECK(scrambled.size() == 1u << bits);
      }
  }
}

TEST_CASE("the first two dimensions fill every elementary box once, before and after scrambling") {
  const Directions first(0), second(1);
  constexpr int bits = 8;
  for (int wide = 0; wide <= bits; ++wide) {
    std::set<std::pair<std::uint32_t, std::uint32_t>> boxes, scrambled;
    const auto box = [&](std::uint32_t x, std::uint32_t y) {
      return std::pair{wide == 0 ? 0 : x >> (32 - wide), wide == bits ? 0 : y >> (32 - bits + wide)};
    };
    for (std::uint32_t n = 0; n < 1u << bits; ++n) {
      const std::uint32_t x = sobol_word(first.v, n), y = sobol_word(second.v, n);
      boxes.insert(box(x, y));
      scrambled.insert(box(owen_scramble(x, 77), owen_scramble(y, 4242)));
    }
    CHECK(boxes.size() == 1u << bits);
    CHECK(scrambled.size() == 1u << bits);
  }
}

TEST_CASE("scrambling is a bijection that keeps shared leading bits shared, for packs as for numbers") {
  for (const std::uint32_t x : {0u, 1u, 0x80000000u, 0x12345678u, 0xffffffffu})
    for (int bit = 0; bit < 32; ++bit) {
      const std::uint32_t a = owen_scramble(x, 99), b = owen_scramble(x ^ (1u << bit), 99);
      CHECK(((a ^ b) >> bit) == 1);  // the same above the bit, different in it
      CHECK(owen_scramble(Pack<std::uint32_t, 8>(x), 99)[5] == a);
    }
  CHECK(reverse_bits(0x00000001u) == 0x80000000u);
  CHECK(reverse_bits(0x12345678u) == 0x1e6a2c48u);
}

TEST_CASE(
    "over scrambles each point is uniform, and means of smooth functions vary less than those of plain "
    "draws") {
  constexpr int dims = 8, points = 64, scrambles = 500;
  std::vector<Directions> directions;
  for (int d = 0; d < dims; ++d) directions.emplace_back(d);
  double first_mean = 0, first_square = 0, estimate = 0, spread = 0;
  std::vector<int> bins(16);
  for (int s = 0; s < scrambles; ++s) {
    const PhiloxRow stream = PhiloxStream({static_cast<std::uint64_t>(s), RandomPurpose::test}).row(3);
    double mean = 0;
    for (std::uint32_t n = 0; n < points; ++n) {
      double f = 0;
      for (int d = 0; d < dims; ++d) {
        const std::uint32_t x =
            owen_scramble(sobol_word(directions[static_cast<std::size_t>(d)].v, n), sobol_seed(stream, d));
        const double u = static_cast<double>(uniform_from(x));
        f += std::exp(u);
        if (n == 5 && d == 4) {
          first_mean += u / scrambles;
          first_square += u * u / scrambles;
          ++bins[static_cast<std::size_t>(u * 16)];
        }
      }
      mean += f / points;
    }
    estimate += mean / scrambles;
    spread += mean * mean / scrambles;
  }
  CHECK(std::abs(first_mean - .5) < 5 * .289 / std::sqrt(scrambles));
  CHECK(std::abs(first_square - 1. / 3) < 5 * .3 / std::sqrt(scrambles));
  double chi2 = 0;
  for (const int b : bins) chi2 += (b - scrambles / 16.) * (b - scrambles / 16.) / (scrambles / 16.);
  CHECK(chi2 < 45);  // 15 degrees of freedom: exceeded once in 10,000
  const double exact = dims * (std::exp(1.) - 1), variance = spread - estimate * estimate;
  CHECK(std::abs(estimate - exact) < 5 * std::sqrt(variance / scrambles) + 1e-5);
  const double plain_variance =
      dims * ((std::exp(2.) - 1) / 2 - (std::exp(1.) - 1) * (std::exp(1.) - 1)) / points;
  CHECK(variance < plain_variance / 100);
}
