#pragma once
// Backend of mlp_infer.h: CUDA alone has it.
#include "core/mat.h"
#include "emshap/core/context.h"
#include "emshap/ops/mlp_infer.h"

namespace emshap::cuda {

struct MlpStack {
  struct Layer {
    Mat<const float> weight;
    const float* bias;
  };
  Layer layer[ops::mlp_most_layers];
  int layers;
};

void mlp_infer(Context& ctx, const MlpStack& stack, Activation activation, Mat<const float> x, Mat<float> y);

}  // namespace emshap::cuda
