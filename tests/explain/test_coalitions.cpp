#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <numeric>
#include <set>

#include "emshap/core/error.h"
#include "emshap/explain/coalitions.h"
#include "explain/coalition_builder.h"

using namespace emshap;

namespace {

using Strategy = CoalitionStrategy;
constexpr Strategy all_strategies[] = {Strategy::exact, Strategy::kernel, Strategy::leverage,
                                       Strategy::permutation};
constexpr Strategy sampled[] = {Strategy::kernel, Strategy::leverage, Strategy::permutation};

std::int64_t size_of_row(const Coalitions& set, std::int64_t c) {
  return std::accumulate(set.row(c), set.row(c) + set.players, std::int64_t{0});
}

/// What every set promises.
void check_set(const Coalitions& set) {
  const std::int64_t M = set.players, C = set.size();
  CAPTURE(M);
  CAPTURE(C);
  REQUIRE(set.member.size() == static_cast<std::size_t>(C * M));
  REQUIRE(set.probability.size() == static_cast<std::size_t>(C));
  REQUIRE(set.complement.size() == static_cast<std::size_t>(C));
  CHECK(size_of_row(set, 0) == 0);
  CHECK(set.weight[0] == 0);
  if (M == 0) {
    CHECK(C == 1);
    return;
  }
  CHECK(size_of_row(set, 1) == M);
  CHECK(set.weight[1] == 0);
  CHECK(C % 2 == 0);
  std::set<std::vector<int>> seen;
  bool complements = true, weights = true;
  double sum = 0;
  for (std::int64_t c = 0; c < C; ++c) {
    seen.emplace(set.row(c), set.row(c) + M);
    complements = complements && set.complement[static_cast<std::size_t>(c)] == (c ^ 1);
    for (std::int64_t j = 0; j < M; ++j) complements = complements && set.row(c)[j] + set.row(c ^ 1)[j] == 1;
    const double w = set.weight[static_cast<std::size_t>(c)];
    weights = weights && w >= 0 && w == set.weight[static_cast<std::size_t>(c ^ 1)];
    const double p = set.probability[static_cast<std::size_t>(c)];
    weights = weights && p > 0 && p <= 1;
    sum += w;
  }
  CHECK(complements);
  CHECK(weights);
  CHECK(static_cast<std::int64_t>(seen.size()) == C);
  if (set.strategy != Strategy::permutation && M > 1) CHECK(sum == doctest::Approx(1).epsilon(1e-12));
}

}  // namespace

TEST_SUITE("coalitions") {
  TEST_CASE("masses of sizes under the Shapley kernel") {
    const double expected[] = {.18062142, .09934178, .07358651, .06208861, .05676673, .05518988};
    const std::vector<double> masses = shapley_size_masses(12);
    REQUIRE(masses.size() == 11);
    for (std::size_t s = 1; s <= 6; ++s) {
      CHECK(std::abs(masses[s - 1] - expected[s - 1]) < 5e-9);
      CHECK(masses[s - 1] == masses[11 - s]);
    }
    CHECK(std::accumulate(masses.begin(), masses.end(), 0.0) == doctest::Approx(1).epsilon(1e-14));
    CHECK(shapley_size_masses(0).empty());
    CHECK(shapley_size_masses(1).empty());
    CHECK(shapley_size_masses(2) == std::vector<double>{1});
  }

  TEST_CASE("weights corrected for being drawn at least once") {
    const double expected[] = {.0192836151, .0107639483, .0101665020, .0100622197, .0100355220, .0100295957};
    const std::vector<double> masses = shapley_size_masses(12);
    for (std::int64_t s = 1; s <= 6; ++s) {
      const double p = masses[static_cast<std::size_t>(s - 1)] / binomial(12, s);
      CHECK(std::abs(corrected_weight(p, 100) - expected[s - 1]) < 5e-11);
    }
    CHECK(corrected_weight(1e-40, 100) == doctest::Approx(.01).epsilon(1e-12));
    CHECK(corrected_weight(0, 100) == .01);
    CHECK(corrected_weight(.5, 1) == doctest::Approx(1).epsilon(1e-15));
  }

  TEST_CASE("counts of subsets") {
    CHECK(binomial(0, 0) == 1);
    CHECK(binomial(5, 6) == 0);
    CHECK(binomial(12, 6) == 924);
    CHECK(binomial(40, 20) == 137846528820.0);
    CHECK(binomial(128, 64) == doctest::Approx(2.3951146041928103e37).epsilon(1e-12));
  }

  TEST_CASE("every strategy keeps its promises at all sizes") {
    for (const Strategy strategy : sampled)
      for (const std::int64_t M : {2, 3, 4, 5, 8, 9, 31, 32, 33, 64, 65, 128})
        for (const std::int64_t budget : {2 * M, 2 * M + 1, 4 * M, 10 * M}) {
          CAPTURE(std::string(to_string(strategy)));
          const Coalitions set = Coalitions::make(M, strategy, budget, 7);
          check_set(set);
          CHECK(set.size() <= budget);
          CHECK(set.budget == budget);
          if (strategy != Strategy::permutation && (M > 9 || budget < std::int64_t{1} << M))
            CHECK(set.size() == budget / 2 * 2);
          if (strategy == Strategy::permutation && !set.orders.empty()) {
            CHECK(set.size() > budget - 2 * (M - 1));
            CHECK(set.orders.size() % 2 == 0);
          }
        }
  }

  TEST_CASE("no, one and two players") {
    for (const Strategy strategy : all_strategies)
      for (const std::int64_t M : {0, 1, 2}) {
        const Coalitions set = Coalitions::make(M, strategy, std::int64_t{1} << M, 1);
        check_set(set);
        CHECK(set.size() == std::int64_t{1} << M);
        CHECK(set.enumerated());
      }
    CHECK(Coalitions::make(2, Strategy::exact, 4, 1).weight == std::vector<double>{0, 0, .5, .5});
  }

  TEST_CASE("a budget that reaches everything gives everything") {
    const Coalitions exact = Coalitions::make(7, Strategy::exact, 128, 3);
    check_set(exact);
    CHECK(exact.enumerated());
    const std::vector<double> masses = shapley_size_masses(7);
    for (std::int64_t c = 2; c < exact.size(); ++c) {
      const std::int64_t s = size_of_row(exact, c);
      CHECK(exact.weight[static_cast<std::size_t>(c)] ==
            doctest::Approx(masses[static_cast<std::size_t>(s - 1)] / binomial(7, s)).epsilon(1e-13));
    }
    for (const Strategy strategy : sampled) {
      const Coalitions set = Coalitions::make(7, strategy, 1000, 3);
      CHECK(set.hash() == exact.hash());
    }
    CHECK(Coalitions::make(12, Strategy::exact, 4096, 1).size() == 4096);
  }

  TEST_CASE("kernel: outer sizes are enumerated, the rest is drawn and keeps its mass") {
    const Coalitions set = Coalitions::make(12, Strategy::kernel, 400, 11);
    check_set(set);
    const std::vector<double> masses = shapley_size_masses(12);
    std::vector<double> weight(13), count(13);
    for (std::int64_t c = 2; c < set.size(); ++c) {
      const auto s = static_cast<std::size_t>(size_of_row(set, c));
      weight[s] += set.weight[static_cast<std::size_t>(c)];
      ++count[s];
    }
    // 398 (.361) > 24; 374 (.1987 / .6388) = 116 < 132: sizes 1 and 11 alone.
    CHECK(count[1] == 12);
    CHECK(count[11] == 12);
    CHECK(count[2] < 66);
    CHECK(weight[1] == doctest::Approx(masses[0]).epsilon(1e-12));
    CHECK(weight[11] == doctest::Approx(masses[0]).epsilon(1e-12));
    CHECK(set.drawn > 374);
    CHECK_FALSE(set.enumerated());
    const double left = 1 - 2 * masses[0];
    double sum = 0;
    for (std::int64_t c = 2; c < set.size(); ++c) {
      const std::int64_t s = size_of_row(set, c);
      const double p =
          s == 1 || s == 11 ? 1 : masses[static_cast<std::size_t>(s - 1)] / binomial(12, s) / left;
      CHECK(set.probability[static_cast<std::size_t>(c)] == doctest::Approx(p).epsilon(1e-12));
      if (s > 1 && s < 11) sum += corrected_weight(p, static_cast<double>(set.drawn));
    }
    for (std::int64_t c = 2; c < set.size(); ++c)
      if (set.probability[static_cast<std::size_t>(c)] < 1)
        CHECK(set.weight[static_cast<std::size_t>(c)] ==
              doctest::Approx(corrected_weight(set.probability[static_cast<std::size_t>(c)],
                                               static_cast<double>(set.drawn)) *
                              left / sum)
                  .epsilon(1e-12));
    // A budget just below all of them.
    check_set(Coalitions::make(12, Strategy::kernel, 4094, 11));
    CHECK(Coalitions::make(12, Strategy::kernel, 4094, 11).size() == 4094);
  }

  TEST_CASE("leverage: numbers of each size, and their probabilities") {
    for (const auto& [budget, c] : {std::pair{100, 8.9090909}, std::pair{1000, 120.2857143}}) {
      const Coalitions set = Coalitions::make(12, Strategy::leverage, budget, 5);
      check_set(set);
      CHECK(set.size() == budget);
      std::vector<double> count(13);
      for (std::int64_t i = 2; i < set.size(); ++i) {
        const std::int64_t s = size_of_row(set, i);
        ++count[static_cast<std::size_t>(s)];
        const double pi = set.probability[static_cast<std::size_t>(i)];
        if (pi < 1)
          CHECK(std::abs(pi * binomial(12, s) - c) < 5e-8);
        else
          CHECK(c >= binomial(12, s));
      }
      for (std::int64_t s = 1; s < 12; ++s)
        CHECK(std::abs(count[static_cast<std::size_t>(s)] - std::min(c, binomial(12, s))) < (s == 6 ? 2 : 1));
    }
  }

  TEST_CASE("more coalitions of a size than numbers go: weights stay finite") {
    for (const Strategy strategy : {Strategy::kernel, Strategy::leverage}) {
      const Coalitions set = Coalitions::make(1100, strategy, 2300, 5);
      double sum = 0;
      for (const double w : set.weight) sum += w;
      CHECK(sum == doctest::Approx(1));
    }
  }

  TEST_CASE("leverage: each coalition is drawn as often as it should be") {
    std::vector<double> share(static_cast<std::size_t>(1 << 6), 0.0);
    constexpr int repetitions = 4000;
    double pi[7] = {};
    for (int r = 0; r < repetitions; ++r) {
      const Coalitions set = Coalitions::make(6, Strategy::leverage, 32, static_cast<std::uint64_t>(r));
      for (std::int64_t i = 2; i < set.size(); ++i) {
        std::size_t bits = 0;
        for (std::int64_t j = 0; j < 6; ++j) bits |= static_cast<std::size_t>(set.row(i)[j]) << j;
        share[bits] += 1.0 / repetitions;
        pi[size_of_row(set, i)] = set.probability[static_cast<std::size_t>(i)];
      }
    }
    for (std::size_t bits = 1; bits < 63; ++bits) {
      const double p = pi[std::popcount(bits)];
      CHECK(std::abs(share[bits] - p) < 5 * std::sqrt(p * (1 - p) / repetitions) + 1e-12);
    }
  }

  TEST_CASE("permutation: orders come with their reverse, and all prefixes are there") {
    const Coalitions set = Coalitions::make(9, Strategy::permutation, 100, 3);
    check_set(set);
    REQUIRE(set.orders.size() >= 12);
    for (std::size_t p = 0; p < set.orders.size(); p += 2)
      CHECK(std::equal(set.orders[p].begin(), set.orders[p].end(), set.orders[p + 1].rbegin()));
    std::set<std::vector<int>> there;
    for (std::int64_t c = 0; c < set.size(); ++c) there.emplace(set.row(c), set.row(c) + 9);
    for (const auto& order : set.orders) {
      std::vector<int> z(9, 0);
      for (const std::int64_t j : order) {
        z[static_cast<std::size_t>(j)] = 1;
        CHECK(there.count(z) == 1);
      }
    }
  }

  TEST_CASE("a seed fixes every bit, another seed gives another set") {
    for (const Strategy strategy : sampled) {
      const Coalitions a = Coalitions::make(20, strategy, 300, 42),
                       b = Coalitions::make(20, strategy, 300, 42),
                       c = Coalitions::make(20, strategy, 300, 43);
      CHECK(a.member == b.member);
      CHECK(a.weight == b.weight);
      CHECK(a.orders == b.orders);
      CHECK(a.hash() == b.hash());
      CHECK(a.member != c.member);
      CHECK(a.hash() != c.hash());
      CHECK(a.hash().size() == 16);
    }
  }

  TEST_CASE("a larger set holds the smaller one") {
    for (const Strategy strategy : sampled)
      for (const std::int64_t M : {12, 20}) {
        const Coalitions small = Coalitions::make(M, strategy, 160, 4),
                         large = Coalitions::make(M, strategy, 320, 4);
        std::set<std::vector<int>> there;
        for (std::int64_t c = 0; c < large.size(); ++c) there.emplace(large.row(c), large.row(c) + M);
        std::int64_t again = 0;
        for (std::int64_t c = 0; c < small.size(); ++c)
          again += static_cast<std::int64_t>(there.count(std::vector<int>(small.row(c), small.row(c) + M)));
        CAPTURE(std::string(to_string(strategy)));
        CHECK(again == small.size());
      }
  }

  TEST_CASE("names, and budgets that are refused") {
    for (const Strategy strategy : all_strategies)
      CHECK(parse_coalition_strategy(to_string(strategy)) == strategy);
    CHECK_THROWS_AS(parse_coalition_strategy("Kernel"), ConfigError);
    CHECK_THROWS_WITH_AS(
        Coalitions::make(12, Strategy::kernel, 23, 1),
        "the budget is 23 coalitions, expected at least 24, twice the number of players: below it "
        "the Shapley values of 12 players are not determined",
        ConfigError);
    CHECK_THROWS_WITH_AS(Coalitions::make(12, Strategy::exact, 4095, 1),
                         "the budget is 4095 coalitions, but exact takes all 4096 of 12 players",
                         ConfigError);
    CHECK_THROWS_AS(Coalitions::make(25, Strategy::exact, std::int64_t{1} << 25, 1), ConfigError);
    CHECK_THROWS_AS(Coalitions::make(100, Strategy::exact, 1000, 1), ConfigError);
    CHECK_THROWS_AS(Coalitions::make(1, Strategy::kernel, 1, 1), ConfigError);
    CHECK_THROWS_AS(Coalitions::make(-1, Strategy::kernel, 1, 1), ConfigError);
  }
}
