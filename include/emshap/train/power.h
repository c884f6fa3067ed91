#pragma once
// Training of the power predictor, from a data source to a run folder. ONNX and plots are made by the app.
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/progress.h"
#include "emshap/data/cleaning.h"
#include "emshap/data/metrics.h"
#include "emshap/data/source.h"
#include "emshap/data/split.h"
#include "emshap/ops/loss.h"
#include "emshap/train/power_model.h"
#include "emshap/train/trainer.h"

namespace emshap {

struct PowerOptions {
  RowPolicy missing;
  CleaningOptions cleaning;
  SplitOptions split;             ///< its seed is set from `seed`
  PowerPredictorOptions network;  ///< its number of features and its seed are set
  std::int64_t bins = 16;         ///< of the features' piecewise-linear encoding, 0 for none
  Loss loss = Loss::mse;          ///< of standardised targets
  double huber_delta = 1;
  StageOptions training;
  double warmup_epochs = 2;        ///< linear warm-up of the learning rate; replaces schedule.warmup_steps
  std::int64_t background = 1000;  ///< training rows kept in background.npy
  std::uint64_t seed = 42;
  double checkpoint_seconds = 60;

  EMSHAP_API PowerOptions();  ///< the defaults that the app shows
};

/// Data ready to be trained on.
struct PowerJob {
  PowerOptions options;
  Table table;                         ///< cleaned
  Split split;                         ///< as in split.csv
  std::vector<std::int64_t> training;  ///< training rows of the split without those dropped as outliers
  Cleaning cleaning;
  CleaningReport cleaned;
  Preprocessor scaler;
  std::string target;
  /// What the user should know about the data: dropped columns and rows, imputed cells.
  std::vector<std::pair<LogLevel, std::string>> messages;
};

/// Predictions for one part of the split, in the target's unit.
struct PowerPart {
  std::string name;                ///< "train", "validation" or "test"
  std::vector<std::int64_t> rows;  ///< of the table
  std::vector<float> actual, predicted;
  RegressionMetrics metrics;
};

struct PowerResult {
  PowerModel model;
  History history;
  StageResult training;
  std::vector<PowerPart> parts;
};

/// Reads the source, splits it, cleans it and fits the scaling on its training rows. With `split_file`, rows
/// are split as that file says; with `fitted_cleaning`, columns are cleaned as that file says, with which
/// options.cleaning must agree. Throws DataError, IoError, ConfigError.
EMSHAP_API PowerJob prepare_power(Source& source, const PowerOptions& options,
                                  const std::filesystem::path& split_file = {},
                                  const std::filesystem::path& fitted_cleaning = {});

/// Trains and measures. With `run`, writes config.toml (the text given), scaler.json, split.csv,
/// background.npy, cleaning.json where something is cleaned, the checkpoint, history.csv, metrics.json and
/// predictions.csv (test rows) and lists them in the manifest, whose model entry keeps the status "training"
/// until finish_power. With `resume`, continues from the run's checkpoint; throws IoError when that belongs
/// to other data or another network.
EMSHAP_API PowerResult train_power(const PowerJob& job, TeamPool& pool, RunDirectory* run = nullptr,
                                   bool resume = false, const std::string& config_toml = {},
                                   ProgressSink& sink = null_sink(), const StopToken* stop = nullptr);

/// Lists the files made by the app and marks the model as finished.
EMSHAP_API void finish_power(RunDirectory& run, const std::vector<std::string>& files);

}  // namespace emshap
