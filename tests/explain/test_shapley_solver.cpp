#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "emshap/core/error.h"
#include "emshap/explain/shapley_solver.h"
#include "explain/games.h"
#include "support/compare.h"

using namespace emshap;
using namespace emshap::test;

namespace {

using Strategy = CoalitionStrategy;
constexpr Strategy all_strategies[] = {Strategy::exact, Strategy::kernel, Strategy::leverage,
                                       Strategy::permutation};

std::vector<double> solve(const ShapleySolver& solver, const Tensor& values) {
  Tensor phi({values.rows(), solver.players()}, DType::f64);
  solver.solve(values, phi);
  return to_doubles(phi);
}
std::vector<double> solve(const Coalitions& set, const Game& game) {
  return solve(ShapleySolver(set), game.values_of(set));
}

Coalitions exact(std::int64_t players) {
  return Coalitions::make(players, Strategy::exact, std::int64_t{1} << players, 1);
}

/// All M! orders, each followed by its reverse.
Coalitions all_orders(std::int64_t players) {
  Coalitions set = exact(players);
  set.strategy = Strategy::permutation;
  std::vector<std::int64_t> order(static_cast<std::size_t>(players));
  std::iota(order.begin(), order.end(), 0);
  do {
    if (order.front() > order.back()) continue;
    set.orders.push_back(order);
    set.orders.emplace_back(order.rbegin(), order.rend());
  } while (std::next_permutation(order.begin(), order.end()));
  return set;
}

/// The game on the players that are not absent, lifted to all: absent ones change nothing.
Game without(const Game& game, std::size_t absent) {
  Game out = game;
  for (std::size_t b = 0; b < out.value.size(); ++b) out.value[b] = game.value[b & ~absent];
  return out;
}

Tensor random_tensor(Shape shape, std::uint64_t seed, double shift = 0) {
  return make_tensor(random_values(shape.elements(), seed, 1, shift), shape, DType::f64);
}

double total(const std::vector<double>& phi) {
  return std::accumulate(phi.begin(), phi.end(), 0.0);
}

}  // namespace

TEST_SUITE("shapley solver") {
  TEST_CASE("enumeration, kernel, leverage and all orders agree with the definition up to order 5") {
    const auto terms = random_terms(6, 5, 3);
    const Game game = unanimity_game(6, terms);
    const std::vector<double> truth = unanimity_shapley(6, terms);
    check_close("definition", game.shapley(), truth, {1e-12, 0});
    for (const Strategy strategy : all_strategies)
      check_close(to_string(strategy), solve(Coalitions::make(6, strategy, 64, 9), game), truth, {1e-12, 0});
    check_close("all orders", solve(all_orders(6), game), truth, {1e-12, 0});
    check_close("twelve players", solve(exact(12), random_game(12, 4)), random_game(12, 4).shapley(),
                {1e-10, 0});
  }

  TEST_CASE("a set of pairs without sizes left out sees interactions of every order exactly where it can") {
    // With all coalitions of sizes 1 and M - 1 a game of order 2 is solved exactly by any weights of the
    // rest.
    const auto terms = random_terms(10, 2, 8);
    for (const Strategy strategy : {Strategy::kernel, Strategy::leverage})
      check_close(to_string(strategy),
                  solve(Coalitions::make(10, strategy, 60, 2), unanimity_game(10, terms)),
                  unanimity_shapley(10, terms), {1e-10, 0});
  }

  TEST_CASE("the system of all coalitions is the one known") {
    // A = sum w z z': diagonal 1/2, one number elsewhere.
    const Coalitions set = exact(12);
    double diagonal = 0, off = 0;
    for (std::int64_t c = 0; c < set.size(); ++c) {
      const double w = set.weight[static_cast<std::size_t>(c)];
      diagonal += w * set.row(c)[3];
      off += w * set.row(c)[3] * set.row(c)[8];
    }
    CHECK(std::abs(diagonal - .5) < 1e-13);
    CHECK(std::abs(off - .334430361601223) < 1e-14);
    CHECK(ShapleySolver(set).condition() == doctest::Approx(1).epsilon(1e-10));
    CHECK(ShapleySolver(set).ridge() == 0);
  }

  TEST_CASE("no, one and two players") {
    check_close("none", solve(exact(0), Game{0, {3}}), {}, {});
    check_close("one", solve(exact(1), Game{1, {3, 5}}), std::vector<double>{2}, {1e-15, 0});
    check_close("two", solve(exact(2), Game{2, {1, 2, 4, 9}}), std::vector<double>{3, 5}, {1e-14, 0});
    Tensor phi({0, 2}, DType::f64);
    ShapleySolver(exact(2)).solve(Tensor({0, 4}, DType::f64), phi);
    for (const std::int64_t M : {0, 1, 2}) {
      const ShapleySolver solver(exact(M));
      const Tensor v = random_tensor({3, solver.coalitions()}, 1);
      Tensor out({3, M}, DType::f64), variance({3, M}, DType::f64);
      solver.solve(v, out);
      solver.sampling_variance(v, out, variance);
      for (const double x : to_doubles(variance)) CHECK(x == 0);
      solver.noise_variance(Tensor::zeros({3, solver.coalitions(), 2}, DType::f64), true, variance);
      for (const double x : to_doubles(variance)) CHECK(x == 0);
    }
  }

  TEST_CASE("efficiency and linearity hold for every set, whatever the values") {
    for (const Strategy strategy : all_strategies)
      for (const std::int64_t M : {3, 8, 12, 33, 128}) {
        if (strategy == Strategy::exact && M > 12) continue;
        CAPTURE(std::string(to_string(strategy)));
        CAPTURE(M);
        const std::int64_t budget = strategy == Strategy::exact ? std::int64_t{1} << M : 6 * M;
        const ShapleySolver solver(Coalitions::make(M, strategy, budget, 4));
        const std::int64_t C = solver.coalitions();
        const Tensor a = random_tensor({1, C}, 1), b = random_tensor({1, C}, 2, 1000);
        const std::vector<double> pa = solve(solver, a), pb = solve(solver, b);
        CHECK(std::abs(total(pa) - (a.ptr<double>()[1] - a.ptr<double>()[0])) < 1e-10);
        CHECK(std::abs(total(pb) - (b.ptr<double>()[1] - b.ptr<double>()[0])) < 1e-10);
        Tensor sum({1, C}, DType::f64);
        for (std::int64_t c = 0; c < C; ++c)
          sum.ptr<double>()[c] = 2 * a.ptr<double>()[c] - 3 * b.ptr<double>()[c];
        std::vector<double> combined(pa.size());
        for (std::size_t j = 0; j < pa.size(); ++j) combined[j] = 2 * pa[j] - 3 * pb[j];
        check_close("linearity", solve(solver, sum), combined, {1e-10, 0});
        // R is what solve() applies.
        std::vector<double> product(pa.size(), 0.0);
        for (std::int64_t j = 0; j < M; ++j)
          for (std::int64_t c = 0; c < C; ++c)
            product[static_cast<std::size_t>(j)] +=
                solver.matrix().ptr<double>()[j * C + c] * a.ptr<double>()[c];
        check_close("R v", product, pa, {1e-10, 0});
      }
  }

  TEST_CASE("dummy and symmetric players at full enumeration") {
    // Player 2 adds 1.5 to everything, players 0 and 4 are alike.
    Game game = random_game(7, 6);
    const auto value = [&](std::size_t b) {
      const std::size_t others = b & 0b1101010, alike = (b & 1) + (b >> 4 & 1);
      return random_game(7, 6).value[others] * (1 + static_cast<double>(alike * alike)) +
             (b >> 2 & 1 ? 1.5 : 0);
    };
    for (std::size_t b = 0; b < game.value.size(); ++b) game.value[b] = value(b);
    for (const Coalitions& set : {exact(7), all_orders(7)}) {
      const std::vector<double> phi = solve(set, game);
      CHECK(std::abs(phi[2] - 1.5) < 1e-10);
      CHECK(std::abs(phi[0] - phi[4]) < 1e-10);
      CHECK(std::abs(phi[0] - phi[1]) > 1e-3);
    }
  }

  TEST_CASE("absent players get nothing, the others what the smaller game gives") {
    const Game game = random_game(7, 12);
    const std::vector<std::uint8_t> absent{0, 1, 0, 0, 1, 0, 0};
    const Game lifted = without(game, 0b10010);
    const std::vector<double> truth = lifted.shapley();
    for (const Coalitions& set : {exact(7), all_orders(7)}) {
      const ShapleySolver solver(set, absent);
      const std::vector<double> phi = solve(solver, lifted.values_of(set));
      check_close("absent", phi, truth, {1e-12, 0});
      CHECK(phi[1] == 0);
      CHECK(phi[4] == 0);
    }
    for (const Strategy strategy : {Strategy::kernel, Strategy::leverage, Strategy::permutation}) {
      const Coalitions set = Coalitions::make(7, strategy, 60, 3);
      const ShapleySolver solver(set, absent);
      const Tensor v = lifted.values_of(set);
      const std::vector<double> phi = solve(solver, v);
      CHECK(phi[1] == 0);
      CHECK(phi[4] == 0);
      CHECK(std::abs(total(phi) - (v.ptr<double>()[1] - v.ptr<double>()[0])) < 1e-12);
      Tensor variance({1, 7}, DType::f64);
      solver.sampling_variance(v, make_tensor(phi, {1, 7}, DType::f64), variance);
      CHECK(variance.ptr<double>()[1] == 0);
      CHECK(variance.ptr<double>()[0] > 0);
      solver.noise_variance(random_tensor({1, set.size(), 4}, 3), true, variance);
      CHECK(variance.ptr<double>()[4] == 0);
      CHECK(variance.ptr<double>()[0] > 0);
    }
    const std::vector<std::uint8_t> one_left{1, 1, 1, 0, 1, 1, 1}, none_left(7, 1);
    const Tensor v = game.values_of(exact(7));
    const std::vector<double> alone = solve(ShapleySolver(exact(7), one_left), v);
    CHECK(alone[3] == doctest::Approx(game.value[127] - game.value[0]).epsilon(1e-14));
    CHECK(total(alone) == alone[3]);
    for (const double x : solve(ShapleySolver(exact(7), none_left), v)) CHECK(x == 0);
  }

  TEST_CASE("what all coalitions of a size have in common is no error of a sample") {
    constexpr std::int64_t M = 20;
    for (const Strategy strategy : {Strategy::kernel, Strategy::leverage}) {
      CAPTURE(std::string(to_string(strategy)));
      for (const std::int64_t budget : {100, 256, 512}) {
        CAPTURE(budget);
        const Coalitions set = Coalitions::make(M, strategy, budget, 7);
        for (const bool lacking : {false, true}) {
          std::vector<std::uint8_t> absent(lacking ? M : 0, 0);
          if (lacking) absent[3] = absent[11] = 1;
          const ShapleySolver solver(set, absent);
          CHECK((solver.size_intercepts() > 0) == (budget > 100));
          if (budget == 100) continue;
          // v = sum of what its players bring + a curve of the number of players present.
          const auto brings = [](std::int64_t j) { return .3 * static_cast<double>(j) - 2; };
          Tensor values({1, set.size()}, DType::f64), phi({1, M}, DType::f64), variance({1, M}, DType::f64);
          const double players = lacking ? M - 2 : M;
          for (std::int64_t c = 0; c < set.size(); ++c) {
            double size = 0, sum = 1;
            for (std::int64_t j = 0; j < M; ++j) {
              if (set.row(c)[j] == 0 || (lacking && absent[static_cast<std::size_t>(j)] != 0)) continue;
              ++size;
              sum += brings(j);
            }
            // No symmetric curve: its odd part is what pairs see.
            values.ptr<double>()[c] = sum + 50 * std::sqrt(size * (players - size)) * std::exp(-size / 4);
          }
          solver.solve(values, phi);
          solver.sampling_variance(values, phi, variance);
          // Sizes with hardly a pair have no term of their own.
          const bool exact = strategy == Strategy::kernel && budget == 512 && !lacking;
          for (std::int64_t j = 0; j < M; ++j) {
            const bool gone = lacking && absent[static_cast<std::size_t>(j)] != 0;
            const double expected = gone ? 0 : brings(j);
            CHECK(std::abs(phi.ptr<double>()[j] - expected) < (exact ? 1e-9 : 1.));
            if (exact) CHECK(variance.ptr<double>()[j] < 1e-18);
          }
        }
      }
    }
  }

  TEST_CASE("a row's result does not depend on the other rows") {
    for (const Strategy strategy : all_strategies) {
      const Coalitions set = Coalitions::make(8, strategy, strategy == Strategy::exact ? 256 : 100, 3);
      const ShapleySolver solver(set);
      const std::int64_t C = set.size();
      const Tensor v = random_tensor({7, C}, 5), d = random_tensor({7, C, 3}, 6);
      Tensor phi({7, 8}, DType::f64), sampling({7, 8}, DType::f64), noise({7, 8}, DType::f64);
      solver.solve(v, phi);
      solver.sampling_variance(v, phi, sampling);
      solver.noise_variance(d, true, noise);
      for (std::int64_t r = 0; r < 7; ++r) {
        Tensor one({1, 8}, DType::f64), of({1, 8}, DType::f64);
        solver.solve(v.view().rows(r, 1), one);
        check_same_bits("phi", to_doubles(one), to_doubles(phi.view().rows(r, 1)));
        solver.sampling_variance(v.view().rows(r, 1), one, of);
        check_same_bits("sampling", to_doubles(of), to_doubles(sampling.view().rows(r, 1)));
        solver.noise_variance(ConstTensorView(d.ptr<double>() + r * C * 3, {1, C, 3}, DType::f64), true, of);
        check_same_bits("noise", to_doubles(of), to_doubles(noise.view().rows(r, 1)));
      }
    }
  }

  TEST_CASE("a system that does not determine phi gets a ridge, which shrinks to Delta / M") {
    // Eleven pairs are needed for twelve players: take one of them twice instead.
    Coalitions set = Coalitions::make(12, Strategy::kernel, 24, 5);
    const std::ptrdiff_t row = 12;
    std::copy_n(set.member.begin() + 2 * row, 2 * row, set.member.begin() + 4 * row);
    const ShapleySolver solver(set);
    CHECK(solver.ridge() > 0);
    CHECK(solver.condition() > 1e8);
    Tensor v = random_tensor({1, set.size()}, 3);
    const std::vector<double> phi = solve(solver, v);
    CHECK(std::abs(total(phi) - (v.ptr<double>()[1] - v.ptr<double>()[0])) < 1e-12);
    for (const double x : phi) CHECK(std::abs(x) < 1e3);
    // Additive values: all that is asked of pairs is known, the direction left open stays at its share.
    Tensor even({1, set.size()}, DType::f64);
    for (std::int64_t c = 0; c < set.size(); ++c)
      even.ptr<double>()[c] = .25 * static_cast<double>(std::accumulate(set.row(c), set.row(c) + 12, 0));
    for (const double x : solve(solver, even)) CHECK(std::abs(x - .25) < 1e-9);
    // Without any pair that tells players apart all get the same.
    Coalitions nothing = set;
    for (std::int64_t c = 2; c < set.size(); ++c)
      std::fill_n(nothing.member.begin() + c * row, 12, static_cast<std::uint8_t>(c % 2));
    CHECK_THROWS_AS(ShapleySolver{nothing}, NumericalError);
    Coalitions weightless = exact(3);
    std::fill(weightless.weight.begin(), weightless.weight.end(), 0.0);
    CHECK_THROWS_AS(ShapleySolver{weightless}, NumericalError);
    weightless.weight[2] = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_AS(ShapleySolver{weightless}, NumericalError);
  }

  TEST_CASE("variances where there is nothing to tell, and where nothing can be told") {
    const Tensor v = random_tensor({2, 64}, 3);
    const ShapleySolver solver(exact(6));
    Tensor phi({2, 6}, DType::f64), variance({2, 6}, DType::f64);
    solver.solve(v, phi);
    solver.sampling_variance(v, phi, variance);
    for (const double x : to_doubles(variance)) CHECK(x == 0);
    solver.noise_variance(random_tensor({2, 64, 1}, 4), true, variance);
    for (const double x : to_doubles(variance)) CHECK(std::isnan(x));
    solver.noise_variance(Tensor::zeros({2, 64, 1}, DType::f64), false, variance);
    for (const double x : to_doubles(variance)) CHECK(x == 0);
    // One pair of orders, or as many pairs of complements as unknowns.
    for (const Strategy strategy : {Strategy::permutation, Strategy::kernel, Strategy::leverage}) {
      const Coalitions set = Coalitions::make(10, strategy, 20, 1);
      const ShapleySolver small(set);
      const Tensor values = random_tensor({1, set.size()}, 3);
      Tensor p({1, 10}, DType::f64), var({1, 10}, DType::f64);
      small.solve(values, p);
      small.sampling_variance(values, p, var);
      for (const double x : to_doubles(var)) CHECK(std::isnan(x));
    }
  }

  TEST_CASE("shapes that do not fit are refused") {
    const ShapleySolver solver(exact(3));
    Tensor phi({2, 3}, DType::f64);
    CHECK_THROWS_AS(solver.solve(Tensor({2, 7}, DType::f64), phi), ShapeError);
    CHECK_THROWS_AS(solver.solve(Tensor({3, 8}, DType::f64), phi), ShapeError);
    CHECK_THROWS_AS(solver.noise_variance(Tensor({2, 8, 2}, DType::f64), false, phi), ShapeError);
    CHECK_THROWS_AS(solver.noise_variance(Tensor({2, 7, 2}, DType::f64), true, phi), ShapeError);
    CHECK_THROWS_AS(ShapleySolver(exact(3), {1, 0}), ShapeError);
    Coalitions shuffled = exact(3);
    std::swap_ranges(shuffled.member.begin() + 6, shuffled.member.begin() + 9, shuffled.member.begin() + 12);
    CHECK_THROWS_AS(ShapleySolver{shuffled}, ShapeError);
  }
}
