#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/explain/baseline_values.h"
#include "emshap/explain/typicality.h"

using namespace emshap;

namespace {

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

/// Two correlated normal columns and one constant; b lacks values.
Tensor rows(std::int64_t count, std::uint64_t seed) {
  Tensor x({count, 3});
  Generator random({.seed = seed, .purpose = RandomPurpose::test});
  for (std::int64_t r = 0; r < count; ++r) {
    const double a = random.normal(), b = .9 * a + .4 * random.normal();
    float* to = x.ptr<float>() + 3 * r;
    to[0] = static_cast<float>(10 + a);
    to[1] = r % 50 == 7 ? nan_value : static_cast<float>(100 * b);
    to[2] = 5;
  }
  return x;
}

}  // namespace

TEST_SUITE("typicality") {
  TEST_CASE("rows like the training rows pass, those far away or against the correlation are marked") {
    const Tensor train = rows(3000, 1), more = rows(2000, 2);
    const GaussianDensity density = fit_gaussian_density({"a", "b", "k"}, train, {}, {}, 1);
    TeamPool pool(2), one(1);
    const Typicality typicality(density.space, *density.model, train, pool);
    const Typicality::Scores usual = typicality.score(pool, more);
    std::int64_t marked = 0;
    for (const std::uint8_t u : usual.unusual) marked += u;
    CHECK(marked <= 12);  // .1 % of 2000 are 2
    // Inside both ranges, but against the correlation; far outside; known to be alike; nothing known of b.
    const Tensor odd = Tensor::from<float>(
        {8, 200, 5, 30, 2000, 5, 10, 0, 5, 10, nan_value, 5, 30, nan_value, 5, nan_value, nan_value, 5},
        {6, 3});
    const Typicality::Scores scores = typicality.score(one, odd);
    CHECK(scores.unusual == std::vector<std::uint8_t>{1, 1, 0, 0, 1, 0});
    CHECK(scores.outside == std::vector<std::int64_t>{0, 2, 0, 0, 1, 0});
    CHECK(typicality.count_outside(odd) == std::vector<std::int64_t>{2, 1});
    CHECK(std::isnan(scores.log_density[5]));
    // A normal density in model space: standardised a and b with correlation .9 / sqrt(.97).
    const double rho = .9 / std::sqrt(.97);
    CHECK(scores.log_density[2] ==
          doctest::Approx(-std::log(2 * 3.14159265358979) / 2 - .25 * std::log(1 - rho * rho)).epsilon(.03));
    // Any cut of the rows.
    for (std::int64_t r = 0; r < 6; ++r)
      if (r != 5)
        CHECK(typicality.score(one, odd.view().rows(r, 1)).log_density[0] ==
              scores.log_density[static_cast<std::size_t>(r)]);
    CHECK(typicality.score(pool, Tensor({0, 3})).log_density.empty());
  }

  TEST_CASE("few background rows: their minimum; none with a value is refused") {
    const Tensor train = rows(200, 3);
    const GaussianDensity density = fit_gaussian_density({"a", "b", "k"}, train, {}, {}, 1);
    TeamPool pool(1);
    const Typicality typicality(density.space, *density.model, train, pool);
    for (const std::uint8_t u : typicality.score(pool, train).unusual) CHECK(u == 0);
    const Tensor empty = Tensor::from<float>({nan_value, nan_value, 5}, {1, 3});
    CHECK_THROWS_AS(Typicality(density.space, *density.model, empty, pool), DataError);
  }
}
