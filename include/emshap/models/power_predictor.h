#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "emshap/layers/linear.h"
#include "emshap/layers/mlp_block.h"
#include "emshap/layers/residual_block.h"

namespace emshap {

struct PowerPredictorOptions {
  std::int64_t features = 0;  ///< F
  std::vector<std::int64_t> hidden{128, 64};
  Activation activation = Activation::relu;
  bool batch_norm = true;
  double dropout = .1;
  int residual_blocks = 0;  ///< after each hidden layer, of its width
  std::uint64_t seed = 42;  ///< initial weights and dropout masks
  friend bool operator==(const PowerPredictorOptions&, const PowerPredictorOptions&) = default;
};

/// Predicts one number, the power drawn, from F standardised features:
///   per hidden width: MlpBlock (Linear - BatchNorm - activation - dropout), then `residual_blocks`
///   ResidualBlocks; y (B, 1) = Linear.
/// Owns its parameters; see layers/linear.h for the conventions of infer, forward and backward.
class EMSHAP_API PowerPredictor {
 public:
  struct Cache {
    std::uint64_t step = 0;  ///< set before forward: training step, part of the keys of the dropout masks
    std::vector<Tensor> h;   ///< (B, width): output of each block
    std::vector<MlpBlock::Cache> hidden;
    std::vector<ResidualBlock::Cache> residual;
    Linear::Cache output;
  };

  /// Initialised by options.seed. Throws ConfigError for options out of range.
  explicit PowerPredictor(const PowerPredictorOptions& options, DType dtype = DType::f32, Device device = {});

  /// y (B, 1) from x (B, F): running statistics, no dropout; works through tiles of rows that stay in cache.
  void infer(Context& ctx, ConstTensorView x, TensorView y) const;
  /// Every member of a team passes its own rows and its own cache.
  void forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache);
  /// dx (B, F) or an empty view.
  void backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx);
  /// y (B, 1), in the scale of the training targets, from x (B, F), standardised, both f32.
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& x) const;

  ParameterStore& store() { return *store_; }
  const ParameterStore& store() const { return *store_; }
  const PowerPredictorOptions& options() const { return options_; }

 private:
  struct Stage {
    bool residual = false;
    std::size_t index = 0;  ///< into hidden_ or residual_
    std::int64_t width = 0;
  };
  PowerPredictorOptions options_;
  std::unique_ptr<ParameterStore> store_;
  std::vector<Stage> stages_;
  std::vector<MlpBlock> hidden_;
  std::vector<ResidualBlock> residual_;
  std::optional<Linear> output_;
};

}  // namespace emshap
