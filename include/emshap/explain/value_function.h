#pragma once
// v(S, x) = E[f(X) | X_S = x_S] for many explicands and coalitions at once, with its Monte Carlo error.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/progress.h"
#include "emshap/core/tensor.h"
#include "emshap/models/predictor.h"

namespace emshap {

/// Rows to explain, raw (B, D) f32 on the CPU; missing values are NaN: unknown in every coalition.
struct Explicands {
  ConstTensorView raw;
  std::span<const std::int64_t> numbers;  ///< (B): row numbers in their data, for messages and for
                                          ///< independent noise; empty: 0..B-1
};

/// What is known of v(S, x) for B explicands and C coalitions, f64 on the CPU.
struct CoalitionValues {
  Tensor value;      ///< (B, C)
  Tensor effective;  ///< (B, C): effective sample size 1 / sum w^2; infinite where v is exact
  /// (B, C, G). shared_noise: d_g = sum_{k in g} w_k (f_k - v), the part of replicate g in v's error, the
  /// same noise in all coalitions. Otherwise G = 1: the standard error of v. All 0 where v is exact.
  Tensor deviation;
  bool shared_noise = true;
  std::int64_t clamped = 0;  ///< drawn values that were put back into the widened training range
  std::int64_t drawn = 0;    ///< values drawn in all
  void ensure(std::int64_t B, std::int64_t C, std::int64_t G);
};

class EMSHAP_API ValueFunction {
 public:
  virtual ~ValueFunction();
  virtual std::string name() const = 0;  ///< "emshap", "gaussian", "copula", "independence", "empirical"
  virtual const std::vector<std::string>& columns() const = 0;  ///< (D) raw columns
  /// (D): false for columns that are never unknown (constant in training): no players.
  virtual std::vector<bool> modelled() const = 0;
  virtual std::int64_t replicates() const = 0;  ///< G
  virtual bool shared_noise() const = 0;
  /// Model evaluations that one v(S, x) takes.
  virtual std::int64_t evaluations() const = 0;
  /// Bytes of scratch memory that evaluate() takes for a call, beside its result.
  virtual std::int64_t scratch_bytes() const = 0;

  /// out for masks (C, D) f32, 1 = known, neither empty nor full ones excepted. Shares the work out over the
  /// pool; same bits for any number of threads and any cut of explicands and coalitions into calls. Reports
  /// no progress of its own; polls `stop` (may be null) and throws Interrupted. Throws DataError for a row it
  /// cannot take (NaN where training had none, columns without a second value excepted), naming row and
  /// column; NumericalError for a value that is no number.
  virtual void evaluate(TeamPool& pool, const Explicands& rows, ConstTensorView masks, CoalitionValues& out,
                        const StopToken* stop = nullptr) const = 0;
};

}  // namespace emshap
