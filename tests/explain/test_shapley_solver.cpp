#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "emshap/core/error.h"
#include "emshap/explain/shapley_solver.h"
#include "explain/games.h"
#include "support/compare.h"

using namespace emshap;
using namespace emshap::test;

namespace {

using Strategy = CoalitionStrategy;

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

}  // namespace

TEST_SUITE("shapley solver") {
  TEST_CASE("enumeration, kernel, leverage and all orders agree with the definition up to order 5") {
    const auto terms = random_terms(6, 5, 3);
    const Game game = unanimity_game(6, terms);
    const std::vector<double> truth = unanimity_shapley(6, terms);
    check_close("definition", game.shapley(), truth, {1e-12, 0});
    for (const Strategy strategy :
         {Strategy::exact, Strategy::kernel, Strategy::leverage, Strategy::permutation})
      check_close(to_string(strategy), solve(Coalitions::make(6, strategy, 64, 9), game), truth, {1e-12, 0});
    check_close("all orders", solve(all_orders(6), game), truth, {1e-12, 0});
    check_close("twelve players", solve(exact(12), random_game(12, 4)), random_game(12, 4).shapley(),
                {1e-10, 0});
  }

  TEST_CASE("no, one and two players") {
    check_close("none", solve(exact(0), Game{0, {3}}), {}, {});
    check_close("one", solve(exact(1), Game{1, {3, 5}}), std::vector<double>{2}, {1e-15, 0});
    check_close("two", solve(exact(2), Game{2, {1, 2, 4, 9}}), std::vector<double>{3, 5}, {1e-14, 0});
    Tensor phi({0, 2}, DType::f64);
    ShapleySolver(exact(2)).solve(Tensor({0, 4}, DType::f64), phi);
  }
}
