#pragma once
// How good a predictor is: metrics of each part of the data, permutation importance, the files of an
// evaluation and the gate that compares two of them.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/core/progress.h"
#include "emshap/data/metrics.h"
#include "emshap/data/table.h"
#include "emshap/report/plot.h"

namespace emshap::report {

struct DensityEvaluation;

/// Fills y (B, 1), in the target's unit, from raw (B, F); both float32 on the CPU.
using Predict = std::function<void(ConstTensorView raw, TensorView y)>;

struct EvaluatedPart {
  std::string name;                ///< "train", "validation", "test", or "all" without a split
  std::vector<std::int64_t> rows;  ///< of the table
  std::vector<float> actual, predicted;
  RegressionMetrics metrics;
};

/// Increase of a part's RMSE when one feature's values are shuffled among its rows (Breiman 2001). Features
/// that tell the same thing share their importance.
struct PermutationImportance {
  std::string part;
  std::int64_t rows = 0;
  std::vector<std::pair<std::string, double>> increase;  ///< by feature, in the target's unit
};

struct Evaluation {
  std::map<std::string, std::string> model;  ///< "source", "kind" ...: text about the model, for metrics.json
  std::string target, unit;                  ///< the unit may be empty
  std::vector<EvaluatedPart> parts;
  PermutationImportance importance;  ///< empty when not wanted
};

struct EvaluationOptions {
  std::vector<std::string> features;    ///< the model's inputs, in its order
  std::int64_t importance_rows = 2000;  ///< at most; 0: no importance
  std::uint64_t seed = 42;
};

/// The columns `names` of these rows: (rows.size(), names.size()) float32, missing cells NaN. Unlike
/// raw_features() in the order of the names. Throws DataError for a column that is absent or no feature.
EMSHAP_API Tensor features_by_name(const Table& table, std::span<const std::int64_t> rows,
                                   const std::vector<std::string>& names);

/// Predicts and measures each named list of rows; empty ones are left out. Importance is that of the last
/// part. Rows whose target is missing must have been dropped. Throws DataError when no row is left.
EMSHAP_API Evaluation evaluate(const Table& table,
                               const std::vector<std::pair<std::string, std::vector<std::int64_t>>>& parts,
                               const Predict& predict, const EvaluationOptions& options,
                               ProgressSink& sink = null_sink());

/// A table for the terminal: part, rows, RMSE, MAE, R2, MAPE, and a line on rows left out of MAPE.
EMSHAP_API std::string metrics_table(const std::vector<std::pair<std::string, RegressionMetrics>>& parts);

/// metrics.json: model, data; of a predictor target, unit, one object per part as RegressionMetrics::to_json
/// and importance; of a density model, if given, "density" (density_evaluation.h). An evaluation without
/// parts holds no predictor.
EMSHAP_API std::string evaluation_json(const Evaluation& evaluation, const Table& table,
                                       const DensityEvaluation* density = nullptr);

/// Writes metrics.json, with a predictor predictions.csv (row of the source, part, actual, predicted) and,
/// with a plotter, plots/*.svg of the last part and of the density model into `folder`, which is created.
/// Returns the files' paths. Throws IoError.
EMSHAP_API std::vector<std::filesystem::path> write_evaluation(const Evaluation& evaluation,
                                                               const Table& table,
                                                               const std::filesystem::path& folder,
                                                               Plotter* plotter,
                                                               const DensityEvaluation* density = nullptr);

/// Compares metrics.json texts. `metric` is, of a predictor, mse, rmse, mae or mape, which pass up to
/// baseline (1
/// + tolerance), or r2, which passes down to baseline - tolerance; the part is "test" where both have it,
/// else "all". Of a density model: crps, nrmse or msev, up to baseline (1 + tolerance), or log_likelihood,
/// down to baseline - tolerance. "auto": rmse, log_likelihood and crps, those of the models that both texts
/// have.
struct GateOptions {
  std::string metric = "auto";
  double tolerance = 0;
};
/// Returns one sentence that says by how much each metric passed. Throws QualityError when the current model
/// is worse or its metric is not a number, DataError when the baseline lacks the part or the metric, IoError
/// when it cannot be read. `baseline` is a metrics.json or a folder that holds one.
EMSHAP_API std::string check_gate(const std::string& current_json, const std::filesystem::path& baseline,
                                  const GateOptions& options);

}  // namespace emshap::report
