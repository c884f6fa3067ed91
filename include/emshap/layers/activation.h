#pragma once
#include "emshap/ops/activation.h"

namespace emshap {

class GraphWriter;
struct GraphValue;

/// y = activation(x), pointwise; the layer form of ops/activation.h for activations that are not fused
/// elsewhere.
class EMSHAP_API ActivationLayer {
 public:
  struct Cache {
    ConstTensorView x, y;  ///< (B, F); x is empty when the derivative follows from y
  };

  explicit ActivationLayer(Activation activation) : activation_(activation) {}
  /// y may be x in infer, and in forward when derivative_from_output(activation()).
  void infer(Context& ctx, ConstTensorView x, TensorView y) const;
  void forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) const;
  /// dx may be dy.
  void backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) const;
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& x) const;
  Activation activation() const { return activation_; }

 private:
  Activation activation_;
};

}  // namespace emshap
