#pragma once
#include "emshap/train/power.h"
#include "train_settings.h"

namespace emshap::app {

/// What is set for the power predictor beside data and run; texts are parsed once all is known.
struct PowerSettings {
  PowerOptions options;
  std::string missing = "mean", missing_target = "error", loss, schedule, activation;
  std::int64_t residual_blocks, members;

  PowerSettings();
};
/// `prefix` stands before each name; with one, all are in the table [power] of the file.
void add_power_settings(Settings& s, PowerSettings& v, const std::string& prefix = {});

/// Trains into `folder` and writes ONNX file, plots and the table of metrics. The split is that of the model
/// `other` where the folder has one. Throws what training throws.
void train_power_model(PowerSettings& v, DataSettings& data, const CleaningSettings& cleaning,
                       const RunSettings& run, const std::filesystem::path& folder, RunMode mode,
                       const std::string& config, Session& session, const char* other,
                       const Begun& begun = {});

/// Adds `emshap_train power`.
void add_train_power(App& app);

}  // namespace emshap::app
