#pragma once
// An EmSHAP model with all that is needed to use it on raw rows, and how it lies on disk: weights in the
// run's checkpoint, the columns in feature_space.json. A folder may hold a power predictor beside it.
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "emshap/core/context.h"
#include "emshap/core/tensor.h"
#include "emshap/data/feature_space.h"
#include "emshap/models/proposal.h"
#include "emshap/train/run_directory.h"

namespace emshap {

class EmshapModel;

/// Names of the files of an EmSHAP run, relative to its folder. split.csv is shared with a power predictor.
struct EmshapFiles {
  static constexpr const char* model = "emshap";  ///< in the manifest
  static constexpr const char* checkpoint = "emshap_checkpoint.bin";
  static constexpr const char* space = "feature_space.json";
  static constexpr const char* split = "split.csv";
  static constexpr const char* background = "emshap_background.npy";
  static constexpr const char* onnx = "emshap_model.onnx";
  static constexpr const char* history = "emshap_history.csv";
  static constexpr const char* metrics = "emshap_metrics.json";
  static constexpr const char* config = "emshap_config.toml";
  static constexpr const char* log = "emshap_log.txt";
  static constexpr const char* plots = "plots";
};

struct EMSHAP_API FittedEmshap {
  FeatureSpace space;
  std::unique_ptr<EmshapModel> model;
  std::string proposal;      ///< "gru" or "mlp"
  bool energy_used = false;  ///< the energy's weights are used: it raised the held-out likelihood by enough
  double energy_gain =
      0;  ///< by how much: nat per unknown feature of the validation rows, NaN without such rows
  std::uint64_t seed = 0;

  FittedEmshap();
  ~FittedEmshap();
  FittedEmshap(FittedEmshap&&) noexcept;
  FittedEmshap& operator=(FittedEmshap&&) noexcept;
};

/// Rows in model space, on the CPU.
struct EMSHAP_API ModelRows {
  Tensor x, observed;  ///< (n, F) of the type asked for; missing entries are 0 in both
  Tensor code;         ///< (n, F) i32

  std::int64_t rows() const { return x.rows(); }
  FeatureRows view(std::int64_t begin, std::int64_t count) const;
  /// The exact values of raw rows (n, inputs). Throws DataError, see FeatureSpace::to_model.
  static ModelRows exact(const FeatureSpace& space, ConstTensorView raw, DType dtype = DType::f32);
};

/// All that a model is made of but its weights, as one line of JSON with exact numbers: engine, sizes,
/// layout, Gaussian base, energy, and the hash of the feature space. What a checkpoint must agree with.
EMSHAP_API std::string emshap_architecture(const EmshapModel& model, const std::string& space_hash);
/// The model described, with initial weights. Throws IoError for a text that is damaged or of another model.
EMSHAP_API std::unique_ptr<EmshapModel> make_emshap_model(const std::string& architecture,
                                                          DType dtype = DType::f32, Device device = {});
/// The same model with the same weights on another device. Throws ConfigError for a model that cannot be
/// saved (no energy network, a proposal other than the set-GRU and the masked MLP), and DeviceError for a GPU
/// and a proposal that does not draw there (all but the set-GRU).
EMSHAP_API std::unique_ptr<EmshapModel> copy_to_device(const EmshapModel& model, Device device);
/// The hash of the feature space that the model was made for. Throws IoError.
EMSHAP_API std::string architecture_space_hash(const std::string& architecture);

/// The trained model of a run. Throws IoError when a file is missing, damaged or does not fit the others, or
/// when the training has not been finished.
EMSHAP_API FittedEmshap load_emshap(const RunDirectory& run);

}  // namespace emshap
