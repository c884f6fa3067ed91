#pragma once
// The pictures of a power run.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/report/plot.h"

namespace emshap::report {

/// Mean loss of each epoch, one entry per epoch; `validation` may be empty.
struct LossCurves {
  std::vector<double> epoch, train, validation;
  std::int64_t best_epoch = -1;  ///< marked when >= 0, in the numbering of `epoch`
  std::string loss = "MSE";      ///< named on the axis
};

/// Predictions of one part of the data, in the target's unit; equal lengths.
struct PartPredictions {
  std::string part;  ///< "test"
  std::vector<double> actual, predicted;
};

/// Writes `loss.svg` (when there are epochs) and, per part, `predicted_<part>.svg` (predicted against
/// actual), `residuals_<part>.svg` (residual = predicted - actual, against the prediction) and
/// `residual_histogram_<part>.svg` into `folder`, which is created. `target` names the target, with its unit
/// where known: "power_consumption (W)". Returns the files written. Errors as Plotter::write.
EMSHAP_API std::vector<std::filesystem::path> write_power_plots(Plotter& plotter,
                                                                const std::filesystem::path& folder,
                                                                const std::string& target,
                                                                const LossCurves& curves,
                                                                const std::vector<PartPredictions>& parts);

/// Horizontal bars of one value per feature, largest first, at most `most` of them (the rest is summed up in
/// the note).
EMSHAP_API Chart feature_bars(std::string title, std::string label, const std::vector<std::string>& features,
                              const std::vector<double>& values, int most = 30);

}  // namespace emshap::report
