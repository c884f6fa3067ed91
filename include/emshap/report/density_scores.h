#pragma once
// How good a density model of the features is: scores of its conditional distributions on given rows and
// masks. Everything is in units of the training standard deviation of the raw feature (FeatureColumn::sd), so
// that models with different transforms compare. Same bits for any number of threads.
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/export.h"
#include "emshap/core/progress.h"
#include "emshap/data/feature_space.h"
#include "emshap/models/emshap_model.h"
#include "emshap/models/proposal.h"
#include "emshap/report/masked_rows.h"

namespace emshap::report {

inline constexpr std::array<double, 3> coverage_levels{.5, .8, .95};

struct FeatureScore {
  std::string name;
  std::int64_t targets = 0;          ///< how often it was unknown and present
  double log_likelihood = 0;         ///< mean log q(x_t | x_S, x_U before t)
  double crps = 0;                   ///< of q(x_t | x_S)
  double nrmse = 0;                  ///< root mean square of E[x_t | x_S] - x_t
  std::array<double, 3> coverage{};  ///< share of values inside the central 50, 80 and 95 % intervals
  Summary pit;                       ///< probability integral transform: mean .5 and sd .289 when calibrated
  Summary mean, variance;            ///< of q(x_t | x_S), in model space
};

/// All pairs whose S has one size.
struct SizeScore {
  std::int64_t size = 0, pairs = 0, targets = 0;
  Estimate log_likelihood;
  double crps = 0;
};

/// Means over targets: values that are unknown to the model and present in the data.
struct ConditionalScores {
  std::string method;
  std::int64_t rows = 0, pairs = 0, targets = 0;
  Estimate log_likelihood;  ///< of x_U given x_S per unknown feature; NaN for a method without a density
  Estimate crps;
  double nrmse = 0;
  std::array<double, 3> coverage{};
  std::vector<SizeScore> by_size;  ///< sizes that occur, ascending
  std::vector<FeatureScore> features;
  std::vector<double> pit;  ///< one value per target, pair by pair

  std::int64_t context_width = 0, constant_context = 0;  ///< width of h_S, and how many of it never change
  Summary context;                                       ///< of all entries of h_S

  // Per pair, for comparisons: sums over its targets and their number.
  std::vector<double> pair_log_likelihood, pair_crps, pair_targets;
  std::vector<std::int64_t> pair_size, pair_cluster;
};

struct ScoringOptions {
  std::string method = "model";       ///< its name in tables
  std::uint64_t seed = 42;            ///< of the randomised transform
  std::vector<std::int64_t> cluster;  ///< (N): rows of one cluster may depend on each other; empty: none do
};

/// Scores a proposal on raw rows (N, inputs), float32 or float64, missing values NaN.
/// Log-likelihood: S ascending, then U ascending, conditioning on the exact values. Of a tied value:
/// log[F(right) - F(left)] - log width over its tile; of a category: log probability - log width; else log
/// density + log Jacobian. The others are of q(x_t | x_S) brought back to raw units, clamped to the column's
/// widened range: columns of at most 512 distinct values on their grid, in exact sums; other distribution
/// functions are taken as linear between nodes at a tenth of the components' standard deviations (relative
/// error of CRPS below 3e-3). Transform of a tied value or a category: uniform on [F(left), F(right)], keyed
/// by seed, pair and feature (Czado, Gneiting & Held 2009); a value lies in a central interval where its
/// transform does. CRPS: Gneiting & Raftery 2007. Throws DataError for rows that do not fit the space.
EMSHAP_API ConditionalScores score_conditionals(const FeatureSpace& space, const Proposal& proposal,
                                                ConstTensorView raw, const MaskedRows& pairs,
                                                const ScoringOptions& options, TeamPool& pool,
                                                ProgressSink& sink = null_sink());

/// What the energy adds on the same pairs, and the diagnostics of its importance weights.
struct EnergyScores {
  std::int64_t pairs = 0, targets = 0, draws = 0;
  bool used = false;               ///< whether the model uses its energy
  Estimate proposal, full, gain;   ///< log-likelihood per unknown feature; gain = full - proposal, paired
  std::vector<SizeScore> by_size;  ///< of the full model; no CRPS
  Summary effective;               ///< effective sample size of a pair's draws
  Summary log_z, log_z_error;      ///< log partition function and its standard error
  std::vector<double> data;        ///< energy of each pair's own row
  std::vector<double> drawn;       ///< of one draw for each pair
};

/// log p(x_U | x_S) = log q(x_U | x_S) + what the energy changes - log Z, Z from `sampling.draws` draws a
/// pair; on ties the proposal's part is that of the tile. Whatever the model's energy_used() says. Throws
/// ConfigError for a model without an energy.
EMSHAP_API EnergyScores score_energy(const FeatureSpace& space, const EmshapModel& model, ConstTensorView raw,
                                     const MaskedRows& pairs, const SamplingOptions& sampling,
                                     const ScoringOptions& options, TeamPool& pool,
                                     ProgressSink& sink = null_sink());

/// The same scores, but for the likelihood, of features predicted by their own distribution in the training
/// rows (M, inputs), whatever is known.
EMSHAP_API ConditionalScores score_independence(const FeatureSpace& space, ConstTensorView train_raw,
                                                ConstTensorView raw, const MaskedRows& pairs,
                                                const ScoringOptions& options);

}  // namespace emshap::report
