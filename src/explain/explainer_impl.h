#pragma once
// What the explainer holds, and the steps from values of coalitions to attributions. Private to the library.
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "emshap/explain/explainer.h"

namespace emshap {

/// Which players take no part, (M): '1' for those.
using AbsentPattern = std::string;
inline AbsentPattern nobody_absent(std::int64_t players) {
  return AbsentPattern(static_cast<std::size_t>(players), '0');
}

struct Explainer::Impl {
  Impl(const ValueFunction& v, const Predictor& predictor, Players p, const ExplainOptions& o)
      : values(v), f(predictor), players(std::move(p)), options(o) {}

  const ValueFunction& values;
  const Predictor& f;
  Players players;
  ExplainOptions options;
  double phi0 = 0;
  std::optional<Coalitions> coalitions;
  Tensor inner_masks;  ///< (C - 2, D): all but empty and full

  /// Of the current coalitions; at least two players must take part.
  std::shared_ptr<const ShapleySolver> solver(const AbsentPattern& absent) const;
  void set_coalitions(Coalitions chosen);
  /// The strategy and the budget of the options; a budget of 0 asks for the pilot.
  CoalitionStrategy strategy() const;
  void check_rows(ConstTensorView raw) const;

  /// f at the complete rows; what is known of v(all) at the others, rows being the numbers of the latter.
  struct Full {
    std::vector<double> prediction;  ///< (B)
    std::vector<std::int64_t> rows;  ///< with missing values
    CoalitionValues values;          ///< (rows.size(), 1)
  };
  Full full_values(TeamPool& pool, const Explicands& rows, const StopToken* stop) const;
  /// Attributions by the current coalitions from the values of the inner ones, (B, C - 2).
  Attributions attribute(TeamPool& pool, const Explicands& rows, const Full& full,
                         const CoalitionValues& inner) const;
  Coalitions pilot(TeamPool& pool, ConstTensorView rows, ProgressSink& sink, const StopToken* stop);

 private:
  struct RowWork;
  void attribute_row(std::int64_t r, const AbsentPattern& absent, const ShapleySolver* solver, RowWork& work,
                     Attributions& out) const;
  mutable std::mutex mutex_;
  mutable std::map<AbsentPattern, std::shared_ptr<const ShapleySolver>> solvers_;
};

/// max_j sd_j / (max phi - min phi) of a row; 0 where the errors are beyond what float32 values resolve.
/// `sampling_only`: of the choice of coalitions alone.
double relative_error(const Attributions& rows, std::int64_t r, double phi0, bool sampling_only);

}  // namespace emshap
