#pragma once
// Losses of a prediction against a target, both (B, N). The loss is the mean over all rows of the team's
// batch and all columns; every member of a team gets the same bits.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

enum class Loss : std::uint8_t {
  mse,    ///< (p - t)^2
  huber,  ///< (p - t)^2 / 2 for |p - t| <= delta, delta (|p - t| - delta / 2) beyond (Huber 1964)
};
EMSHAP_API Loss parse_loss(const std::string& name);
EMSHAP_API const char* to_string(Loss loss);

namespace ops {

/// loss (1) = mean of the loss, 0 for no rows, private to each member; dprediction (B, N) = its gradient, or
/// an empty view when not wanted; it may be `prediction`. `delta` is read by huber only. Sums are formed in
/// double.
EMSHAP_API void loss_forward(Context& ctx, Loss kind, double delta, ConstTensorView prediction,
                             ConstTensorView target, TensorView loss, TensorView dprediction);

}  // namespace ops
}  // namespace emshap
