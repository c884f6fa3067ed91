#pragma once
// The power predictor as an ONNX file, there and back. The file takes raw units and gives the target's unit,
// so that it can be used without anything else of ours:
//   x (batch, F) float32 -> features pipeline in float64 -> float32 network -> inverse target scaling in
//   float64
//   -> power (batch, 1) float32
// Metadata: "model" (power_predictor), "version", "features", "feature_units", "target", "target_unit",
// "scaler_hash", "model_config" (JSON), "pipeline" (JSON, the content of scaler.json), and what the caller
// adds.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/data/pipeline.h"
#include "emshap/io/onnx_model.h"
#include "emshap/models/power_predictor.h"

namespace emshap::io {

/// What the file says about itself beyond preprocessing and network.
struct PowerOnnxInfo {
  std::string target = "power";
  std::string target_unit;
  std::vector<std::string> feature_units;   ///< one a feature, or none at all
  std::map<std::string, std::string> more;  ///< further metadata, e.g. {"data_hash", "..."}
};

/// A power predictor with its preprocessing. Batch normalisation is folded into the linear maps when it is
/// written, so a predictor that was read has options().batch_norm = false and the same outputs up to
/// rounding.
struct EMSHAP_API OnnxPowerPredictor {
  Preprocessor preprocessor;
  PowerPredictor predictor;
  PowerOnnxInfo info;

  /// y (B, 1) in the target's unit from x (B, F) in raw units, both f32 on the CPU.
  void predict(Context& ctx, ConstTensorView x, TensorView y) const;
};

/// y (B, 1) in the target's unit from x (B, F) in raw units, both f32 on the CPU; what the ONNX file
/// computes.
EMSHAP_API void predict_power(Context& ctx, const Preprocessor& preprocessor, const PowerPredictor& predictor,
                              ConstTensorView x, TensorView y);

/// The predictor with each batch normalisation (running statistics) folded into the linear map before it:
/// computed in float64, rounded to float32 once. Throws NumericalError for a parameter that is not finite.
EMSHAP_API PowerPredictor fold_batch_norm(const PowerPredictor& predictor);

/// The bytes of the ONNX file, checked by ONNX's checker and shape inference. Throws ConfigError when
/// predictor and preprocessor do not fit together, NumericalError for a parameter that is not finite.
EMSHAP_API std::string power_predictor_onnx(const Preprocessor& preprocessor, const PowerPredictor& predictor,
                                            const PowerOnnxInfo& info);
/// Makes the file, verifies it (verify_power_predictor) on the raw rows x (B, F) and only then writes it,
/// atomically: a file of this name is a verified one. Returns the largest deviation.
EMSHAP_API double export_power_predictor(const std::filesystem::path& path, const Preprocessor& preprocessor,
                                         const PowerPredictor& predictor, const PowerOnnxInfo& info,
                                         ConstTensorView x, double limit = 1e-5);

/// Rebuilds preprocessing and network from a file that export_power_predictor wrote. Throws IoError (data).
EMSHAP_API OnnxPowerPredictor load_power_predictor(const std::filesystem::path& path);
EMSHAP_API OnnxPowerPredictor load_power_predictor(const OnnxModel& model);

/// Reads the file back and runs its graph (onnx_run.h, the first 256 rows), and compares both predictions
/// with the predictor's on the raw rows x (B, F): the largest |a - b| / (|b| + sd), sd of b over the rows or
/// of the target over the training rows, whichever is larger. Throws QualityError above `limit`.
EMSHAP_API double verify_power_predictor(const OnnxModel& file, const Preprocessor& preprocessor,
                                         const PowerPredictor& predictor, ConstTensorView x,
                                         double limit = 1e-5);

}  // namespace emshap::io
