// How far sampled coalitions and noisy values lead from the truth, and whether the standard errors say so.
// Games whose Shapley values are known; all numbers follow from fixed seeds.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "emshap/core/context.h"
#include "emshap/explain/players.h"
#include "emshap/explain/shapley_solver.h"
#include "explain/games.h"
#include "support/closed_forms.h"
#include "support/compare.h"

using namespace emshap;
using namespace emshap::test;

namespace {

using Strategy = CoalitionStrategy;
constexpr Strategy sampled[] = {Strategy::kernel, Strategy::leverage, Strategy::permutation};

/// v of all coalitions of a set, (1, C).
using Values = std::function<Tensor(const Coalitions&)>;

struct Spread {
  double error = 0;      ///< root mean square over repetitions and players
  double reported = 0;   ///< the same of the reported standard errors
  double least = 1e300;  ///< smallest and largest ratio reported / true of a player
  double most = 0;
};

Spread sampling_spread(std::int64_t players, const Values& values, const std::vector<double>& truth,
                       Strategy strategy, std::int64_t budget, int repetitions) {
  const auto M = static_cast<std::size_t>(players);
  std::vector<double> squares(M, 0.0), variances(M, 0.0);
  Tensor phi({1, players}, DType::f64), variance({1, players}, DType::f64);
  for (int r = 0; r < repetitions; ++r) {
    const Coalitions set = Coalitions::make(players, strategy, budget, 1000 + static_cast<std::uint64_t>(r));
    const ShapleySolver solver(set);
    const Tensor v = values(set);
    solver.solve(v, phi);
    solver.sampling_variance(v, phi, variance);
    for (std::size_t j = 0; j < M; ++j) {
      squares[j] += std::pow(phi.ptr<double>()[j] - truth[j], 2) / repetitions;
      variances[j] += variance.ptr<double>()[j] / repetitions;
    }
  }
  Spread out;
  for (std::size_t j = 0; j < M; ++j) {
    out.error += squares[j] / static_cast<double>(M);
    out.reported += variances[j] / static_cast<double>(M);
    out.least = std::min(out.least, std::sqrt(variances[j] / squares[j]));
    out.most = std::max(out.most, std::sqrt(variances[j] / squares[j]));
  }
  out.error = std::sqrt(out.error);
  out.reported = std::sqrt(out.reported);
  return out;
}

Values values_of(const Game& game) {
  return [&game](const Coalitions& set) { return game.values_of(set); };
}

/// f = beta'x of equicorrelated Gaussian features: v(S) = sum_S beta x + c(s) sum_S x sum_U beta.
struct LinearGame {
  Vector beta, x, truth;
  double rho;
  LinearGame(Eigen::Index players, double correlation, std::uint64_t seed) : beta(players), rho(correlation) {
    Generator random({.seed = seed, .purpose = RandomPurpose::test});
    for (Eigen::Index j = 0; j < players; ++j) beta(j) = random.normal();
    x = Gaussian{Vector::Zero(players), equicorrelation(players, rho)}.draw(random);
    truth = equicorrelated_linear_shapley(beta, x, rho);
  }
  Tensor operator()(const Coalitions& set) const {
    Tensor v({1, set.size()}, DType::f64);
    for (std::int64_t c = 0; c < set.size(); ++c) {
      double in = 0, sum_x = 0, sum_beta = 0, size = 0;
      for (Eigen::Index j = 0; j < beta.size(); ++j)
        if (set.row(c)[j] != 0)
          in += beta(j) * x(j), sum_x += x(j), ++size;
        else
          sum_beta += beta(j);
      v.ptr<double>()[c] = in + (size > 0 ? rho / (1 + (size - 1) * rho) : 0) * sum_x * sum_beta;
    }
    return v;
  }
  std::vector<double> shapley() const { return {truth.data(), truth.data() + truth.size()}; }
  double range() const { return truth.maxCoeff() - truth.minCoeff(); }
};

double slope(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double a = std::log(x[i]), b = std::log(y[i]);
    sx += a, sy += b, sxx += a * a, sxy += a * b;
  }
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

/// Of the error against the number of coalitions, and against the degrees of freedom of the least squares.
struct Slopes {
  double coalitions, freedom;
};
Slopes slopes_of(const LinearGame& game, Strategy strategy, const std::vector<double>& budgets,
                 int repetitions) {
  const auto M = static_cast<std::int64_t>(game.beta.size());
  std::vector<double> errors, freedom;
  for (const double budget : budgets) {
    const auto count = static_cast<std::int64_t>(budget);
    errors.push_back(
        sampling_spread(game.beta.size(), std::cref(game), game.shapley(), strategy, count, repetitions)
            .error);
    const Coalitions set = Coalitions::make(M, strategy, count, 1);
    freedom.push_back(static_cast<double>((set.size() - 2) / 2) -
                      static_cast<double>(M - 1 + ShapleySolver(set).size_intercepts()));
  }
  return {slope(budgets, errors), slope(freedom, errors)};
}

/// Ratio of reported and true standard deviation of phi by noise, over seeds.
double noise_ratio(bool shared, int repetitions) {
  constexpr std::int64_t M = 6;
  const Game game = random_game(M, 3);
  const Players players = Players::single({"a", "b", "c", "d", "e", "f"});
  const Coalitions set = Coalitions::make(M, Strategy::exact, 64, 1);
  const ShapleySolver solver(set);
  const std::vector<double> truth = game.shapley();
  const Tensor masks = players.masks(set), x = Tensor::zeros({1, M});
  TeamPool pool(1);
  CoalitionValues values;
  Tensor phi({1, M}, DType::f64), variance({1, M}, DType::f64);
  double squares = 0, reported = 0;
  for (int r = 0; r < repetitions; ++r) {
    const TableValues table(
        players.names, [&](Known known, std::span<const float>) { return game(known.data()); },
        {.sd = .3, .replicates = 8, .shared = shared, .seed = static_cast<std::uint64_t>(r)});
    table.evaluate(pool, {x, {}}, masks, values);
    solver.solve(values.value, phi);
    solver.noise_variance(values.deviation, values.shared_noise, variance);
    for (std::int64_t j = 0; j < M; ++j) {
      squares += std::pow(phi.ptr<double>()[j] - truth[static_cast<std::size_t>(j)], 2);
      reported += variance.ptr<double>()[j];
    }
  }
  return std::sqrt(reported / squares);
}

}  // namespace

TEST_SUITE("errors of Shapley values") {
  TEST_CASE("standard errors of sampled coalitions: 40 repetitions") {
    const Game game = random_game(12, 4);
    const std::vector<double> truth = game.shapley();
    for (const Strategy strategy : sampled)
      for (const std::int64_t budget : {60, 400}) {
        CAPTURE(std::string(to_string(strategy)));
        CAPTURE(budget);
        const Spread spread = sampling_spread(12, values_of(game), truth, strategy, budget, 40);
        CHECK(spread.reported / spread.error > .8);
        CHECK(spread.reported / spread.error < 1.25);
      }
  }

  TEST_CASE("standard errors of shared and of independent noise") {
    for (const bool shared : {true, false}) {
      CAPTURE(shared);
      const double ratio = noise_ratio(shared, 200);
      CHECK(ratio > .8);
      CHECK(ratio < 1.25);
    }
  }

  TEST_CASE("a hundred equicorrelated features: the closed form is met within the standard errors") {
    const LinearGame game(100, .3, 3);
    for (const Strategy strategy : sampled) {
      const Spread spread = sampling_spread(100, std::cref(game), game.shapley(), strategy, 2048, 3);
      CAPTURE(std::string(to_string(strategy)));
      CHECK(spread.error < .04 * game.range());
      CHECK(spread.reported / spread.error > .8);
      CHECK(spread.reported / spread.error < 1.25);
    }
  }
}

TEST_SUITE("slow errors of Shapley values") {
  TEST_CASE("standard errors of sampled coalitions: 200 repetitions, each player") {
    const Game all_orders = random_game(12, 4);
    const Game low_orders = unanimity_game(12, random_terms(12, 3, 5));
    for (const Game* game : {&all_orders, &low_orders})
      for (const Strategy strategy : sampled)
        for (const std::int64_t budget : {60, 100, 200, 400, 1000, 3500}) {
          CAPTURE(std::string(to_string(strategy)));
          CAPTURE(budget);
          const Spread spread = sampling_spread(12, values_of(*game), game->shapley(), strategy, budget, 200);
          CHECK(spread.reported / spread.error > .9);
          CHECK(spread.reported / spread.error < 1.06);
          CHECK(spread.least > .8);
          CHECK(spread.most < 1.25);
        }
  }

  TEST_CASE("errors fall with the root of the number of coalitions") {
    // F = 50: the sizes that are enumerated stay the same over these budgets.
    const LinearGame game(50, .3, 3);
    for (const Strategy strategy : sampled) {
      CAPTURE(std::string(to_string(strategy)));
      const double s = slopes_of(game, strategy, {2048, 4096, 8192, 16384, 32768}, 20).coalitions;
      CHECK(s > -.6);
      CHECK(s < -.4);
      // With 1,024 coalitions the least squares have 73 unknowns for 511 pairs: what errors fall with the
      // root of is what is left.
      const Slopes early = slopes_of(game, strategy, {1024, 2048, 4096, 8192, 16384}, 20);
      const double t = strategy == Strategy::permutation ? early.coalitions : early.freedom;
      CHECK(t > -.6);
      CHECK(t < -.4);
    }
  }

  TEST_CASE("errors fall faster where more sizes are enumerated, and to nothing at last") {
    const Game game = random_game(10, 6);
    const std::vector<double> truth = game.shapley();
    for (const Strategy strategy : sampled) {
      double before = 1e300;
      for (const std::int64_t budget : {64, 128, 256, 512, 1024}) {
        const Spread spread = sampling_spread(10, values_of(game), truth, strategy, budget, 40);
        CHECK(spread.error < .72 * before);
        before = spread.error;
      }
      CHECK(before < 1e-12);
    }
  }

  TEST_CASE("fifty and a hundred equicorrelated features against the closed form") {
    for (const Eigen::Index players : {50, 100})
      for (const Strategy strategy : sampled) {
        const LinearGame game(players, .3, 3);
        const Spread spread = sampling_spread(players, std::cref(game), game.shapley(), strategy, 16384, 10);
        CAPTURE(std::string(to_string(strategy)));
        MESSAGE("F = " << players << ", " << std::string(to_string(strategy)) << ", 16384 coalitions: error "
                       << 100 * spread.error / game.range() << " % of the spread of phi, reported "
                       << 100 * spread.reported / game.range() << " %");
        CHECK(spread.error < .011 * game.range());
        CHECK(spread.reported / spread.error > .8);
        CHECK(spread.reported / spread.error < 1.25);
      }
  }

  TEST_CASE("standard errors of values by draws from a Gaussian, the same for all coalitions") {
    constexpr std::int64_t M = 4, K = 64, G = 8;
    const Gaussian g{Vector::Zero(M), power_correlation(M, .7)};
    Vector x(M);
    x << .5, -1, 1.5, .3;
    const Coalitions set = Coalitions::make(M, Strategy::exact, 16, 1);
    const ShapleySolver solver(set);
    const auto f = [](const Vector& v) { return v(0) * v(1) + std::cos(v(2)) + v(3) * v(0) * v(0); };
    const auto truth_of = [&](Known known) {
      const Gaussian c = g.given(known, x);
      return expected_product(c, 0, 1) + expected_cos(c, 2) + expected_product_square(c, 3, 0);
    };
    Tensor v({1, 16}, DType::f64), d({1, 16, G}, DType::f64), phi({1, M}, DType::f64),
        variance({1, M}, DType::f64), exact({1, M}, DType::f64);
    const auto known_of = [&](std::int64_t c) { return Known(set.row(c), static_cast<std::size_t>(M)); };
    for (std::int64_t c = 0; c < 16; ++c) v.ptr<double>()[c] = truth_of(known_of(c));
    solver.solve(v, exact);
    std::vector<double> squares(M, 0.0), reported(M, 0.0);
    for (std::uint64_t r = 0; r < 200; ++r) {
      Generator random({.seed = r, .purpose = RandomPurpose::test});
      Matrix z(M, K);
      for (Eigen::Index k = 0; k < K; ++k)
        for (Eigen::Index j = 0; j < M; ++j) z(j, k) = random.normal();
      for (std::int64_t c = 0; c < 16; ++c) {
        double* const dev = d.ptr<double>() + c * G;
        std::fill(dev, dev + G, 0.0);
        if (c < 2) {
          v.ptr<double>()[c] = truth_of(known_of(c));
          continue;
        }
        const Gaussian given = g.given(known_of(c), x);
        const auto out = features_where(known_of(c), false);
        const Matrix lower = Eigen::LLT<Matrix>(Matrix(given.covariance(out, out))).matrixL();
        Vector y(K), point = x;
        for (Eigen::Index k = 0; k < K; ++k) {
          point(out) = Vector(given.mean(out)) + lower * Vector(z.col(k)(out));
          y(k) = f(point);
        }
        v.ptr<double>()[c] = y.mean();
        for (Eigen::Index k = 0; k < K; ++k) dev[k / (K / G)] += (y(k) - y.mean()) / K;
      }
      solver.solve(v, phi);
      solver.noise_variance(d, true, variance);
      for (std::size_t j = 0; j < M; ++j) {
        squares[j] += std::pow(phi.ptr<double>()[j] - exact.ptr<double>()[j], 2);
        reported[j] += variance.ptr<double>()[j];
      }
    }
    for (std::size_t j = 0; j < M; ++j) {
      const double ratio = std::sqrt(reported[j] / squares[j]);
      CAPTURE(ratio);
      CHECK(ratio > .8);
      CHECK(ratio < 1.25);
    }
  }
}
