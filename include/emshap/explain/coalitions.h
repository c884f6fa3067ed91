#pragma once
// Coalitions of players: which subsets are evaluated, and what each counts in the least-squares form of the
// Shapley value. Sources: Lundberg & Lee 2017 (kernel weights); Olsen & Jullum 2024 (corrected weights of
// paired, unique sampling); Musco & Witter 2025 (leverage scores); Mitchell et al. 2022 (antithetic
// permutations).
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/core/export.h"

namespace emshap {

enum class CoalitionStrategy : std::uint8_t {
  exact,        ///< all 2^M
  kernel,       ///< paired and unique, sizes by the Shapley kernel, outer sizes enumerated, corrected weights
  leverage,     ///< a number per size by leverage score, in pairs, without replacement
  permutation,  ///< prefixes of antithetic pairs of orders; weights are those of marginal contributions
};
EMSHAP_API CoalitionStrategy parse_coalition_strategy(const std::string& name);
EMSHAP_API const char* to_string(CoalitionStrategy strategy);

/// Normalised p(s) proportional to (M-1) / (s (M-s)), s = 1..M-1 (entry s - 1): mass of the size s under the
/// Shapley kernel. Empty for M < 2.
EMSHAP_API std::vector<double> shapley_size_masses(std::int64_t players);

/// A set of C distinct coalitions of M players. Coalition 0 is empty, 1 is full (for M = 0 there is only the
/// empty one); the complement of coalition 2 k is coalition 2 k + 1, so that C is even.
struct EMSHAP_API Coalitions {
  std::int64_t players = 0;  ///< M
  CoalitionStrategy strategy = CoalitionStrategy::exact;
  std::uint64_t seed = 0;
  std::int64_t budget = 0;           ///< asked for
  std::int64_t drawn = 0;            ///< n: coalitions drawn with repeats, both members of a pair counted
  std::vector<std::uint8_t> member;  ///< (C, M): 1 where the player is in
  std::vector<double> weight;  ///< (C): in least squares, sum 1; 0 for empty and full. permutation: 0, the
                               ///< orders say what counts
  std::vector<double> probability;  ///< (C): p_S of one draw, renormalised over the sampled block (kernel);
                                    ///< pi_S (leverage); of being a prefix of one order (permutation); 1 for
                                    ///< what was enumerated
  std::vector<std::int64_t> complement;           ///< (C): number of the complement
  std::vector<std::vector<std::int64_t>> orders;  ///< permutation: orders of the M players, antithetic pairs
                                                  ///< one after the other

  std::int64_t size() const { return static_cast<std::int64_t>(weight.size()); }  ///< C
  const std::uint8_t* row(std::int64_t c) const { return member.data() + c * players; }
  bool enumerated() const;  ///< nothing was left to chance
  /// Of everything that decides the values: players, members, weights, strategy, seed. Two sets are equal if
  /// their hashes are.
  std::string hash() const;

  /// `budget` counts distinct coalitions, empty and full included; they come in pairs, so that an odd one
  /// leaves one over, and orders are taken while the next two fit. Any strategy gives the exact set where the
  /// budget reaches 2^M (M <= 24). Throws ConfigError: budget below 2 M (fewer than M - 1 pairs do not
  /// determine the values) or, exact, below 2^M or M above 24.
  static Coalitions make(std::int64_t players, CoalitionStrategy strategy, std::int64_t budget,
                         std::uint64_t seed);
};

}  // namespace emshap
