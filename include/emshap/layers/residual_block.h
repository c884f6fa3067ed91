#pragma once
#include <string>

#include "emshap/layers/mlp_block.h"

namespace emshap {

struct ResidualBlockOptions {
  std::int64_t features = 0;  ///< H, width of input, output and hidden layer
  bool batch_norm = true;
  Activation activation = Activation::relu;
  double dropout = 0;
  Init init = Init::kaiming_uniform;
  std::uint64_t seed = 0;
  std::uint32_t dropout_layer = 0;
};

/// y (B, H) = x + f(x),  f = Linear - BatchNorm - activation - dropout - Linear (He et al. 2016, without the
/// activation after the sum, so that the identity passes unchanged from block to block). With batch_norm f
/// ends without bias or normalisation: a constant added there reaches the next BatchNorm unchanged, which
/// takes it out again, so that its gradient would be zero up to rounding, which Adam turns into full steps.
/// Without batch_norm both linear maps have a bias. Parameters "<name>.first.linear.*", "<name>.first.norm.*"
/// and "<name>.second.*".
class EMSHAP_API ResidualBlock {
 public:
  struct Cache {
    std::uint64_t step = 0;  ///< set before forward: training step, part of the key of the dropout mask
    Tensor h;                ///< (B, H), output of the first half
    MlpBlock::Cache first;
    Linear::Cache second;
  };

  ResidualBlock(ParameterStore& store, const std::string& name, const ResidualBlockOptions& options);
  void initialise(std::uint64_t seed);

  /// y must not overlap x in infer and forward.
  void infer(Context& ctx, ConstTensorView x, TensorView y) const;
  void forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache);
  void backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx);
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& x) const;

  const MlpBlock& first() const { return first_; }
  const Linear& second() const { return second_; }

 private:
  MlpBlock first_;
  Linear second_;
};

}  // namespace emshap
