#include "emshap/layers/activation.h"

#include "layers/scratch.h"

namespace emshap {

void ActivationLayer::infer(Context& ctx, ConstTensorView x, TensorView y) const {
  ops::activation_forward(ctx, activation_, x, y);
}

void ActivationLayer::forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) const {
  infer(ctx, x, y);
  cache.x = derivative_from_output(activation_) ? ConstTensorView() : x;
  cache.y = y;
}

void ActivationLayer::backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) const {
  if (wanted(dx)) ops::activation_backward(ctx, activation_, cache.x, cache.y, dy, dx);
}

}  // namespace emshap
