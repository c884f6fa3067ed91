#pragma once
// How well a density model explains a given predictor: the error of its conditional expectations.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/export.h"
#include "emshap/core/progress.h"
#include "emshap/data/feature_space.h"
#include "emshap/models/emshap_model.h"
#include "emshap/report/density_scores.h"
#include "emshap/report/evaluation.h"
#include "emshap/report/masked_rows.h"

namespace emshap::report {

/// MSEv = mean (f(x) - v(S, x))^2 over pairs (Olsen et al. 2022). It contains the variance of f(x) given x_S,
/// so only differences between methods on the same pairs mean something.
struct ValueScores {
  std::string method;
  std::int64_t pairs = 0, draws = 0;
  Estimate msev;                   ///< in squared units of f
  std::vector<double> pair_value;  ///< v(S, x)
  std::vector<double> pair_error;  ///< (f(x) - v(S, x))^2
  std::vector<std::int64_t> pair_cluster;
  double clamped = 0;  ///< share of drawn values that were put back into the training range
  Summary effective;   ///< effective sample size of the weights
};

/// Pairs on which v(S, x) can be compared with f(x): complete rows, and S neither empty nor full.
EMSHAP_API MaskedRows value_pairs(ConstTensorView observed, const MaskedRows& pairs);

/// v(S, x) = sum_k w_k f(x_S, x_U^k) over `sampling.draws` weighted draws in raw units; known values and
/// columns that the space has dropped stay those of the row. Returns one entry without the energy's weights
/// and, for a model with an energy, one with them, named "<method> + energy". `predict` takes raw rows (n,
/// inputs) float32.
EMSHAP_API std::vector<ValueScores> score_values(const FeatureSpace& space, const EmshapModel& model,
                                                 ConstTensorView raw, const MaskedRows& pairs,
                                                 const Predict& predict, const SamplingOptions& sampling,
                                                 const ScoringOptions& options, TeamPool& pool,
                                                 ProgressSink& sink = null_sink());

/// The same with x_U taken jointly from training rows, `draws` of them drawn without replacement for each
/// pair: what is known does not count.
EMSHAP_API ValueScores score_independent_values(const FeatureSpace& space, ConstTensorView train_raw,
                                                ConstTensorView raw, const MaskedRows& pairs,
                                                const Predict& predict, std::int64_t draws,
                                                const ScoringOptions& options);

/// Difference a - b of two methods' MSEv on the same pairs. Throws ShapeError for different ones.
EMSHAP_API Estimate paired_difference(const ValueScores& a, const ValueScores& b);

}  // namespace emshap::report
