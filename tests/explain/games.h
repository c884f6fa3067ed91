#pragma once
// Games with known Shapley values, and a value function made of any formula, for tests.
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/core/tensor.h"
#include "emshap/explain/coalitions.h"
#include "emshap/explain/value_function.h"

namespace emshap::test {

/// A game by its table: value[bits], player j is in where bit j is set.
struct Game {
  std::int64_t players = 0;
  std::vector<double> value;  ///< (2^M)

  std::size_t bits(const std::uint8_t* member) const {
    std::size_t b = 0;
    for (std::int64_t j = 0; j < players; ++j) b |= static_cast<std::size_t>(member[j] != 0) << j;
    return b;
  }
  double operator()(const std::uint8_t* member) const { return value[bits(member)]; }
  /// (1, C) f64.
  Tensor values_of(const Coalitions& set) const {
    Tensor v({1, set.size()}, DType::f64);
    for (std::int64_t c = 0; c < set.size(); ++c) v.ptr<double>()[c] = (*this)(set.row(c));
    return v;
  }
  /// By the definition: sum over S without j of s! (M - s - 1)! / M! (v(S + j) - v(S)).
  std::vector<double> shapley() const {
    const auto m = static_cast<std::size_t>(players);
    std::vector<double> weight(m), phi(m, 0.0);
    for (std::size_t s = 0; s < m; ++s)  // 1 / (M C(M - 1, s))
      weight[s] =
          std::exp(std::lgamma(s + 1.0) + std::lgamma(static_cast<double>(m - s)) - std::lgamma(m + 1.0));
    for (std::size_t b = 0; b < value.size(); ++b)
      for (std::size_t j = 0; j < m; ++j)
        if ((b >> j & 1) == 0)
          phi[j] += weight[static_cast<std::size_t>(std::popcount(b))] *
                    (value[b | std::size_t{1} << j] - value[b]);
    return phi;
  }
};

/// v(S) = sum of c over the terms (T, c) with T a subset of S (T by its bits): phi_j = sum of c / |T| over
/// the terms with j.
inline Game unanimity_game(std::int64_t players, const std::vector<std::pair<std::size_t, double>>& terms) {
  Game game{players, std::vector<double>(std::size_t{1} << players, 0.0)};
  for (std::size_t b = 0; b < game.value.size(); ++b)
    for (const auto& [set, c] : terms)
      if ((b & set) == set) game.value[b] += c;
  return game;
}
inline std::vector<double> unanimity_shapley(std::int64_t players,
                                             const std::vector<std::pair<std::size_t, double>>& terms) {
  std::vector<double> phi(static_cast<std::size_t>(players), 0.0);
  for (const auto& [set, c] : terms)
    for (std::size_t j = 0; j < phi.size(); ++j)
      if (set >> j & 1) phi[j] += c / std::popcount(set);
  return phi;
}

/// Normal coefficients for every set of at most `most_order` players, halved with each order.
inline std::vector<std::pair<std::size_t, double>> random_terms(std::int64_t players, int most_order,
                                                                std::uint64_t seed) {
  Generator random({.seed = seed, .purpose = RandomPurpose::test});
  std::vector<std::pair<std::size_t, double>> terms;
  for (std::size_t set = 0; set < std::size_t{1} << players; ++set) {
    const double c = random.normal();
    if (std::popcount(set) <= most_order) terms.emplace_back(set, c * std::exp2(-std::popcount(set)));
  }
  return terms;
}
/// A game of independent normal values: interactions of all orders.
inline Game random_game(std::int64_t players, std::uint64_t seed) {
  Generator random({.seed = seed, .purpose = RandomPurpose::test, .layer = 1});
  Game game{players, std::vector<double>(std::size_t{1} << players)};
  for (double& v : game.value) v = random.normal();
  return game;
}

struct TableNoise {
  double sd = 0;                ///< of one replicate's v; 0: exact
  std::int64_t replicates = 8;  ///< G, of shared noise
  bool shared = true;
  std::uint64_t seed = 1;
};

/// v(S, x) from a formula, exact or with noise of a known size.
class TableValues final : public ValueFunction {
 public:
  /// `known` (D): 1 where the raw value is known (never for NaN); `x` (D).
  using Formula = std::function<double(std::span<const std::uint8_t> known, std::span<const float> x)>;
  TableValues(std::vector<std::string> columns, Formula formula, TableNoise noise = {})
      : columns_(std::move(columns)), formula_(std::move(formula)), noise_(noise) {}

  std::string name() const override { return "table"; }
  const std::vector<std::string>& columns() const override { return columns_; }
  std::vector<bool> modelled() const override { return std::vector<bool>(columns_.size(), true); }
  std::int64_t replicates() const override { return exact() || !noise_.shared ? 1 : noise_.replicates; }
  bool shared_noise() const override { return !exact() && noise_.shared; }
  std::int64_t evaluations() const override { return replicates(); }
  std::int64_t scratch_bytes() const override { return scratch; }
  std::int64_t scratch = 0;

  /// Shared noise of replicate g: sd times a normal number per unknown column, plus one per pair of
  /// neighbours of which one is unknown, over the root of their number. Independent: keyed by row number and
  /// coalition.
  void evaluate(TeamPool&, const Explicands& rows, ConstTensorView masks, CoalitionValues& out,
                const StopToken* = nullptr) const override {
    const std::int64_t B = rows.raw.rows(), C = masks.rows(), G = replicates();
    const std::size_t D = columns_.size();
    out.ensure(B, C, G);
    out.shared_noise = shared_noise();
    std::vector<std::uint8_t> known(D);
    std::vector<double> of_replicate(static_cast<std::size_t>(G));
    for (std::int64_t b = 0; b < B; ++b) {
      const std::span<const float> x(rows.raw.ptr<float>() + b * rows.raw.row_stride(), D);
      const std::int64_t number = rows.numbers.empty() ? b : rows.numbers[static_cast<std::size_t>(b)];
      for (std::int64_t c = 0; c < C; ++c) {
        const float* const mask = masks.ptr<float>() + c * masks.row_stride();
        std::uint64_t set = 0;
        for (std::size_t d = 0; d < D; ++d) {
          known[d] = mask[d] != 0 && !std::isnan(x[d]) ? 1 : 0;
          set = set * 3 + known[d] + 1;
        }
        double v = formula_(known, x);
        double* const deviation = out.deviation.ptr<double>() + (b * C + c) * G;
        if (exact()) {
          deviation[0] = 0;
        } else if (noise_.shared) {
          double mean = 0;
          for (std::int64_t g = 0; g < G; ++g)
            mean += (of_replicate[static_cast<std::size_t>(g)] = shared_part(g, known));
          mean /= static_cast<double>(G);
          v += mean;
          for (std::int64_t g = 0; g < G; ++g)
            deviation[g] = (of_replicate[static_cast<std::size_t>(g)] - mean) / static_cast<double>(G);
        } else {
          Generator random({.seed = noise_.seed, .purpose = RandomPurpose::test, .layer = 3, .step = set},
                           static_cast<std::uint64_t>(number));
          v += noise_.sd * random.normal();
          deviation[0] = noise_.sd;
        }
        out.value.ptr<double>()[b * C + c] = v;
        out.effective.ptr<double>()[b * C + c] =
            exact() ? std::numeric_limits<double>::infinity() : static_cast<double>(G);
      }
    }
  }

 private:
  bool exact() const { return noise_.sd == 0; }
  double shared_part(std::int64_t g, const std::vector<std::uint8_t>& known) const {
    Generator random({.seed = noise_.seed, .purpose = RandomPurpose::test, .layer = 2},
                     static_cast<std::uint64_t>(g));
    double sum = 0, terms = 0;
    for (std::size_t d = 0; d < known.size(); ++d) {
      const double one = random.normal(), two = random.normal();
      if (known[d] == 0) sum += one, ++terms;
      if (d > 0 && known[d] != known[d - 1]) sum += two, ++terms;
    }
    return terms > 0 ? noise_.sd * sum / std::sqrt(terms) : 0;
  }

  std::vector<std::string> columns_;
  Formula formula_;
  TableNoise noise_;
};

}  // namespace emshap::test
