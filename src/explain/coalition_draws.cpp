// Sets in which chance has a part, all in pairs of complements (variance of the odd part of a game alone).
#include <algorithm>
#include <numeric>

#include "explain/coalition_builder.h"

namespace emshap {
namespace {

double count_of(const SizeLevel& level) {
  return 2 * level.pairs;
}

/// Of one coalition, before sampling.
double kernel_weight(const SizeLevel& level) {
  return level.mass / count_of(level);
}

std::vector<std::int64_t> identity(std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

/// `wanted` of the level's pairs, without replacement: what was drawn before is drawn anew, at most some
/// N log N times.
void add_some(PairBuilder& builder, Generator random, const SizeLevel& level, std::int64_t wanted,
              double weight, double probability) {
  std::vector<std::int64_t> order = identity(builder.set().players);
  std::vector<std::uint8_t> z(order.size());
  while (wanted > 0) {
    draw_pair(random, level, order, z.data());
    if (builder.add_new(z.data(), weight, probability)) --wanted;
  }
}

}  // namespace

Coalitions kernel_coalitions(std::int64_t players, std::int64_t budget, std::uint64_t seed) {
  PairBuilder builder(players, CoalitionStrategy::kernel, budget, seed);
  const std::vector<SizeLevel> levels = size_levels(players);
  auto left = static_cast<double>((budget - 2) / 2 * 2);
  double mass = 1;
  std::size_t first = 0;
  // A level is enumerated when so many draws would be expected to land in it as it has coalitions.
  for (; first < levels.size(); ++first) {
    const SizeLevel& level = levels[first];
    const double share = first + 1 == levels.size() ? 1 : level.mass / mass;
    if (left * share < count_of(level) * (1 - 1e-8)) break;
    builder.add_all(level, kernel_weight(level));
    left -= count_of(level);
    mass -= level.mass;
  }
  if (first == levels.size()) return builder.finish();

  mass = 0;  // of the sampled block, added anew: nothing is lost to differences
  for (std::size_t i = first; i < levels.size(); ++i) mass += levels[i].mass;
  std::vector<double> upto;
  double all = 0;
  for (const SizeLevel& level : levels) upto.push_back(all += level.mass);
  Generator random({.seed = seed, .purpose = RandomPurpose::coalition});
  std::vector<std::int64_t> order = identity(players);
  std::vector<std::uint8_t> z(static_cast<std::size_t>(players));
  Coalitions& set = builder.set();
  const std::int64_t begin = set.size(), end = begin + static_cast<std::int64_t>(left);
  // Draws come from all levels, those that land in enumerated ones are not counted: every budget reads the
  // same sequence, so that a larger set holds the smaller ones and values can be used again.
  while (set.size() < end) {
    const auto it = std::upper_bound(upto.begin(), upto.end() - 1, random.uniform() * all);
    const auto i = static_cast<std::size_t>(it - upto.begin());
    draw_pair(random, levels[i], order, z.data());
    if (i < first) continue;
    set.drawn += 2;
    builder.add_new(z.data(), 0, kernel_weight(levels[i]) / mass);
  }
  const auto n = static_cast<double>(set.drawn);
  double sum = 0;
  const auto sampled = static_cast<std::size_t>(begin);
  for (std::size_t c = sampled; c < set.weight.size(); ++c)
    sum += set.weight[c] = corrected_weight(set.probability[c], n);
  for (std::size_t c = sampled; c < set.weight.size(); ++c) set.weight[c] *= mass / sum;
  return builder.finish();
}

Coalitions leverage_coalitions(std::int64_t players, std::int64_t budget, std::uint64_t seed) {
  PairBuilder builder(players, CoalitionStrategy::leverage, budget, seed);
  const std::vector<SizeLevel> levels = size_levels(players);
  const std::int64_t pairs = (budget - 2) / 2;
  // c is shared by the sizes that are not taken whole; the fewest coalitions come first, as levels do.
  double c = 0, left = static_cast<double>(2 * pairs), sizes = static_cast<double>(players - 1);
  for (const SizeLevel& level : levels) {
    c = left / sizes;
    const double in_level = level.middle ? 1 : 2;
    if (c < count_of(level) / in_level) break;
    left -= count_of(level);
    sizes -= in_level;
  }
  const RandomKey key{.seed = seed, .purpose = RandomPurpose::coalition};
  // One random start rounds all sizes: expected numbers are met exactly, each to less than one pair.
  const double start = Generator(key).uniform();
  double expected = 0;
  std::int64_t taken = 0;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const SizeLevel& level = levels[i];
    const double wanted = std::min(level.pairs, level.middle ? c / 2 : c);
    const double probability = wanted / level.pairs;
    expected += wanted;
    std::int64_t upto = i + 1 == levels.size() ? pairs : static_cast<std::int64_t>(expected + start + 1e-9);
    if (static_cast<double>(upto - taken) > level.pairs)
      upto = taken + static_cast<std::int64_t>(level.pairs);
    if (probability >= 1)
      builder.add_all(level, kernel_weight(level));
    else
      add_some(builder, Generator(key, static_cast<std::uint64_t>(level.size)), level, upto - taken,
               level.mass / (2 * wanted), probability);
    taken = upto;
  }
  return builder.finish();
}

Coalitions permutation_coalitions(std::int64_t players, std::int64_t budget, std::uint64_t seed) {
  PairBuilder builder(players, CoalitionStrategy::permutation, budget, seed);
  Coalitions& set = builder.set();
  const auto M = static_cast<std::size_t>(players);
  std::vector<std::vector<std::uint8_t>> prefixes(M - 1, std::vector<std::uint8_t>(M));
  for (std::uint64_t pair = 0; static_cast<std::int64_t>(set.orders.size()) < budget; ++pair) {
    const std::vector<std::int64_t> order =
        permutation({.seed = seed, .purpose = RandomPurpose::coalition, .step = pair}, players);
    std::vector<std::uint8_t> z(M, 0);
    std::int64_t fresh = 0;
    for (std::size_t i = 0; i + 1 < M; ++i) {
      z[static_cast<std::size_t>(order[i])] = 1;
      prefixes[i] = z;
      fresh += builder.contains(z.data()) ? 0 : 2;
    }
    // The first pair of orders that does not fit ends it: waiting for one that fits would favour repeats.
    if (set.size() + fresh > budget) break;
    for (std::size_t i = 0; i + 1 < M; ++i)
      builder.add_new(prefixes[i].data(), 0, 1 / binomial(players, static_cast<std::int64_t>(i) + 1));
    set.orders.push_back(order);
    set.orders.emplace_back(order.rbegin(), order.rend());
    set.drawn += 2 * (players - 1);
  }
  return builder.finish();
}

}  // namespace emshap
