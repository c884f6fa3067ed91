#pragma once
// A power predictor on disk: network and weights in the run's checkpoint, both sides' scaling in scaler.json.
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/data/pipeline.h"
#include "emshap/models/power_predictor.h"
#include "emshap/train/run_directory.h"

namespace emshap {

/// Names of the files of a power run, relative to its folder.
struct PowerFiles {
  static constexpr const char* model = "power";  ///< in the manifest
  static constexpr const char* checkpoint = "power_checkpoint.bin";
  static constexpr const char* scaler = "scaler.json";
  static constexpr const char* split = "split.csv";
  static constexpr const char* background = "background.npy";
  static constexpr const char* onnx = "power_predictor.onnx";
  static constexpr const char* history = "history.csv";
  static constexpr const char* metrics = "metrics.json";
  static constexpr const char* predictions = "predictions.csv";
  static constexpr const char* config = "config.toml";
  static constexpr const char* log = "log.txt";
  static constexpr const char* plots = "plots";
};

/// Features in raw units to the target in its own unit.
struct EMSHAP_API PowerModel {
  Preprocessor scaler;
  std::unique_ptr<PowerPredictor> network;
  std::string target;

  /// (rows.size(), 1) float32, in the target's unit. Throws DataError when the features differ from those
  /// trained on.
  Tensor predict(TeamPool& pool, const Table& table, std::span<const std::int64_t> rows) const;
  /// y (B, 1) in the target's unit from raw (B, F), both float32 on the CPU; missing values are NaN.
  void predict(TeamPool& pool, ConstTensorView raw, TensorView y) const;
};

/// The network's options and the hash of its scaling as one line of JSON: what a checkpoint must agree with.
EMSHAP_API std::string power_architecture(const PowerPredictorOptions& options,
                                          const std::string& scaler_hash);
/// Throws IoError.
EMSHAP_API PowerPredictorOptions parse_power_architecture(const std::string& text);

/// The trained model of a run. Throws IoError when a file is missing, damaged or does not fit the others, or
/// when the training has not been finished.
EMSHAP_API PowerModel load_power_model(const RunDirectory& run);

}  // namespace emshap
