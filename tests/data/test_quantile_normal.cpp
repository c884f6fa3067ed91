// Normal scores: closed forms, both directions, the Jacobian, ties, missing values, files.
#include <doctest/doctest.h>

#include <cmath>

#include "emshap/data/pipeline.h"
#include "emshap/data/step_quantile.h"
#include "emshap/data/steps.h"
#include "math/inverse_normal.h"
#include "space_support.h"

using namespace emshap;
using namespace emshap::test;

namespace {

QuantileNormal scores_of(const std::vector<double>& values, bool ties = true) {
  QuantileNormal step(ties);
  step.begin_fit({"a"});
  step.observe(values.data(), static_cast<std::int64_t>(values.size()));
  step.end_fit();
  return step;
}

bool ascends(const std::vector<double>& v) {
  for (std::size_t i = 1; i < v.size(); ++i)
    if (!(v[i] > v[i - 1])) return false;
  return true;
}

/// Values i = 1..n of a distribution at its plotting positions.
template <class Inverse>
std::vector<double> at_positions(int n, const Inverse& inverse) {
  std::vector<double> values;
  for (int i = 0; i < n; ++i) values.push_back(inverse((i + .5) / n));
  return values;
}

}  // namespace

TEST_CASE("normal scores: uniform, normal and exponential columns") {
  constexpr int n = 20000;
  const auto check = [&](const std::vector<double>& values, const auto& cdf) {
    const QuantileNormal step = scores_of(values);
    CHECK(ascends(step.knots(0)));
    CHECK(ascends(step.scores(0)));
    CHECK(step.knots(0).size() >= 240);
    CHECK(step.knots(0).size() <= 260);
    for (double p = .001; p < .9995; p += .001) {
      const double x = values[static_cast<std::size_t>(p * n)];
      REQUIRE(step.transform(0, x) == doctest::Approx(math::inverse_normal(cdf(x))).epsilon(8e-3).scale(3));
    }
  };
  check(at_positions(n, [](double p) { return 7 + p; }), [](double x) { return x - 7; });
  check(at_positions(n, [](double p) { return math::inverse_normal(p); }),
        [](double x) { return .5 * std::erfc(-x / std::sqrt(2)); });
  check(at_positions(n, [](double p) { return -std::log1p(-p); }), [](double x) { return -std::expm1(-x); });
}

TEST_CASE("normal scores: the ends of a few rows, by hand") {
  // Five rows: plotting positions .1, .3, .5, .7, .9.
  const QuantileNormal step = scores_of({1, 2, 3, 4, 10});
  CHECK(step.transform(0, 1) == doctest::Approx(math::inverse_normal(.1)).epsilon(1e-14));
  CHECK(step.transform(0, 10) == doctest::Approx(math::inverse_normal(.9)).epsilon(1e-14));
  CHECK(step.transform(0, 3) == doctest::Approx(0).epsilon(1e-3));
  // Outside: the slope over the knots here, which is that over the range.
  const double slope = 2 * math::inverse_normal(.9) / 9;
  CHECK(step.transform(0, 12) == doctest::Approx(math::inverse_normal(.9) + 2 * slope).epsilon(1e-13));
  CHECK(step.slope(0, 0) == doctest::Approx(slope).epsilon(1e-13));
  const QuantileNormal two = scores_of({4, 8});
  CHECK(two.knots(0).front() == 4);
  CHECK(two.knots(0).back() == 8);
  CHECK(two.transform(0, 6) == doctest::Approx(0).epsilon(1e-15));
}

TEST_CASE("normal scores: ends that are nearly flat or nearly vertical") {
  std::vector<double> outlier = normals(1000, 1), capped = outlier;
  outlier.push_back(1e6);
  const QuantileNormal flat = scores_of(outlier);
  const double range = 1e6 - flat.knots(0).front();
  CHECK(flat.slope(0, 2e6) * range >= 1);
  for (double& v : capped) v = std::min(v, 1.);
  const QuantileNormal vertical = scores_of(capped);  // a sixth of the rows at 1, in a narrow tile
  CHECK(vertical.slope(0, 5) * (vertical.knots(0).back() - vertical.knots(0).front()) <= 100.001);
  CHECK(std::abs(vertical.transform(0, 1.5)) < 20);
  for (const QuantileNormal* step : {&flat, &vertical})
    for (const double x : {-1e7, -5., 0., .9999, 1., 1.2, 1e7})
      CHECK(step->inverse(0, step->transform(0, x)) == doctest::Approx(x).epsilon(1e-11));
}

TEST_CASE("normal scores: inverse and Jacobian") {
  std::vector<double> tied =
      drawn(3000, 5, [](Generator& g) { return std::floor(3 * -std::log(g.uniform())); });
  for (std::size_t i = 0; i < tied.size(); i += 2) tied[i] = 0;
  for (const auto& values : {exponentials(3000, 2), tied, normals(40, 3), normals(7, 4)}) {
    const QuantileNormal step = scores_of(values);
    REQUIRE(ascends(step.knots(0)));
    REQUIRE(ascends(step.scores(0)));
    const double low = step.knots(0).front(), high = step.knots(0).back(), width = high - low;
    for (int i = -50; i <= 250; ++i) {
      const double x = low + width * (i + .123) / 200;
      const double z = step.transform(0, x);
      REQUIRE(std::abs(step.inverse(0, z) - x) <= 1e-12 * width);
      double log_jacobian = 1;
      step.log_jacobian(&x, 1, &log_jacobian);
      const double h = 1e-7 * width;
      const double up = step.slope(0, x + h), down = step.slope(0, x - h);
      if (up != down) continue;  // a knot lies between
      const double difference = (step.transform(0, x + h) - step.transform(0, x - h)) / (2 * h);
      REQUIRE(log_jacobian == doctest::Approx(1 + std::log(difference)).epsilon(1e-7));
    }
    for (double z = -6; z < 6; z += .01)
      REQUIRE(step.transform(0, step.inverse(0, z)) == doctest::Approx(z).epsilon(1e-9));
  }
}

TEST_CASE("normal scores: the mass of a spike lies in its tile") {
  // 79 % zeros, the others 1, 2, 3 ...: the tile of 0 is [-1/2, 1/2].
  std::vector<double> values(790, 0);
  for (int i = 1; i <= 210; ++i) values.push_back(i);
  const QuantileNormal step = scores_of(values);
  CHECK(step.knots(0).front() == -.5);
  CHECK(step.scores(0).front() == doctest::Approx(math::inverse_normal(.5 / 1000)).epsilon(1e-12));
  CHECK(step.transform(0, .5) ==
        doctest::Approx(math::inverse_normal((.5 + 790 * .999) / 1000)).epsilon(1e-12));
  // Two spikes with nothing between them: still ascending, the scores nearly meet.
  std::vector<double> spikes(500, 1);
  spikes.insert(spikes.end(), 200, 1.5);
  spikes.insert(spikes.end(), 500, 100);
  const QuantileNormal gap = scores_of(spikes);
  CHECK(ascends(gap.scores(0)));
  CHECK(gap.transform(0, 99) - gap.transform(0, 2) < 1e-3);
  CHECK(gap.inverse(0, gap.transform(0, 50.)) == doctest::Approx(50).epsilon(1e-9));
}

TEST_CASE("normal scores: missing values pass through and do not count") {
  std::vector<double> rows, present;
  for (const double v : exponentials(500, 9)) {
    rows.insert(rows.end(), {v, absent});
    present.push_back(v);
  }
  const QuantileNormal with = scores_of(rows), without = scores_of(present);
  CHECK(with.to_json() == without.to_json());
  CHECK(std::isnan(with.transform(0, absent)));
  CHECK(std::isnan(with.inverse(0, absent)));
  double log_jacobian = 3;
  with.log_jacobian(&absent, 1, &log_jacobian);
  CHECK(log_jacobian == 3);
  CHECK_SAYS(error_text(ErrorKind::data,
                        [] {
                          scores_of({2, 2, absent});
                        }),
             "column 'a' has no variation among the 2 training rows with a value");
  CHECK_SAYS(error_text(ErrorKind::data, [] { scores_of({}); }), "no variation");
}

TEST_CASE("normal scores: a scaler of present values beside it") {
  StandardScaler scaler(true);
  scaler.begin_fit({"a", "b"});
  const double first[] = {absent, 1, 2, absent}, second[] = {4, 5};
  scaler.observe(first, 2);
  scaler.observe(second, 1);
  scaler.end_fit();
  CHECK(scaler.means() == std::vector<double>{3, 3});
  CHECK(scaler.scales() == std::vector<double>{1, 2});
  double log_jacobian = 0;
  scaler.log_jacobian(first, 1, &log_jacobian);
  CHECK(log_jacobian == doctest::Approx(-std::log(2)));
}

#if __has_include(<nlohmann/json.hpp>)
TEST_CASE("normal scores: JSON there and back, and states that are refused") {
  Pipeline pipeline;
  pipeline.add("scores", std::make_unique<QuantileNormal>());
  const std::vector<double> rows = normals(600, 8);
  pipeline.fit({"a", "b"}, [&](const auto& see) { see(rows.data(), 300); });
  const Pipeline read = Pipeline::from_json(pipeline.to_json());
  CHECK(read.to_json() == pipeline.to_json());
  CHECK(read.hash() == pipeline.hash());
  std::vector<double> a(600), b(600);
  pipeline.transform(rows.data(), 300, a.data());
  read.transform(rows.data(), 300, b.data());
  CHECK(a == b);

  const auto state = [](std::vector<std::int64_t> counts, std::vector<double> x, std::vector<double> z,
                        double low = 1) {
    return QuantileNormal::from_state({"a"}, std::move(counts), std::move(x), std::move(z), {low}, {1});
  };
  CHECK_NOTHROW(state({2}, {0, 1}, {-1, 1}));
  CHECK_THROWS_AS(state({2, 2}, {0, 1}, {-1, 1}), IoError);
  CHECK_THROWS_AS(state({3}, {0, 1}, {-1, 1}), IoError);
  CHECK_THROWS_AS(state({1}, {0}, {-1}), IoError);
  CHECK_THROWS_AS(state({2}, {0, 1}, {-1, 1, 2}), IoError);
  CHECK_THROWS_AS(state({2}, {1, 1}, {-1, 1}), IoError);
  CHECK_THROWS_AS(state({2}, {0, 1}, {1, -1}), IoError);
  CHECK_THROWS_AS(state({2}, {0, absent}, {-1, 1}), IoError);
  CHECK_THROWS_AS(state({2}, {0, 1}, {-1, 1}, 0), IoError);
}
#endif
