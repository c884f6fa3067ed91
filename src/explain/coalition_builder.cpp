#include "explain/coalition_builder.h"

#include <algorithm>
#include <numeric>

namespace emshap {

std::vector<SizeLevel> size_levels(std::int64_t players) {
  const std::vector<double> masses = shapley_size_masses(players);
  std::vector<SizeLevel> levels;
  for (std::int64_t s = 1; 2 * s <= players && s < players; ++s) {
    const bool middle = 2 * s == players;
    const double each = binomial(players, s), mass = masses[static_cast<std::size_t>(s - 1)];
    levels.push_back({s, middle ? each / 2 : each, middle ? mass : 2 * mass, middle});
  }
  return levels;
}

PairBuilder::PairBuilder(std::int64_t players, CoalitionStrategy strategy, std::int64_t budget,
                         std::uint64_t seed) {
  set_.players = players;
  set_.strategy = strategy;
  set_.budget = budget;
  set_.seed = seed;
  if (players == 0) {
    set_.weight = {0};
    set_.probability = {1};
    set_.complement = {0};
  } else {
    add(std::vector<std::uint8_t>(static_cast<std::size_t>(players), 0).data(), 0, 1);
  }
}

void PairBuilder::add(const std::uint8_t* z, double weight, double probability) {
  const std::int64_t next = set_.size(), M = set_.players;
  set_.member.insert(set_.member.end(), z, z + M);
  for (std::int64_t j = 0; j < M; ++j) set_.member.push_back(z[j] == 0 ? 1 : 0);
  for (const std::int64_t other : {next + 1, next}) {
    set_.weight.push_back(weight);
    set_.probability.push_back(probability);
    set_.complement.push_back(other);
  }
}

bool PairBuilder::add_new(const std::uint8_t* z, double weight, double probability) {
  if (!seen_.insert(key(z)).second) return false;
  add(z, weight, probability);
  return true;
}

void PairBuilder::add_all(const SizeLevel& level, double weight) {
  for_each_pair(set_.players, level, [&](const std::uint8_t* z) { add(z, weight, 1); });
}

Coalitions PairBuilder::finish() {
  const double sum = std::accumulate(set_.weight.begin(), set_.weight.end(), 0.0);
  if (sum > 0)
    for (double& w : set_.weight) w /= sum;
  return std::move(set_);
}

// A coalition and its complement have the same key: the bits of the one without player 0.
std::string PairBuilder::key(const std::uint8_t* z) const {
  std::string bits(static_cast<std::size_t>((set_.players + 7) / 8), '\0');
  for (std::int64_t j = 1; j < set_.players; ++j)
    if (z[j] != z[0]) {
      char& byte = bits[static_cast<std::size_t>(j / 8)];
      byte = static_cast<char>(static_cast<unsigned char>(byte) | 1u << (j % 8));
    }
  return bits;
}

void for_each_pair(std::int64_t players, const SizeLevel& level,
                   const std::function<void(const std::uint8_t*)>& f) {
  const std::int64_t s = level.size;
  std::vector<std::uint8_t> z(static_cast<std::size_t>(players), 0);
  std::vector<std::int64_t> chosen(static_cast<std::size_t>(s));
  std::iota(chosen.begin(), chosen.end(), 0);
  for (;;) {  // combinations in lexicographic order
    std::fill(z.begin(), z.end(), std::uint8_t{0});
    for (const std::int64_t j : chosen) z[static_cast<std::size_t>(j)] = 1;
    f(z.data());
    std::int64_t i = s - 1;
    while (i >= 0 && chosen[static_cast<std::size_t>(i)] == players - s + i) --i;
    if (i < 0 || (level.middle && i == 0)) return;  // in the middle those without player 0 are complements
    ++chosen[static_cast<std::size_t>(i)];
    for (std::int64_t k = i + 1; k < s; ++k)
      chosen[static_cast<std::size_t>(k)] = chosen[static_cast<std::size_t>(k - 1)] + 1;
  }
}

void draw_pair(Generator& random, const SizeLevel& level, std::vector<std::int64_t>& order, std::uint8_t* z) {
  const std::size_t players = order.size();
  std::fill(z, z + players, std::uint8_t{0});
  for (std::size_t i = 0; i < static_cast<std::size_t>(level.size);
       ++i) {  // Fisher-Yates, first entries only
    std::swap(order[i], order[i + random.below(players - i)]);
    z[order[i]] = 1;
  }
  if (level.middle && z[0] == 0)
    for (std::size_t j = 0; j < players; ++j) z[j] ^= 1;
}

}  // namespace emshap
