#pragma once
// Updates over flat buffers of n elements, shared by all members of a team, who split them by ranges.
// adam_step begins once all members have come, so that nobody still reads the old weights; when an op
// returns, every member sees the whole result. Scalars (norm, scale) are private to each member, with the
// same bits.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = .9;
  double beta2 = .999;
  double eps = 1e-8;
  double weight_decay = 0;  ///< decoupled (AdamW, Loshchilov & Hutter 2019) or added to the gradient (Adam)
  bool decoupled = true;
};

namespace ops {

/// One step of Adam (Kingma & Ba 2015): m, v moments, `step` counts from 1 (bias correction).
///   g <- gradient_scale[0] * g (+ weight_decay * w when not decoupled)
///   m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2
///   w <- w - lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps)  (after w <- w (1 - lr decay) if
///   decoupled)
/// `gradient_scale` (1) holds the clipping factor, see clip_scale; an empty view means 1. A factor of 0 skips
/// the step: w, m and v keep their values, so that a gradient with a NaN spoils nothing. Gradients are not
/// changed. `decay_mask` (n), 1 where weight decay applies and 0 elsewhere, or an empty view for everywhere.
/// Moments below 1e-37 become zero. Throws ConfigError for options out of range.
EMSHAP_API void adam_step(Context& ctx, const AdamOptions& options, std::int64_t step,
                          ConstTensorView gradient, ConstTensorView gradient_scale,
                          ConstTensorView decay_mask, TensorView w, TensorView m, TensorView v);

/// norm (1) = sqrt(sum g^2); scale (1) = min(1, max_norm / (norm + 1e-6)), or 1 for max_norm <= 0. The sum is
/// formed in double, see sum_of_squares_shared. Non-finite gradients give a non-finite norm and scale 0.
EMSHAP_API void clip_scale(Context& ctx, ConstTensorView gradient, double max_norm, TensorView norm,
                           TensorView scale);

/// average <- decay * average + (1 - decay) * w
EMSHAP_API void ema_update(Context& ctx, double decay, ConstTensorView w, TensorView average);

}  // namespace ops
}  // namespace emshap
