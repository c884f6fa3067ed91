#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "level_functions.h"
#include "math/inverse_normal.h"
#include "math/random_value.h"

using namespace emshap;
using emshap::test::Function;
using emshap::test::function_levels;
namespace m = emshap::math;

namespace {

/// z with Phi(-z) = p, by Newton's steps in long double from `z`.
long double refine(long double p, long double z) {
  for (int i = 0; i < 3; ++i) {
    const long double density = std::exp(-z * z / 2) / std::sqrt(2 * std::acos(-1.L));
    z += (std::erfc(z / std::sqrt(2.L)) / 2 - p) / density;
  }
  return z;
}

}  // namespace

TEST_CASE("the inverse normal of AS 241 is right to double precision") {
  // Wichura's own check values.
  CHECK(m::inverse_normal(.25) == doctest::Approx(-.6744897501960817).epsilon(1e-15));
  CHECK(m::inverse_normal(.001) == doctest::Approx(-3.090232306167814).epsilon(1e-15));
  CHECK(m::inverse_normal(1e-20) == doctest::Approx(-9.262340089798408).epsilon(1e-15));
  CHECK(m::inverse_normal(.5) == 0);
  double worst = 0;
  for (double p = 1e-300; p < .5; p *= 1.037) {
    const double z = m::inverse_normal_tail(p);
    const long double exact = refine(p, z);
    worst = std::max(worst, static_cast<double>(std::abs(z - exact) / std::max(exact, .1L)));
    CHECK(m::inverse_normal(p) == -z);
  }
  CHECK(worst < 1e-15);
  for (double u = .5; u < 1; u += .00137) CHECK(m::inverse_normal(u) == m::inverse_normal_tail(1 - u));
}

TEST_CASE("the float inverse normal keeps its bound at every level") {
  std::vector<float> p;
  for (std::uint32_t bits = 1; bits <= std::bit_cast<std::uint32_t>(.5f); bits += 2003)
    p.push_back(std::bit_cast<float>(bits));
  std::vector<float> packs(p.size()), scalars(p.size());
  for (const auto& level : function_levels()) {
    level.packs(Function::inverse_normal_tail, p.data(), packs.data(), static_cast<std::int64_t>(p.size()));
    level.scalars(Function::inverse_normal_tail, p.data(), scalars.data(),
                  static_cast<std::int64_t>(p.size()));
    double worst = 0, at = 0;
    bool same = true;
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double exact = m::inverse_normal_tail(static_cast<double>(p[i]));
      const double e = std::abs(static_cast<double>(packs[i]) - exact) /
                       std::ldexp(1., std::max(std::ilogb(exact) - 23, -149));
      if (e > worst) worst = e, at = static_cast<double>(p[i]);
      same = same && packs[i] == scalars[i];
    }
    INFO(std::string(to_string(level.level)) << " worst at p = " << at);
    CHECK(worst <= 6);
    CHECK(same);
  }
}

TEST_CASE(
    "random values: exact uniforms, symmetric normals, floats are shortened doubles, packs as scalars") {
  CHECK(m::uniform_from(0u) == 0x1p-24f);
  CHECK(m::uniform_from(0xffffffffu) == 1 - 0x1p-24f);
  CHECK(m::uniform_from(0u, 0u) == 0x1p-53);
  CHECK(m::uniform_from(0xffffffffu, 0xffffffffu) == 1 - 0x1p-53);
  std::uint32_t word = 12345, low = 777;
  for (int i = 0; i < 20000; ++i) {
    word = word * 1664525u + 1013904223u;
    low = low * 22695477u + 1u;
    CHECK(std::abs(static_cast<double>(m::uniform_from(word)) - m::uniform_from(word, low)) <= 0x1p-23);
    const double z = m::normal_from(word, low);
    CHECK(std::abs(static_cast<double>(m::normal_from(word)) - z) <= 2e-6 * std::max(1., std::abs(z)));
    CHECK(m::normal_from(word ^ 0x80000000u, low) == -z);
    CHECK(m::normal_from(word ^ 0x80000000u) == -m::normal_from(word));
    const m::Pack<std::uint32_t, 4> w(word), l(low);
    CHECK(m::uniform_from(w)[3] == m::uniform_from(word));
    CHECK(m::uniform_from(w, l)[1] == m::uniform_from(word, low));
    CHECK(m::normal_from(w)[2] == m::normal_from(word));
    CHECK(m::normal_from(w, l)[0] == z);
  }
  CHECK(std::isfinite(m::normal_from(0u)));
  CHECK(std::isfinite(m::normal_from(0u, 0u)));
  CHECK(m::normal_from(0u) < -6.1f);
}
