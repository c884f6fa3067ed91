#pragma once
// Mixtures of Gaussians and categories as the proposal networks use them: losses with gradients, densities,
// draws, moments. P pairs (of a row and a feature), C components, V categories; K draws.
//
// Head output of a pair: (l, a, r), C numbers each, beside a base mean mu and a base log standard deviation:
//   q(x) = sum_c softmax(l)_c N(x; mu + s a_c, [s (softplus(r_c) + min_scale)]^2),  s = exp(log_sd)
// Canonical mixture of a pair: C normalised log-weights, C means, C log standard deviations.
//
// Pairs stand one a row of the (P, ...) matrices, which may have gaps between rows. Vectors of P numbers are
// views of P elements of any shape without gaps, or one column (P, 1) of a matrix. Pairs are independent:
// their values do not depend on how they are cut into calls. Not collective.
#include <cstdint>

#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

inline constexpr double mixture_min_scale = 1e-3;
/// Share of a category's probability that is its frequency in the training rows: no log(0) on unseen pairs.
inline constexpr double category_base_share = .01;

/// value (P) = weight * -log q(x), and dhead (P, 3 C) = its gradient; dhead may be `head`, or an empty view
/// when not wanted. Where weight is 0 both are 0 and x is not read (it may be NaN). No finite input overflows
/// as long as log q itself is finite in the element type.
EMSHAP_API void mixture_loss(Context& ctx, ConstTensorView head, ConstTensorView mean, ConstTensorView log_sd,
                             ConstTensorView x, ConstTensorView weight, TensorView value, TensorView dhead);

/// mixture (P, 3 C), canonical, from head (P, 3 C); may be the same memory. Pairs with wanted (P) = 0 become
/// 0; an empty view wants all.
EMSHAP_API void mixture_from_head(Context& ctx, ConstTensorView head, ConstTensorView mean,
                                  ConstTensorView log_sd, ConstTensorView wanted, TensorView mixture);

/// value (P) = log q(x).
EMSHAP_API void mixture_log_density(Context& ctx, ConstTensorView mixture, ConstTensorView x,
                                    TensorView value);
/// value (P) = log(F(right) - F(left)), left < right, accurate in both tails; left may be -inf, right inf.
EMSHAP_API void mixture_log_interval(Context& ctx, ConstTensorView mixture, ConstTensorView left,
                                     ConstTensorView right, TensorView value);
/// mean and variance (P) of each mixture.
EMSHAP_API void mixture_moments(Context& ctx, ConstTensorView mixture, TensorView mean, TensorView variance);

/// Draws x (P) and adds log q(x) to log_q (P, may be empty). mixture (R, 3 C): row r serves the P / R pairs
/// from r P / R on. uniforms (N, 1): pair p reads row p mod N, P being a multiple of N; x is the
/// mixture's quantile at that number, strictly between 0 and 1: continuous and increasing in it. Pairs of
/// rows with wanted (R) = 0 are left as they are; an empty view wants all.
EMSHAP_API void mixture_draw(Context& ctx, ConstTensorView mixture, ConstTensorView uniforms,
                             ConstTensorView wanted, TensorView x, TensorView log_q);

/// p_v = (1 - category_base_share) softmax(logits)_v + category_base_share frequency_v;
/// value (P) = weight * -log p_code and dlogits (P, V) = its gradient; dlogits may be `logits` or empty.
/// logits (P, V), frequencies (V), code (P) i32, weight (P). Where weight is 0 both are 0 and code is not
/// read; elsewhere a code outside 0..V-1 gives NaN.
EMSHAP_API void categorical_loss(Context& ctx, ConstTensorView logits, ConstTensorView frequencies,
                                 ConstTensorView code, ConstTensorView weight, TensorView value,
                                 TensorView dlogits);
/// log_p (P, V) = log p_v; may be `logits`. Pairs with wanted (P) = 0 become 0; an empty view wants all.
EMSHAP_API void categorical_log_probabilities(Context& ctx, ConstTensorView logits,
                                              ConstTensorView frequencies, ConstTensorView wanted,
                                              TensorView log_p);
/// Draws code (P) i32 and adds its log probability to log_q (P, may be empty). log_p (R, V); rows, `wanted`
/// and uniforms (N, 1) as for mixture_draw.
EMSHAP_API void categorical_draw(Context& ctx, ConstTensorView log_p, ConstTensorView uniforms,
                                 ConstTensorView wanted, TensorView code, TensorView log_q);
/// x (P) = values[code]; values (V), code (P) i32. Where code is outside 0..V-1, x is left as it is.
EMSHAP_API void categorical_values(Context& ctx, ConstTensorView values, ConstTensorView code, TensorView x);

}  // namespace emshap::ops
