#pragma once
// Which conditional explains the model best, without knowing the truth: MSEv = mean (f(x) - v(S, x))^2 over
// explicands and inner coalitions (Olsen et al. 2022). It contains the variance of f(x) given x_S, so only
// differences between methods on the same explicands and coalitions mean something. Rows that a method was
// fitted on flatter it, "empirical" most of all, which finds the row itself.
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/data/estimate.h"

namespace emshap {

/// What one method gave.
struct ComparedMethod {
  std::string name;
  std::vector<double> row_msev;  ///< per explicand: mean over inner coalitions (GlobalImportance::row_msev);
                                 ///< NaN for rows that cannot be compared
  double cost = std::numeric_limits<double>::quiet_NaN();  ///< in any unit, e.g. seconds; NaN: unknown
};

struct MethodResult {
  std::string name;
  Estimate msev;  ///< in squared units of f
  double cost = std::numeric_limits<double>::quiet_NaN();
  /// This method's minus that of the best one, on the same rows; 0 and 0 for the best.
  Estimate behind;
  bool tied = true;  ///< not behind by more than two paired standard errors
};

struct EMSHAP_API MethodComparison {
  std::vector<MethodResult> methods;  ///< in the order given
  std::vector<Estimate> differences;  ///< (n, n): MSEv of method i minus that of method j, paired
  std::int64_t rows = 0;              ///< compared: those with a number for every method
  std::int64_t clusters = 0;          ///< groups of rows; 0: each row its own
  std::size_t best = 0;               ///< smallest MSEv
  std::size_t recommended = 0;  ///< the cheapest of those tied with the best, the best itself when costs
                                ///< are not known
  std::string recommendation;   ///< a sentence

  const Estimate& difference(std::size_t i, std::size_t j) const {
    return differences[i * methods.size() + j];
  }
  std::string json() const;  ///< one object; as text: report/comparison_table.h
};

/// `cluster` (rows, or empty) numbers the group that a row belongs to. Throws ConfigError for no method or a
/// name given twice, ShapeError for different numbers of rows, DataError when no row can be compared.
EMSHAP_API MethodComparison compare_methods(const std::vector<ComparedMethod>& methods,
                                            std::span<const std::int64_t> cluster = {});

}  // namespace emshap
