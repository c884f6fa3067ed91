#include "emshap/explain/coalitions.h"

#include <algorithm>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/data/hash.h"
#include "explain/coalition_builder.h"

namespace emshap {
namespace {

constexpr const char* names[] = {"exact", "kernel", "leverage", "permutation"};
constexpr std::int64_t most_exact_players = 24;

Coalitions all_coalitions(std::int64_t players, std::int64_t budget, std::uint64_t seed) {
  PairBuilder builder(players, CoalitionStrategy::exact, budget, seed);
  for (const SizeLevel& level : size_levels(players)) builder.add_all(level, level.mass / (2 * level.pairs));
  return builder.finish();
}

}  // namespace

CoalitionStrategy parse_coalition_strategy(const std::string& name) {
  for (std::size_t i = 0; i < std::size(names); ++i)
    if (name == names[i]) return static_cast<CoalitionStrategy>(i);
  throw ConfigError(
      fmt::format("the coalition strategy is '{}', expected exact, kernel, leverage or permutation", name));
}

const char* to_string(CoalitionStrategy strategy) {
  return names[static_cast<std::size_t>(strategy)];
}

std::vector<double> shapley_size_masses(std::int64_t players) {
  std::vector<double> masses;
  double sum = 0;
  for (std::int64_t s = 1; s < players; ++s)
    sum += masses.emplace_back(1 / (static_cast<double>(s) * static_cast<double>(players - s)));
  for (double& mass : masses) mass /= sum;
  return masses;
}

bool Coalitions::enumerated() const {
  return orders.empty() &&
         std::all_of(probability.begin(), probability.end(), [](double p) { return p == 1; });
}

std::string Coalitions::hash() const {
  Hash64 h;
  h.text("coalitions 1");
  h.text(to_string(strategy));
  h.word(static_cast<std::uint64_t>(players));
  h.word(seed);
  h.word(static_cast<std::uint64_t>(size()));
  h.text({reinterpret_cast<const char*>(member.data()), member.size()});
  h.numbers(weight);
  for (const std::vector<std::int64_t>& order : orders)
    for (const std::int64_t player : order) h.word(static_cast<std::uint64_t>(player));
  return h.hex();
}

Coalitions Coalitions::make(std::int64_t players, CoalitionStrategy strategy, std::int64_t budget,
                            std::uint64_t seed) {
  if (players < 0) throw ConfigError(fmt::format("coalitions of {} players, expected 0 or more", players));
  const bool reaches_all = players == 0 || (players <= 62 && budget >= std::int64_t{1} << players);
  if (strategy == CoalitionStrategy::exact && players > most_exact_players)
    throw ConfigError(
        fmt::format("exact takes all 2^{} coalitions of {} players, expected at most {} players; "
                    "choose kernel, leverage or permutation",
                    players, players, most_exact_players));
  if (strategy == CoalitionStrategy::exact && !reaches_all)
    throw ConfigError(fmt::format("the budget is {} coalitions, but exact takes all {} of {} players", budget,
                                  std::int64_t{1} << players, players));
  if (reaches_all && players <= most_exact_players) return all_coalitions(players, budget, seed);
  if (budget < 2 * players)
    throw ConfigError(
        fmt::format("the budget is {} coalitions, expected at least {}, twice the number of "
                    "players: below it the Shapley values of {} players are not determined",
                    budget, 2 * players, players));
  switch (strategy) {
    case CoalitionStrategy::leverage:
      return leverage_coalitions(players, budget, seed);
    case CoalitionStrategy::permutation:
      return permutation_coalitions(players, budget, seed);
    default:
      return kernel_coalitions(players, budget, seed);
  }
}

}  // namespace emshap
