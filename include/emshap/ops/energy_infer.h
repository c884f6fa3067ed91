#pragma once
// The energy network (models/energy_network.h) through all its layers in one kernel, on a GPU: activations of
// a tile of completions stay in the shared memory of a block, weights pass through it in chunks. On the CPU
// it throws DeviceError: there the network goes layer by layer. B rows of R completions, F features, N units.
#include <cstdint>
#include <span>

#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"
#include "emshap/ops/activation.h"

namespace emshap::ops {

/// Layers inside the blocks that one call takes.
inline constexpr std::int64_t energy_most_layers = 32;

/// Whether this context has the op below.
EMSHAP_API bool fused_energy(const Context& ctx);

struct EnergyLayer {
  ConstTensorView weight, bias;  ///< (N, N), (N)
};

struct EnergyWeights {
  ConstTensorView completion;           ///< (F, N): of x
  std::span<const EnergyLayer> layers;  ///< block after block, `depth` each
  int depth = 1;
  ConstTensorView output, output_bias;  ///< (N, 1), (1)
  Activation activation = Activation::relu;
  double bound = 0;  ///< energy = bound tanh(raw / bound); 0: energy = raw
};

/// energy (B R) from x (B R, F) and shared (B, N), what mask and context add to the first layer:
/// s = act(x W + shared); each block adds its layers' output to s; raw = s W_out + b_out. f32.
EMSHAP_API void energy_infer(Context& ctx, const EnergyWeights& weights, ConstTensorView x,
                             ConstTensorView shared, TensorView energy);

}  // namespace emshap::ops
