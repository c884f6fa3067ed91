#include "emshap/models/marginal.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "emshap/core/error.h"

using namespace emshap;

namespace {

const double infinity = std::numeric_limits<double>::infinity();

Marginal three() {
  const double w[] = {std::log(.2), std::log(.5), std::log(.3)}, m[] = {-3, 0, 4},
               s[] = {std::log(.5), std::log(.05), std::log(2.)};
  return Marginal::mixture(w, m, s);
}

/// int (F(t) - [t >= x])^2 dt by the midpoint rule.
double crps_by_integration(const Marginal& m, double x, double from, double to, int steps) {
  const double h = (to - from) / steps;
  double sum = 0;
  for (int i = 0; i < steps; ++i) {
    const double t = from + (i + .5) * h;
    const double d = m.cdf(t) - (t >= x ? 1 : 0);
    sum += d * d * h;
  }
  return sum;
}

}  // namespace

TEST_CASE("a mixture's density, distribution function, intervals and moments agree with each other") {
  const Marginal m = three();
  double mass = 0, mean = 0, square = 0;
  const double h = 1e-3;
  for (int i = -20000; i < 20000; ++i) {
    const double t = (i + .5) * h, p = m.pdf(t) * h;
    mass += p;
    mean += p * t;
    square += p * t * t;
    if (i % 997 == 0) {
      const double interval = m.log_interval(t, t + 2 * h);
      CHECK(std::exp(interval) == doctest::Approx(m.cdf(t + 2 * h) - m.cdf(t)).epsilon(1e-8).scale(1e-6));
    }
  }
  CHECK(mass == doctest::Approx(1).epsilon(1e-9));
  CHECK(mean == doctest::Approx(m.mean()).epsilon(1e-8));
  CHECK(square - mean * mean == doctest::Approx(m.variance()).epsilon(1e-8));
  CHECK(m.mean() == doctest::Approx(.6).epsilon(1e-14));
  CHECK(m.log_interval(-infinity, infinity) == doctest::Approx(0).scale(1).epsilon(1e-14));
  CHECK(m.log_interval(1, 1) == -infinity);
  CHECK(std::isfinite(m.log_interval(200, 201)));  // where the distribution function is 1 to all digits
  CHECK(m.log_pdf(1e200) == -infinity);
}

TEST_CASE("quantiles invert the distribution function, far tails and separate modes included") {
  const double w[] = {0, 0}, far[] = {-1e4, 1e4}, s[] = {0, std::log(1e-6)};
  for (const Marginal& m : {three(), Marginal::mixture(w, far, s)})
    for (const double p : {1e-300, 1e-12, 1e-3, .2, .4999, .5, .5001, .7, .99, 1 - 1e-10}) {
      CAPTURE(p);
      const double x = m.quantile(p);
      const double e = 1e-13 * (1 + std::abs(x));
      CHECK(m.cdf(x - e) <= p * (1 + 1e-9));
      CHECK(m.cdf(x + e) >= p * (1 - 1e-9));
    }
  const double zero[] = {0};
  const Marginal normal = Marginal::mixture(zero, zero, zero);
  CHECK(normal.quantile(.975) == doctest::Approx(1.959963984540054).epsilon(1e-14));
  CHECK_THROWS_AS(normal.quantile(0), ConfigError);
  CHECK_THROWS_AS(normal.quantile(1), ConfigError);
}

TEST_CASE("the ranked probability score equals its integral") {
  const Marginal m = three();
  for (const double x : {-8., -3., 0., .02, 1., 4., 9.5}) {
    CAPTURE(x);
    CHECK(m.crps(x) == doctest::Approx(crps_by_integration(m, x, -12, 20, 640000)).epsilon(1e-5));
  }
  // N(0, 1) at its mean: (sqrt 2 - 1) / sqrt pi (Gneiting & Raftery 2007).
  const double zero[] = {0};
  CHECK(Marginal::mixture(zero, zero, zero).crps(0) ==
        doctest::Approx((std::sqrt(2.) - 1) / std::sqrt(std::acos(-1.))).epsilon(1e-14));
}

TEST_CASE("a discrete distribution joins and orders its values") {
  const double values[] = {2, -1, 2, 5}, p[] = {.1, .4, .2, .3};
  const Marginal d = Marginal::discrete(values, p);
  CHECK(d.is_discrete());
  CHECK(d.locations() == std::vector<double>{-1, 2, 5});
  CHECK(d.log_pdf(2) == doctest::Approx(std::log(.3)));
  CHECK(d.log_pdf(2.5) == -infinity);
  CHECK(d.cdf(-1) == doctest::Approx(.4));
  CHECK(d.cdf(4.9) == doctest::Approx(.7));
  CHECK(d.quantile(.4) == -1);
  CHECK(d.quantile(.41) == 2);
  CHECK(d.quantile(.99) == 5);
  CHECK(d.log_interval(-1, 5) == doctest::Approx(std::log(.6)));
  CHECK(d.mean() == doctest::Approx(1.7));
  CHECK(d.variance() == doctest::Approx(.4 * 2.7 * 2.7 + .3 * .09 + .3 * 3.3 * 3.3));
  for (const double x : {-3., -1., 0., 2., 7.})
    CHECK(d.crps(x) == doctest::Approx(crps_by_integration(d, x, -4, 8, 120000)).epsilon(1e-3));
}

TEST_CASE("the score of a sample is its energy form, with and without weights") {
  std::vector<double> sample, weights;
  for (int k = 0; k < 57; ++k) {
    sample.push_back(std::sin(12.9898 * k) * 3);
    weights.push_back(1 + std::cos(7. * k));
  }
  sample[5] = sample[9];
  const auto direct = [&](const std::vector<double>& w, double x) {
    double total = 0, near = 0, spread = 0;
    for (std::size_t k = 0; k < sample.size(); ++k) {
      total += w[k];
      near += w[k] * std::abs(sample[k] - x);
      for (std::size_t j = 0; j < sample.size(); ++j) spread += w[k] * w[j] * std::abs(sample[k] - sample[j]);
    }
    return near / total - spread / (2 * total * total);
  };
  for (const double x : {-5., -.3, sample[9], 2.9, 40.}) {
    CHECK(crps_of_sample(sample, weights, x) == doctest::Approx(direct(weights, x)).epsilon(1e-11));
    CHECK(crps_of_sample(sample, {}, x) ==
          doctest::Approx(direct(std::vector<double>(57, 1.), x)).epsilon(1e-11));
  }
  const double one[] = {2};
  CHECK(crps_of_sample(one, {}, 5) == 3);
  const double few[] = {3, 1, 2}, loads[] = {1, 1, 2};
  CHECK(quantile_of_sample(few, {}, .5) == 2);
  CHECK(quantile_of_sample(few, loads, .25) == 1);
  CHECK(quantile_of_sample(few, loads, .76) == 3);
  CHECK_THROWS_AS(crps_of_sample({}, {}, 0), ConfigError);
}

TEST_CASE("marginals of a row of conditionals") {
  FeatureLayout layout;
  layout.categories = {0, 3};
  layout.values = {-1, 0, 2};
  layout.frequencies = {.2, .3, .5};
  Conditionals c;
  c.mixture = Tensor::zeros({2, 2, 6});
  c.categorical = Tensor::zeros({2, 3});
  float* m = c.mixture.ptr<float>() + 12;  // row 1, feature 0
  m[0] = std::log(.25f);
  m[1] = std::log(.75f);
  m[2] = -1;
  m[3] = 2;
  m[4] = std::log(.5f);
  m[5] = 0;
  for (int v = 0; v < 3; ++v) c.categorical.ptr<float>()[3 + v] = std::log(v == 1 ? .5f : .25f);
  const Marginal numeric = Marginal::of(c, layout, 1, 0), categories = Marginal::of(c, layout, 1, 1);
  CHECK(numeric.mean() == doctest::Approx(1.25));
  CHECK(categories.is_discrete());
  CHECK(categories.log_pdf(0) == doctest::Approx(std::log(.5)));
  CHECK_THROWS_AS(Marginal::of(c, layout, 2, 0), ShapeError);
  CHECK_THROWS_AS(Marginal::of(c, layout, 0, 2), ShapeError);
  const double nothing[] = {std::nan("")}, zero[] = {0};
  CHECK_THROWS_AS(Marginal::mixture(nothing, zero, zero), ConfigError);
  CHECK_THROWS_AS(Marginal::mixture({}, {}, {}), ConfigError);
}
