#pragma once
#include "emshap/layers/parameter_store.h"
#include "emshap/ops/normalization.h"

namespace emshap {

class GraphWriter;
struct GraphValue;

struct BatchNormOptions {
  std::int64_t features = 0;  ///< F
  double eps = 1e-5;
  double momentum = .1;                          ///< weight of the newest batch in the running statistics
  Activation activation = Activation::identity;  ///< fused; must have derivative_from_output
  double dropout = 0;                            ///< fused after the activation, which must then be relu
  std::uint64_t seed = 0;                        ///< of the dropout masks
  std::uint32_t dropout_layer = 0;               ///< distinguishes the dropout layers of a network
};

/// y = dropout(activation(gamma (x - mean) / sqrt(var + eps) + beta)), statistics of the batch over all
/// members of a team in forward and running ones in infer, which drops nothing. See ops/normalization.h for
/// the formulas. Parameters "<name>.gamma", "<name>.beta"; buffers "<name>.running_mean",
/// "<name>.running_var".
class EMSHAP_API BatchNorm {
 public:
  struct Cache {
    std::uint64_t step = 0;  ///< set before forward: training step, part of the key of the dropout mask
    ConstTensorView x;       ///< (B, F)
    ConstTensorView y;       ///< (B, F), with a fused activation
    Tensor mean, rstd;       ///< (F), of the batch
    ops::NormEpilogue epilogue;
  };

  /// Adds parameters and buffers. Throws ConfigError for an epilogue that cannot be fused (see can_fuse).
  BatchNorm(ParameterStore& store, const std::string& name, const BatchNormOptions& options);
  /// Whether `activation` followed by dropout with probability `dropout` can run in the epilogue.
  static bool can_fuse(Activation activation, double dropout);
  /// gamma = 1, beta = 0, running mean 0 and variance 1.
  void initialise();

  void infer(Context& ctx, ConstTensorView x, TensorView y) const;
  /// Also updates the running statistics.
  void forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache);
  /// dx may be dy.
  void backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx);

  GraphValue to_onnx(GraphWriter& graph, const GraphValue& x) const;

  const BatchNormOptions& options() const { return options_; }
  ParameterId gamma() const { return gamma_; }
  ParameterId beta() const { return beta_; }
  BufferId running_mean() const { return running_mean_; }
  BufferId running_var() const { return running_var_; }
  const ParameterStore& store() const { return *store_; }

 private:
  BatchNormOptions options_;
  ParameterStore* store_;
  ParameterId gamma_, beta_;
  BufferId running_mean_, running_var_;
};

}  // namespace emshap
