#pragma once
// Shapley values as one ONNX file: the density model, the predictor, the coalitions and the solve inside, by
// standard operators only, so that any ONNX runtime attributes rows in one call. D raw columns, M players:
//   x (batch, D) float32            raw units, batch >= 1
//   phi (batch, M) float32          attributions in the predictor's unit; phi0 + sum_j phi_j = prediction
//   phi0 (batch, 1)                 v(empty), the same for all rows
//   prediction (batch, 1)           f(x)
//   standard_error (batch, M)       of phi, by the choice of coalitions and by the noise of the draws; NaN
//                                   with a single replicate
// A row with a missing (NaN) or infinite value has NaN in all outputs but phi0: coalitions and R are
// constants, and a player without a value would need others. Coalitions, draws and their noise, R and the
// Gaussian base's gains are constants. The graph walks the rows, and for each row blocks of coalitions, with
// Scan, so that memory depends on neither.
// Metadata: "model" (attribution), "version", "features", "feature_units", "target", "target_unit",
// "players" (JSON: names), "player_columns" (JSON: raw columns of each), "coalitions" (how many), "strategy",
// "coalitions_hash", "draws", "replicates", "orders", "seed", "energy_used", "proposal",
// "feature_space_hash", "weights_hash", and what the caller adds.
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/tensor.h"
#include "emshap/data/graph_writer.h"
#include "emshap/data/pipeline.h"
#include "emshap/explain/coalitions.h"
#include "emshap/explain/drawn_values.h"
#include "emshap/explain/players.h"
#include "emshap/io/onnx_model.h"
#include "emshap/models/power_predictor.h"
#include "emshap/models/predictor.h"
#include "emshap/train/fitted_emshap.h"

namespace emshap::io {

/// Adds f to a graph: y (rows, 1) f32 from raw values (rows, D) f32.
using WriteModel = std::function<GraphValue(GraphWriter&, const GraphValue& raw)>;

/// The power predictor with its preprocessing as part of a graph. Refers to both while it is used.
EMSHAP_API WriteModel write_power(const Preprocessor& preprocessor, const PowerPredictor& predictor);

/// What is explained, and how. References must outlive it.
struct AttributionSettings {
  const FittedEmshap& emshap;
  const Predictor& f;
  WriteModel write_f;          ///< the same f as a graph
  ConstTensorView background;  ///< (n, D) f32: v(empty) is the mean of f over its complete rows
  Players players;
  Coalitions coalitions;
  DrawnValueOptions draws;  ///< with shared (Sobol) noise
};

/// What the file says about itself beyond the settings.
struct AttributionOnnxInfo {
  std::string target = "f", target_unit{};
  std::vector<std::string> feature_units{};   ///< one a column, or none at all
  std::map<std::string, std::string> more{};  ///< further metadata, e.g. {"data_hash", "..."}
};

/// The file's outputs as the library computes them (explainer.h), f64 on the CPU.
struct EMSHAP_API AttributionOutputs {
  Tensor phi;             ///< (B, M)
  Tensor prediction;      ///< (B, 1)
  Tensor standard_error;  ///< (B, M)
  double phi0 = 0;
};
EMSHAP_API AttributionOutputs attribution_outputs(TeamPool& pool, const AttributionSettings& settings,
                                                  ConstTensorView x);

/// The bytes of the ONNX file, checked by ONNX's checker and shape inference. Throws ConfigError for what has
/// no such form: another proposal than set-GRU and masked MLP, the energy's absolute form where its weights
/// are used, independent noise, no player, more than 65,536 coalitions, parts that do not fit together, an f
/// whose write_f refuses. NumericalError for a parameter that is not finite.
EMSHAP_API std::string attribution_onnx(TeamPool& pool, const AttributionSettings& settings,
                                        const AttributionOnnxInfo& info);

/// Runs the file's graph (onnx_run.h) on complete raw rows x (B, D), B >= 1, and compares with
/// attribution_outputs: the largest |a - b| / (max phi - min phi of the row) of phi, phi0 and prediction; of
/// standard errors |a - b| / (max phi - min phi + 10 b). Throws QualityError above `limit`, naming row and
/// output.
EMSHAP_API double verify_attribution(TeamPool& pool, const OnnxModel& file,
                                     const AttributionSettings& settings, ConstTensorView x,
                                     double limit = 1e-4);

/// Makes the file, verifies it on two complete rows of the raw rows x (B, D) and only then writes it,
/// atomically. Our interpreter is slow: where the settings ask for more than 2 M + 64 coalitions or 16 draws,
/// what is verified is the same graph with so many; scripts/verify_onnx.py runs all of the file in ONNX
/// Runtime. One of three rows may fail: a draw at the border of two categories or grid values may
/// fall on either side in float32, which shows where draws are few. Returns the largest deviation. Throws as
/// attribution_onnx and verify_attribution do, DataError without a complete row, IoError (environment) when
/// it cannot be written.
EMSHAP_API double export_attribution(TeamPool& pool, const std::filesystem::path& path,
                                     const AttributionSettings& settings, const AttributionOnnxInfo& info,
                                     ConstTensorView x);

}  // namespace emshap::io
