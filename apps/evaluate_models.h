#pragma once
// The models that emshap_evaluate measures: of a run, of ONNX files, or of both.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/progress.h"
#include "emshap/data/cleaning.h"
#include "emshap/data/table.h"
#include "emshap/report/density_evaluation.h"
#include "emshap/report/evaluation.h"
#include "emshap/train/fitted_emshap.h"
#include "emshap/train/run_directory.h"

namespace emshap::app {

/// A power predictor, what it needs and where it comes from.
struct MeasuredPower {
  std::map<std::string, std::string> about;  ///< for metrics.json
  std::string target, unit;
  std::vector<std::string> features;
  report::Predict predict;
  Cleaning cleaning;  ///< of the rows that it takes
};

struct MeasuredDensity {
  std::map<std::string, std::string> about;
  FittedEmshap fitted;
  Cleaning cleaning;
};

/// The power predictor of the file if named, else of the run if it has one.
std::optional<MeasuredPower> find_power(const RunDirectory* run, const std::string& onnx, TeamPool& pool,
                                        ProgressSink& sink);
/// The EmSHAP model of the file if named, else of the run if it has one.
std::optional<MeasuredDensity> find_density(const RunDirectory* run, const std::string& onnx,
                                            ProgressSink& sink);

/// Rows of parts of a table, by name.
using Parts = std::vector<std::pair<std::string, std::vector<std::int64_t>>>;

/// Throws DataError, with the row's number in its file, for a value that the EmSHAP model cannot do without.
void check_rows(const MeasuredDensity& density, const Table& table, const Parts& parts);
/// Scores the last part, rows that check_rows accepts; rows of the part "train", if there is one, fit the
/// baselines. With a predictor also MSEv, where its inputs are columns of the density model.
report::DensityEvaluation evaluate_density(const MeasuredDensity& density, const MeasuredPower* power,
                                           const Table& table, const Parts& parts,
                                           const report::DensityEvaluationOptions& options, TeamPool& pool,
                                           ProgressSink& sink);

}  // namespace emshap::app
