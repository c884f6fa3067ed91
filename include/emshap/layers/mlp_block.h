#pragma once
#include <optional>
#include <string>

#include "emshap/layers/activation.h"
#include "emshap/layers/batch_norm.h"
#include "emshap/layers/dropout.h"
#include "emshap/layers/linear.h"

namespace emshap {

struct MlpBlockOptions {
  std::int64_t inputs = 0;   ///< K
  std::int64_t outputs = 0;  ///< N
  bool batch_norm = true;    ///< the linear map has a bias only without it
  Activation activation = Activation::relu;
  double dropout = 0;
  Init init = Init::kaiming_uniform;
  std::uint64_t seed = 0;           ///< of the dropout masks
  std::uint32_t dropout_layer = 0;  ///< distinguishes the dropout layers of a network
};

/// y (B, N) = dropout(activation(batch_norm(x (B, K) w))), or without batch norm dropout(activation(x w +
/// b)). What can run in the product's or the normalisation's pass over memory is fused there. Parameters
/// "<name>.linear.*" and "<name>.norm.*".
class EMSHAP_API MlpBlock {
 public:
  struct Cache {
    std::uint64_t step = 0;  ///< set before forward: training step, part of the key of the dropout mask
    Tensor z, n, a;          ///< (B, N): outputs of linear, norm and activation where another stage follows
    Linear::Cache linear;
    BatchNorm::Cache norm;
    ActivationLayer::Cache activation;
    Dropout::Cache dropout;
  };

  MlpBlock(ParameterStore& store, const std::string& name, const MlpBlockOptions& options);
  void initialise(std::uint64_t seed);

  void infer(Context& ctx, ConstTensorView x, TensorView y) const;
  void forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache);
  void backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx);
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& x) const;

  const MlpBlockOptions& options() const { return options_; }
  const Linear& linear() const { return linear_; }
  const BatchNorm* norm() const { return norm_ ? &*norm_ : nullptr; }

 private:
  MlpBlockOptions options_;
  Linear linear_;
  std::optional<BatchNorm> norm_;
  std::optional<ActivationLayer> activation_;  ///< only when fused nowhere
  std::optional<Dropout> dropout_;             ///< only when not fused
};

}  // namespace emshap
