#pragma once
// From a value function to attributions: the players, the coalitions (chosen once on a pilot), the solve, and
// what can be said about the result's errors.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/progress.h"
#include "emshap/core/tensor.h"
#include "emshap/explain/coalitions.h"
#include "emshap/explain/players.h"
#include "emshap/explain/value_function.h"

namespace emshap {

struct ExplainOptions {
  /// Unset: exact where 2^M <= 1,024 (2^13 for value functions without draws), kernel beyond.
  std::optional<CoalitionStrategy> strategy;
  std::int64_t budget = 0;  ///< distinct coalitions, empty and full included; 0: chosen on the pilot
  std::int64_t pilot_rows = 32;
  std::int64_t most_coalitions = 16384;  ///< that the pilot may choose
  double tolerance = .02;                ///< converged: max_j sd_j / (max phi - min phi) below it
  std::uint64_t seed = 42;
  std::int64_t memory_limit = std::int64_t{1} << 30;  ///< bytes for results and scratch of one block of rows
};

/// Attributions of B rows, f64 on the CPU, in the unit of f.
struct Attributions {
  Tensor phi;                           ///< (B, M); phi0 + sum_j phi_j = prediction
  Tensor standard_error;                ///< (B, M): sqrt(sampling^2 + noise^2); NaN where noise is NaN
  Tensor sampling_error;                ///< (B, M): by the choice of coalitions
  Tensor noise_error;                   ///< (B, M): Monte Carlo; NaN with a single replicate
  Tensor values;                        ///< (B, C): v(S, x), empty and full included
  std::vector<double> prediction;       ///< (B): f(x); E[f | x_observed] where values are missing
  std::vector<double> effective_min;    ///< (B): smallest effective sample size over coalitions
  std::vector<double> effective_mean;   ///< (B)
  std::vector<std::uint8_t> missing;    ///< (B): 1 where values are missing
  std::vector<std::uint8_t> converged;  ///< (B)
  std::int64_t clamped = 0, drawn = 0;
  std::int64_t rows() const { return static_cast<std::int64_t>(prediction.size()); }
};

/// Holds what is the same for all rows. References must outlive it.
class EMSHAP_API Explainer {
 public:
  /// v(empty) = mean of f over the complete rows of `background` (n, D) f32. Throws ConfigError, DataError
  /// (background without a complete row, other columns).
  Explainer(const ValueFunction& values, const Predictor& f, Players players, ConstTensorView background,
            const ExplainOptions& options, TeamPool& pool);
  ~Explainer();

  /// Chooses the coalitions: as the options say, or with budget 0 on a pilot of `pilot_rows` of these rows (a
  /// seeded choice), doubling from 4 M until the median row converges. Call once before explain(), or use the
  /// coalitions of an earlier run.
  void choose_coalitions(TeamPool& pool, ConstTensorView rows, ProgressSink& sink = null_sink(),
                         const StopToken* stop = nullptr);
  void use_coalitions(Coalitions coalitions);

  const Coalitions& coalitions() const;
  const Players& players() const;
  double phi0() const;  ///< v(empty)
  double ridge() const;
  bool exact() const { return coalitions().enumerated(); }
  /// Rows that explain() takes within the memory limit at once, at least 1.
  std::int64_t rows_at_once() const;

  /// Same bits for any number of threads and any cut of rows into calls.
  Attributions explain(TeamPool& pool, const Explicands& rows, const StopToken* stop = nullptr) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Sums over rows that need no second pass: mean |phi|, SAGE and MSEv.
class EMSHAP_API GlobalImportance {
 public:
  explicit GlobalImportance(const Explainer& explainer);
  /// `actual` (B) or empty: the target; without it SAGE explains f itself (loss against f(x)).
  void add(const Attributions& rows, std::span<const float> actual);
  std::int64_t rows() const { return rows_; }
  std::vector<double> mean_absolute() const;  ///< (M)
  std::vector<double> mean() const;           ///< (M)
  /// Shapley values of v(S) = -mean (y - v(S, x))^2 (Covert, Lundberg & Lee 2020), (M).
  std::vector<double> sage() const;
  /// Mean over inner coalitions and rows of (f(x) - v(S, x))^2; complete rows only.
  double msev() const;
  /// Per row: mean over inner coalitions, for paired comparisons; NaN for rows with missing values.
  const std::vector<double>& row_msev() const { return row_msev_; }

 private:
  const Explainer* explainer_;
  std::int64_t rows_ = 0;
  std::vector<double> absolute_, sum_, loss_, row_msev_;
};

}  // namespace emshap
