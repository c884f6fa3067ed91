#pragma once
// Backend of energy_infer.h: CUDA alone has it.
#include "core/mat.h"
#include "emshap/core/context.h"
#include "emshap/ops/energy_infer.h"

namespace emshap::cuda {

struct EnergyStack {
  struct Layer {
    Mat<const float> weight;
    const float* bias;
  };
  Mat<const float> completion;
  Layer layer[ops::energy_most_layers];
  int layers, depth;
  Mat<const float> output;
  const float* output_bias;
  float bound;
};

void energy_infer(Context& ctx, const EnergyStack& stack, Activation activation, Mat<const float> x,
                  Mat<const float> shared, float* energy);

}  // namespace emshap::cuda
