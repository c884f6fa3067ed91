#include "data/group_parts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "emshap/core/random.h"

namespace emshap {
namespace {

using Fractions = std::array<double, 3>;

struct Attempt {
  std::vector<std::size_t> part_of;  // of each group
  std::array<double, 3> lack{};      // rows that a part has too few (negative: too many)
  std::array<std::size_t, 3> held{};
  double deviation() const { return std::abs(lack[0]) + std::abs(lack[1]) + std::abs(lack[2]); }
};

// Groups in the given order, each to the part that lacks most rows.
Attempt fill(const std::vector<std::int64_t>& sizes, const Fractions& fractions,
             const std::vector<std::int64_t>& order) {
  Attempt a;
  a.part_of.resize(sizes.size());
  const auto rows = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}));
  for (std::size_t p = 0; p < 3; ++p) a.lack[p] = fractions[p] * rows;
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::size_t empty = 0;
    for (std::size_t p = 0; p < 3; ++p) empty += fractions[p] > 0 && a.held[p] == 0 ? 1 : 0;
    const bool only_empty = order.size() - i <= empty;  // the last groups go to parts that have none
    std::size_t best = 3;
    for (std::size_t p = 0; p < 3; ++p)
      if (fractions[p] > 0 && (!only_empty || a.held[p] == 0) && (best == 3 || a.lack[p] > a.lack[best]))
        best = p;
    const auto group = static_cast<std::size_t>(order[i]);
    a.part_of[group] = best;
    a.lack[best] -= static_cast<double>(sizes[group]);
    ++a.held[best];
  }
  return a;
}

// Moves single groups while that brings the parts nearer to their sizes.
void improve(const std::vector<std::int64_t>& sizes, const Fractions& fractions, Attempt& a) {
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t g = 0; g < sizes.size(); ++g) {
      const auto size = static_cast<double>(sizes[g]);
      for (std::size_t to = 0; to < 3; ++to) {
        const std::size_t from = a.part_of[g];
        if (to == from || fractions[to] <= 0 || a.held[from] < 2) continue;
        const double before = std::abs(a.lack[from]) + std::abs(a.lack[to]);
        const double after = std::abs(a.lack[from] + size) + std::abs(a.lack[to] - size);
        if (after > before - .5) continue;
        a.lack[from] += size;
        a.lack[to] -= size;
        --a.held[from];
        ++a.held[to];
        a.part_of[g] = to;
        moved = true;
      }
    }
  }
}

}  // namespace

// Where groups differ in size, one random order can leave a large group in a small part: the best of several
// is taken.
std::vector<std::size_t> assign_groups(const std::vector<std::int64_t>& sizes, const Fractions& fractions,
                                       std::uint64_t seed) {
  constexpr std::uint64_t attempts = 32;
  const std::int64_t smallest = sizes.empty() ? 0 : *std::min_element(sizes.begin(), sizes.end());
  Attempt best;
  double least = std::numeric_limits<double>::infinity();
  for (std::uint64_t i = 0; i < attempts && least > static_cast<double>(smallest); ++i) {
    const RandomKey key{seed, RandomPurpose::split, 0, i};
    Attempt attempt = fill(sizes, fractions, permutation(key, static_cast<std::int64_t>(sizes.size())));
    improve(sizes, fractions, attempt);
    if (attempt.deviation() < least) {
      least = attempt.deviation();
      best = std::move(attempt);
    }
  }
  return best.part_of;
}

}  // namespace emshap
