// v(S, x) in closed form, Shapley values by enumeration: against values worked out elsewhere.
#include <doctest/doctest.h>

#include "emshap/explain/shapley_solver.h"
#include "explain/games.h"
#include "support/closed_forms.h"
#include "support/compare.h"

using namespace emshap;
using namespace emshap::test;

namespace {

using Strategy = CoalitionStrategy;

Vector vec(std::initializer_list<double> values) {
  return to_vector(std::span<const double>(values.begin(), values.size()));
}

/// Shapley values of v(known) over a set of coalitions.
template <class Value>
std::vector<double> shapley(const Coalitions& set, const Value& value) {
  const auto M = static_cast<std::size_t>(set.players);
  Tensor v({1, set.size()}, DType::f64), phi({1, set.players}, DType::f64);
  for (std::int64_t c = 0; c < set.size(); ++c) v.ptr<double>()[c] = value(Known(set.row(c), M));
  ShapleySolver(set).solve(v, phi);
  return to_doubles(phi);
}
template <class Value>
std::vector<double> shapley(std::int64_t players, const Value& value) {
  return shapley(Coalitions::make(players, Strategy::exact, std::int64_t{1} << players, 1), value);
}

}  // namespace

TEST_SUITE("golden values") {
  TEST_CASE("linear function of equicorrelated Gaussian features") {
    const Gaussian g{Vector::Zero(4), equicorrelation(4, .5)};
    const Vector beta = vec({1, -2, .5, 3}), x = vec({.3, -1.2, .7, 2});
    const std::vector<double> golden{.2864583333, 2.1281250000, .6795138889, 5.9559027778};
    check_close("enumerated", shapley(4, [&](Known s) { return beta.dot(g.given(s, x).mean); }), golden,
                {1e-9, 0});
    const Vector closed = equicorrelated_linear_shapley(beta, x, .5);
    check_close("closed form", {closed.data(), 4}, golden, {1e-9, 0});
  }

  TEST_CASE("x1 x2 + cos x3 of Gaussian features") {
    const Gaussian g{Vector::Zero(3), power_correlation(3, .7)};
    const Vector x = vec({.5, -1, 1.5});
    const auto value = [&](Known s) {
      const Gaussian c = g.given(s, x);
      return expected_product(c, 0, 1) + expected_cos(c, 2);
    };
    check_close("enumerated", shapley(3, value),
                std::vector<double>{-.8658445600, -.5236357997, -.3463130984}, {1e-9, 0});
  }

  TEST_CASE("sum of the features of a Gaussian mixture") {
    const Vector mean = vec({1, -.5, 1}), x = vec({.5, -1, 1.5});
    const GaussianMixture mixture{{.5, .5},
                                  {{mean, equicorrelation(3, .2)}, {-mean, equicorrelation(3, .2)}}};
    const auto value = [&](Known s) {
      return mixture.expected(s, x, [](const Gaussian& c) { return c.mean.sum(); });
    };
    check_close("enumerated", shapley(3, value), std::vector<double>{.0794907445, -.5207942302, 1.4413034858},
                {1e-9, 0});
  }

  TEST_CASE("a function of two dependent bits") {
    const PointMasses bits{{{{0, 0}, .4}, {{0, 1}, .1}, {{1, 0}, .2}, {{1, 1}, .3}}};
    const auto f = [](const std::vector<double>& v) { return 2 * v[0] + 3 * v[1] - v[0] * v[1]; };
    const Vector x = vec({1, 1});
    check_close("enumerated", shapley(2, [&](Known s) { return bits.expected(s, x, f); }),
                std::vector<double>{.775, 1.325}, {1e-12, 0});
  }

  TEST_CASE("the closed form for any number of features is what enumeration gives") {
    Generator random({.seed = 5, .purpose = RandomPurpose::test});
    for (const Eigen::Index M : {1, 2, 3, 7, 10}) {
      Vector beta(M), x(M);
      for (Eigen::Index j = 0; j < M; ++j) beta(j) = random.normal(), x(j) = random.normal();
      for (const double rho : {0.0, .3, .9}) {
        const Gaussian g{Vector::Zero(M), equicorrelation(M, rho)};
        const Vector closed = equicorrelated_linear_shapley(beta, x, rho);
        check_close("closed form", shapley(M, [&](Known s) { return beta.dot(g.given(s, x).mean); }),
                    {closed.data(), static_cast<std::size_t>(M)}, {1e-11, 0});
      }
    }
  }
}

TEST_SUITE("closed forms") {
  TEST_CASE("expectations under a Gaussian are means over its draws") {
    const Gaussian g{vec({.4, -.3, .2}), 1.5 * power_correlation(3, .6)};
    const ReluNetwork net = ReluNetwork::random(3, 8, 3);
    constexpr int draws = 200000;
    Generator random({.seed = 8, .purpose = RandomPurpose::test});
    std::vector<double> sum(7, 0.0), square(7, 0.0);
    for (int k = 0; k < draws; ++k) {
      const Vector x = g.draw(random);
      const double f[] = {std::cos(x(0)),        std::sin(x(1)),      x(0) * x(2), x(0) * x(1) * x(1),
                          x(1) > 0 ? 1.0 : -1.0, std::max(0.0, x(2)), net(x)};
      for (std::size_t i = 0; i < 7; ++i) sum[i] += f[i], square[i] += f[i] * f[i];
    }
    const double closed[] = {expected_cos(g, 0),
                             expected_sin(g, 1),
                             expected_product(g, 0, 2),
                             expected_product_square(g, 0, 1),
                             expected_sign(g, 1),
                             expected_relu(g.mean(2), std::sqrt(g.covariance(2, 2))),
                             net.expected(g)};
    for (std::size_t i = 0; i < 7; ++i) {
      CAPTURE(i);
      const double mean = sum[i] / draws, se = std::sqrt((square[i] / draws - mean * mean) / draws);
      CHECK(std::abs(mean - closed[i]) < 4 * se);
    }
  }

  TEST_CASE("known features keep their value, and conditioning twice is conditioning once") {
    const Gaussian g{vec({.4, -.3, .2, 1}), power_correlation(4, .6)};
    const Vector x = vec({1, 2, 3, 4});
    const std::uint8_t first[] = {0, 1, 0, 0}, both[] = {0, 1, 0, 1}, all[] = {1, 1, 1, 1},
                       none[] = {0, 0, 0, 0};
    const Gaussian once = g.given(both, x);
    CHECK(once.mean(1) == 2);
    CHECK(once.mean(3) == 4);
    CHECK(once.covariance.row(1).norm() == 0);
    CHECK(g.given(all, x).mean == x);
    CHECK(g.given(none, x).mean == g.mean);
    CHECK(g.given(none, x).covariance == g.covariance);
    // Chain rule: p(x_1, x_3) = p(x_1) p(x_3 | x_1).
    const Gaussian step = g.given(first, x);
    const double v = step.covariance(3, 3);
    const double last = std::log(normal_pdf((4 - step.mean(3)) / std::sqrt(v)) / std::sqrt(v));
    CHECK(g.log_density(both, x) == doctest::Approx(g.log_density(first, x) + last).epsilon(1e-12));
    CHECK(ReluNetwork::random(4, 5, 1).expected(g.given(all, x)) ==
          doctest::Approx(ReluNetwork::random(4, 5, 1)(x)).epsilon(1e-14));
  }

  TEST_CASE("Burr: moments and densities given some features") {
    const Burr burr{4, vec({.7, 1.3, 1}), vec({2, 3, 2.5})};
    Generator random({.seed = 18, .purpose = RandomPurpose::test});
    constexpr int draws = 400000;
    // E[X_2 | X_0 near a] by the draws that fall there.
    const double a = .8, width = .01;
    double sum = 0, square = 0, count = 0, mean_all = 0, square_all = 0;
    for (int k = 0; k < draws; ++k) {
      const Vector x = burr.draw(random);
      mean_all += x(1) / draws;
      square_all += x(1) * x(1) / draws;
      if (std::abs(x(0) - a) > width) continue;
      sum += x(2), square += x(2) * x(2), ++count;
    }
    const double mean = sum / count, se = std::sqrt((square / count - mean * mean) / count);
    const std::uint8_t known[] = {1, 0, 0}, second[] = {0, 0, 1}, two[] = {1, 0, 1};
    const Vector x = vec({a, 0, .6});
    CHECK(std::abs(burr.given(known, x).moment(2, 1) - mean) < 4 * se + 1e-3);
    CHECK(std::abs(burr.moment(1, 1) - mean_all) < 4 * std::sqrt((square_all - mean_all * mean_all) / draws));
    CHECK(burr.log_density(two, x) ==
          doctest::Approx(burr.log_density(known, x) + burr.given(known, x).log_density(second, x))
              .epsilon(1e-12));
  }
}
