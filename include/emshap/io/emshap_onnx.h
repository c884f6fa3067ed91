#pragma once
// The EmSHAP model as an ONNX file, there and back. Raw units in, so that it can be used without anything
// else of ours. F input columns, F' features of the model (constant columns are left out; metadata
// "model_features"), H context width, C mixture components, V categories:
//   x (batch, F) float32    raw units; NaN or infinite: missing, which is unknown whatever the mask says
//   mask (batch, F) float32 1 = known, 0 = unknown (the border is .5); ignored for constant columns
//   energy (batch, 1)       g(x, mask, context) of the row as given, unknown values included; missing ones
//                           count as 0 in model space. Always the energy network's value, whether or not its
//                           weights are used (metadata "energy_used")
// All other outputs depend on the known values only:
//   proposal_mean, proposal_logvar (batch, F')  moments of q(x_t | x_S) in model space; known features: x and
//                           log 1e-6
//   context (batch, H)      the proposal's state for x_S
//   mixture (batch, F', 3C) model space: C normalised log-weights, C means, C log standard deviations; 0 for
//                           known and for categorical features
//   categorical (batch, V)  log-probabilities of the categories, feature after feature; 0 for known features;
//                           only where the model has categorical features
//   conditional_mean (batch, F)  raw units: the inverse transform of proposal_mean, neither rounded to a grid
//                           nor clamped; known features: x, clipped where the space clips; constant columns:
//                           their training value
// Initialisers have the names of our parameters. Metadata: "model" (emshap), "version", "features",
// "model_features", "proposal", "energy_used", "energy_gain", "seed", "architecture" (JSON: layout, Gaussian
// base, sizes), "feature_space" (JSON), "feature_space_hash", "weights_hash", and what the caller adds.
#include <filesystem>
#include <map>
#include <string>

#include "emshap/core/context.h"
#include "emshap/core/tensor.h"
#include "emshap/io/onnx_model.h"
#include "emshap/train/fitted_emshap.h"

namespace emshap::io {

/// What the file says about itself beyond the model.
struct EmshapOnnxInfo {
  std::map<std::string, std::string> more;  ///< further metadata, e.g. {"data_hash", "..."}
};

/// The file's outputs as the library computes them, all f32 on the CPU.
struct EMSHAP_API EmshapOutputs {
  Tensor energy, proposal_mean, proposal_logvar, context, mixture;
  Tensor categorical;  ///< empty without categorical features
  Tensor conditional_mean;
};
/// x and mask (B, F) f32 in raw columns, on the CPU. Throws ShapeError.
EMSHAP_API EmshapOutputs emshap_outputs(Context& ctx, const FittedEmshap& fitted, ConstTensorView x,
                                        ConstTensorView mask);

/// The bytes of the ONNX file, checked by ONNX's checker and shape inference. Throws ConfigError for a model
/// that has no ONNX form (not float32, another proposal than set-GRU and masked MLP, parts that do not fit
/// together), NumericalError for a parameter that is not finite.
EMSHAP_API std::string emshap_onnx(const FittedEmshap& fitted, const EmshapOnnxInfo& info);

/// Makes the file, verifies it (verify_emshap) on the raw rows x (B, F) and only then writes it, atomically:
/// a file of this name is a verified one. Returns the largest deviation. Throws as emshap_onnx and
/// verify_emshap do, IoError (environment) when it cannot be written.
EMSHAP_API double export_emshap(const std::filesystem::path& path, const FittedEmshap& fitted,
                                const EmshapOnnxInfo& info, ConstTensorView x);

/// Rebuilds the model from a file that emshap_onnx wrote: same weights, bit for bit. `info`, if given, gets
/// the metadata that the writer's caller added. Throws IoError (data), one sentence.
EMSHAP_API FittedEmshap load_emshap_onnx(const std::filesystem::path& path, EmshapOnnxInfo* info = nullptr);
EMSHAP_API FittedEmshap load_emshap_onnx(const OnnxModel& model, EmshapOnnxInfo* info = nullptr);

/// Rows with masks to test a file on.
struct EMSHAP_API EmshapPairs {
  Tensor x, mask;  ///< (n, F) f32
};
/// The raw rows x (B, F), again and again, under empty, full, single, all-but-one and random masks, again and
/// again: `count` pairs, 0 for every mask once (at most 50), none without rows.
EMSHAP_API EmshapPairs emshap_pairs(ConstTensorView x, std::int64_t count = 0);

/// Reads the file back, which must give the same weights bit for bit, and runs its graph (onnx_run.h) on
/// emshap_pairs of the raw rows x (B, F): the largest |a - b| / (|b| + max(sd, u)) of its outputs against
/// emshap_outputs, sd of b's column over these pairs, u = .1 in model space and .1 training standard
/// deviations in raw units. Throws QualityError above `limit`, which leaves room for float32 sums in another
/// order.
EMSHAP_API double verify_emshap(const OnnxModel& file, const FittedEmshap& fitted, ConstTensorView x,
                                double limit = 1e-4);

}  // namespace emshap::io
