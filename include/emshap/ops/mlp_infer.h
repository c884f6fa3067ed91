#pragma once
// A stack of dense layers in one kernel, on a GPU: activations of a tile of rows stay in the shared memory of
// a block, weights pass through it in chunks. Unlike products by cuBLAS, a row's result does not depend on
// how many rows a call has. On the CPU it throws DeviceError: there layers go one by one.
#include <cstdint>
#include <span>

#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"
#include "emshap/ops/activation.h"

namespace emshap::ops {

/// Layers that one call takes.
inline constexpr std::int64_t mlp_most_layers = 32;

struct MlpLayer {
  ConstTensorView weight, bias;  ///< (inputs, outputs), (outputs)
};

/// y (B, outputs of the last layer) from x (B, inputs of the first): u <- act(u W + b) layer by layer, the
/// last one without the activation. f32; B >= 0, at least one layer. Throws ShapeError, and DeviceError for
/// layers so wide that four rows do not fit into the shared memory of a block.
EMSHAP_API void mlp_infer(Context& ctx, std::span<const MlpLayer> layers, Activation activation,
                          ConstTensorView x, TensorView y);

}  // namespace emshap::ops
