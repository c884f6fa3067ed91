#pragma once
// Batch normalisation (Ioffe & Szegedy 2015). x, y, dy, dx: (B, F); all vectors (F). Statistics are over all
// rows of the team's batch: mean and M2 per shard, merged in shard order by Chan, Golub & LeVeque 1979.
#include "emshap/core/context.h"
#include "emshap/core/random.h"
#include "emshap/core/tensor_view.h"
#include "emshap/ops/activation.h"

namespace emshap::ops {

/// What follows the normalisation in the same pass over memory: activation, then dropout (see dropout.h).
/// With dropout the activation must be relu, whose derivative and mask can both be read off the output.
struct NormEpilogue {
  Activation activation = Activation::identity;
  float dropout = 0;  ///< probability of a zero, 0 <= p < 1
  RandomKey key{};    ///< of the dropout mask
};

/// y = dropout(activation(gamma (x - mean) rstd + beta)), rstd = 1 / sqrt(var + eps), var biased (over B).
/// Writes mean and rstd (F) for the backward pass; updates running_mean and running_var by
/// r <- (1 - momentum) r + momentum s with the unbiased variance (B/(B-1); B = 1 keeps the running variance).
/// B = 0 leaves everything untouched. All members of a team pass the same parameters and running statistics;
/// mean and rstd are private to each member.
EMSHAP_API void batch_norm_forward(Context& ctx, ConstTensorView x, ConstTensorView gamma,
                                   ConstTensorView beta, double eps, double momentum, TensorView running_mean,
                                   TensorView running_var, const NormEpilogue& epilogue, TensorView y,
                                   TensorView mean, TensorView rstd);

/// y = activation(gamma (x - running_mean) / sqrt(running_var + eps) + beta): no statistics, no dropout.
EMSHAP_API void batch_norm_infer(Context& ctx, ConstTensorView x, ConstTensorView gamma, ConstTensorView beta,
                                 double eps, ConstTensorView running_mean, ConstTensorView running_var,
                                 Activation activation, TensorView y);

/// Given dy (after the epilogue), x, and y where the epilogue's activation is not identity:
///   dz     = dy * mask * activation'
///   dbeta += sum dz,  dgamma += sum dz xhat,  xhat = (x - mean) rstd
///   dx     = gamma rstd (dz - mean(dz) - xhat mean(dz xhat))
/// Activations other than identity must have derivative_from_output. dx may be dy.
EMSHAP_API void batch_norm_backward(Context& ctx, ConstTensorView dy, ConstTensorView x, ConstTensorView y,
                                    ConstTensorView gamma, ConstTensorView mean, ConstTensorView rstd,
                                    const NormEpilogue& epilogue, TensorView dx, TensorView dgamma,
                                    TensorView dbeta);

}  // namespace emshap::ops
