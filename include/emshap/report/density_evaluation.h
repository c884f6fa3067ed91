#pragma once
// The evaluation of a density model beside its baselines: all scores, and their JSON, table and plots.
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/export.h"
#include "emshap/core/progress.h"
#include "emshap/report/density_baselines.h"
#include "emshap/report/density_scores.h"
#include "emshap/report/plot.h"
#include "emshap/report/value_scores.h"

namespace emshap::report {

struct DensityEvaluationOptions {
  std::int64_t rows_limit = 2000;  ///< a seeded sample of the rows when there are more; 0: all
  std::int64_t masks_per_row = 4;
  std::int64_t energy_pairs = 500;   ///< pairs whose partition function is estimated
  std::int64_t energy_draws = 1000;  ///< K for each
  std::int64_t value_draws = 128;    ///< K of v(S, x), one mask a row
  bool baselines = true;
  std::uint64_t seed = 42;
};

/// Raw rows (n, inputs) float32, columns as the feature space's inputs, missing values NaN.
struct DensityData {
  std::string part = "test";  ///< what the scored rows are
  Tensor rows;
  std::vector<std::int64_t> cluster;  ///< of each row; empty: each its own
  Tensor train, validation;           ///< for the baselines; without training rows there are none
};

/// Ours minus another method on the same pairs.
struct DensityComparison {
  std::string method, baseline;
  Estimate log_likelihood, crps, msev;  ///< NaN where one of the two has no such score
};

/// Marginal distributions: values of the data beside values drawn without anything known.
struct SampledRows {
  std::vector<std::string> names;
  std::vector<std::vector<double>> real, drawn;  ///< by feature; NaN where missing
  std::vector<std::pair<std::size_t, std::size_t>>
      pairs;  ///< strongest rank correlations, one a feature pair
};

struct DensityEvaluation {
  std::map<std::string, std::string> model;  ///< text about the model, for metrics.json
  std::string part;
  std::int64_t rows = 0, clusters = 0;
  DensityEvaluationOptions options;
  std::vector<std::string> notes;          ///< what could not be scored and why
  std::vector<ConditionalScores> methods;  ///< ours first
  std::optional<EnergyScores> energy;
  std::vector<ValueScores> values;  ///< ours first; empty without a predictor
  bool energy_variant = false;      ///< values[1] is ours with the gate the other way round
  double value_variance = 0;        ///< of f(x) over the rows of the pairs
  std::vector<DensityComparison> comparisons;
  SampledRows samples;
};

/// Scores everything; `predict` (of raw rows in the space's order) may be empty. The main method is "EmSHAP":
/// with its energy where the model uses it, so far as values are concerned. Throws DataError when no row has
/// a value.
EMSHAP_API DensityEvaluation evaluate_density(const FeatureSpace& space, const EmshapModel& model,
                                              const DensityData& data, const Predict& predict,
                                              const DensityEvaluationOptions& options, TeamPool& pool,
                                              ProgressSink& sink = null_sink());

/// One JSON object, for "density" in metrics.json.
EMSHAP_API std::string density_json(const DensityEvaluation& evaluation);
/// Methods side by side, what the energy adds, and differences with their standard errors.
EMSHAP_API std::string density_table(const DensityEvaluation& evaluation);
/// Writes density_*.svg into `folder`, which is created. Returns the files. Errors as Plotter::write.
EMSHAP_API std::vector<std::filesystem::path> write_density_plots(Plotter& plotter,
                                                                  const std::filesystem::path& folder,
                                                                  const DensityEvaluation& evaluation);

}  // namespace emshap::report
