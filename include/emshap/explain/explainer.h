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
#include "emshap/explain/shapley_solver.h"
#include "emshap/explain/value_function.h"

namespace emshap {

struct ExplainOptions {
  /// Unset: exact where 2^M <= 1,024 (2^13 where a value takes at most 16 evaluations), kernel beyond.
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
  Tensor phi;                          ///< (B, M); phi0 + sum_j phi_j = prediction
  Tensor standard_error;               ///< (B, M): sqrt(sampling^2 + noise^2); NaN where noise is NaN
  Tensor sampling_error;               ///< (B, M): by the choice of coalitions
  Tensor noise_error;                  ///< (B, M): Monte Carlo; NaN with a single replicate
  Tensor values;                       ///< (B, C): v(S, x), empty and full included
  std::vector<double> prediction;      ///< (B): f(x); E[f | x_observed] where values are missing
  std::vector<double> effective_min;   ///< (B): smallest effective sample size over inner coalitions
  std::vector<double> effective_mean;  ///< (B)
  std::vector<double> msev;           ///< (B): mean over inner coalitions of (f(x) - v(S, x))^2; NaN for rows
                                      ///< with missing values and without inner coalitions
  std::vector<std::uint8_t> missing;  ///< (B): 1 where values are missing
  std::vector<std::uint8_t> converged;  ///< (B): standard errors are small beside the spread of phi; only the
                                        ///< sampling counts where the noise is not known
  std::int64_t clamped = 0, drawn = 0;
  std::int64_t rows() const { return static_cast<std::int64_t>(prediction.size()); }
};

/// Holds what is the same for all rows. References must outlive it. Missing values (NaN): a player all of
/// whose columns are missing takes no part and gets 0; v(all) is then E[f | x_observed].
class EMSHAP_API Explainer {
 public:
  /// v(empty) = mean of f over the complete rows of `background` (n, D) f32. Throws ConfigError, DataError
  /// (background without a complete row, other columns).
  Explainer(const ValueFunction& values, const Predictor& f, Players players, ConstTensorView background,
            const ExplainOptions& options, TeamPool& pool);
  ~Explainer();

  /// Chooses the coalitions: as the options say, or with budget 0 on a pilot of `pilot_rows` of these rows (a
  /// seeded choice), doubling from 4 M until the median row converges, or until its noise is more than twice
  /// the error that more coalitions could take away. Call once before explain(), or use the coalitions of an
  /// earlier run.
  void choose_coalitions(TeamPool& pool, ConstTensorView rows, ProgressSink& sink = null_sink(),
                         const StopToken* stop = nullptr);
  /// Throws ConfigError for another number of players.
  void use_coalitions(Coalitions coalitions);

  /// Throws ConfigError, as do those that need them, when none have been chosen.
  const Coalitions& coalitions() const;
  const Players& players() const;
  const ExplainOptions& options() const;
  const std::vector<std::string>& columns() const;  ///< (D) raw columns
  double phi0() const;                              ///< v(empty)
  double ridge() const;
  double condition() const;
  bool exact() const { return coalitions().enumerated(); }
  /// Rows that explain() takes within the memory limit at once, at least 1.
  std::int64_t rows_at_once() const;

  /// Same bits for any number of threads and any cut of rows into calls. Throws DataError for rows of other
  /// columns and rows that the value function cannot take.
  Attributions explain(TeamPool& pool, const Explicands& rows, const StopToken* stop = nullptr) const;
  /// (M) from values (C) of a game on the same coalitions.
  std::vector<double> solve(std::span<const double> values) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Sums over rows that need no second pass: mean |phi|, SAGE and MSEv. Row by row in their order, so that the
/// cut into calls does not matter.
class EMSHAP_API GlobalImportance {
 public:
  explicit GlobalImportance(const Explainer& explainer);
  /// `actual` (B) or empty: the target; without it SAGE explains f itself (loss against f(x)). NaN: the row
  /// does not count for SAGE.
  void add(const Attributions& rows, std::span<const float> actual);
  std::int64_t rows() const { return rows_; }
  std::vector<double> mean_absolute() const;  ///< (M)
  std::vector<double> mean() const;           ///< (M)
  /// Shapley values of v(S) = -mean (y - v(S, x))^2 (Covert, Lundberg & Lee 2020), (M); NaN without rows.
  std::vector<double> sage() const;
  /// Mean over inner coalitions and rows of (f(x) - v(S, x))^2; complete rows only, NaN without one.
  double msev() const;
  /// Attributions::msev of the rows added here.
  const std::vector<double>& row_msev() const { return row_msev_; }

  /// The sums, exactly, to go on from in another process. restore() throws IoError for those of other
  /// players or coalitions.
  std::vector<double> state() const;
  void restore(std::span<const double> state);

 private:
  const Explainer* explainer_;
  std::int64_t rows_ = 0, loss_rows_ = 0, msev_rows_ = 0;
  double msev_ = 0;
  std::vector<double> absolute_, sum_, loss_, row_msev_;
};

}  // namespace emshap
