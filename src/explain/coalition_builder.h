#pragma once
// How sets of coalitions are put together: counts, weights, and pairs of complements side by side. Private to
// the library.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

#include "emshap/core/random.h"
#include "emshap/explain/coalitions.h"

namespace emshap {

/// C(n, k) as a double: exact while n C(n, k) < 2^53, rounded above, infinite above 1e308.
inline double binomial(std::int64_t n, std::int64_t k) {
  if (k < 0 || k > n) return 0;
  double product = 1;
  for (std::int64_t i = 1; i <= std::min(k, n - k); ++i)
    product = std::round(product * static_cast<double>(n + 1 - i) / static_cast<double>(i));
  return product;
}

/// p / (1 - (1 - p)^n): the weight of a coalition that is known to have been drawn at least once in n draws
/// (Olsen & Jullum 2024, eq. 11). Tends to 1 / n as p does to 0.
inline double corrected_weight(double p, double n) {
  const double drawn = -std::expm1(n * std::log1p(-p));
  return drawn > 0 ? p / drawn : 1 / n;
}

/// Sizes {s, M - s} together, s <= M / 2.
struct SizeLevel {
  std::int64_t size = 0;
  double pairs = 0;  ///< pairs of complements
  double mass = 0;   ///< under the Shapley kernel, both sizes
  bool middle = false;
};
std::vector<SizeLevel> size_levels(std::int64_t players);

/// Adds pairs {S, complement} to a set: coalitions 2 k and 2 k + 1.
class PairBuilder {
 public:
  /// Starts with empty and full (M = 0: with empty only).
  PairBuilder(std::int64_t players, CoalitionStrategy strategy, std::int64_t budget, std::uint64_t seed);

  /// `z` (M) and its complement, without a look at what is there.
  void add(const std::uint8_t* z, double weight, double probability);
  /// The same if the pair is new.
  bool add_new(const std::uint8_t* z, double weight, double probability);
  bool contains(const std::uint8_t* z) const { return seen_.count(key(z)) > 0; }
  /// All pairs of a level; `weight` is that of one coalition.
  void add_all(const SizeLevel& level, double weight);

  Coalitions& set() { return set_; }
  /// Divides the weights by their sum.
  Coalitions finish();

 private:
  std::string key(const std::uint8_t* z) const;
  Coalitions set_;
  std::unordered_set<std::string> seen_;
};

/// Calls f(z) for one coalition of each pair of a level: of the smaller size, in the middle with player 0.
void for_each_pair(std::int64_t players, const SizeLevel& level,
                   const std::function<void(const std::uint8_t*)>& f);
/// A uniformly random pair of a level, as above. `order` is scratch that holds a permutation of the players.
void draw_pair(Generator& random, const SizeLevel& level, std::vector<std::int64_t>& order, std::uint8_t* z);

// One function for each way of choosing, for 2 M <= budget < 2^M.
Coalitions kernel_coalitions(std::int64_t players, std::int64_t budget, std::uint64_t seed);
Coalitions leverage_coalitions(std::int64_t players, std::int64_t budget, std::uint64_t seed);
Coalitions permutation_coalitions(std::int64_t players, std::int64_t budget, std::uint64_t seed);

}  // namespace emshap
