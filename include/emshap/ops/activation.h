#pragma once
// Pointwise activations. x, y, dy, dx: (rows, cols), same extent; y may be x, dx may be dy.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

enum class Activation : std::uint8_t {
  identity,
  relu,        ///< max(z, 0); derivative 0 at 0
  leaky_relu,  ///< z for z > 0, .01 z otherwise
  gelu,        ///< z Phi(z), the exact form (Hendrycks & Gimpel 2016), not the tanh approximation
  tanh,
  sigmoid,
  softplus,  ///< log(1 + exp z), computed without overflow
  silu,      ///< z sigmoid(z)
};

/// Parses "relu", "gelu" ... Throws ConfigError listing the names.
EMSHAP_API Activation parse_activation(const std::string& name);
EMSHAP_API const char* to_string(Activation activation);
/// Whether dx can be computed from y alone (identity, relu, leaky_relu, tanh, sigmoid), so that a product may
/// apply the activation to its output and drop z.
EMSHAP_API bool derivative_from_output(Activation activation);

namespace ops {

/// y = activation(x).
EMSHAP_API void activation_forward(Context& ctx, Activation activation, ConstTensorView x, TensorView y);

/// dx = dy * activation'(x). For activations with derivative_from_output, pass either x or y: `x` may be an
/// empty view when `y` is given; the others need x. Throws ShapeError when what is needed is missing.
EMSHAP_API void activation_backward(Context& ctx, Activation activation, ConstTensorView x, ConstTensorView y,
                                    ConstTensorView dy, TensorView dx);

}  // namespace ops
}  // namespace emshap
