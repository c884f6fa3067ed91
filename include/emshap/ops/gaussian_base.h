#pragma once
// Conditional moments of the Gaussian base (models/gaussian_base.h) in the forms that training and drawing
// need. Conditioning on one feature k after another is Gaussian elimination of the covariance C, started at
// Sigma:
//   g = C[:, k] / C_kk,  mean += g (x_k - mean_k),  C -= g C[k, :],  s^2_t = C_tt.
// `mean` (F) and `cov` (F, F) are f64, symmetric, with a diagonal above 0; the arithmetic is in float64, x
// and all outputs are of one element type. Pivots below 1e-12 of a feature's variance (a covariance without
// ridge) count as that. Rows are independent: results do not depend on the rows beside them. F features, B
// rows, K draws. Entries of an order or sequence beyond `count` are not read; those before must be different
// features from 0..F-1 (ShapeError on the CPU for a number outside).
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

/// The log standard deviation given for known features: half of log 1e-6.
inline constexpr double base_known_log_sd = -6.907755278982137;

/// For training: moments of each feature given every prefix of the row's order. order (B, F) i32, its first
/// count[b] features are used, count (B) i32 in 0..F. mu and log_sd (B, F, F): entry [b][t][i], i =
/// 0..position of t in the order, holds the moments of t given the first i features of the order. All other
/// entries are 0.
EMSHAP_API void base_prefix_moments(Context& ctx, ConstTensorView mean, ConstTensorView cov,
                                    ConstTensorView x, ConstTensorView order, ConstTensorView count,
                                    TensorView mu, TensorView log_sd);

/// Moments of every unknown feature given the known ones. x and mask (B, F), 1 = known (anything above .5), 0
/// = not; unknown entries of x are not read. mu and log_sd (B, F): x and base_known_log_sd for known
/// features.
EMSHAP_API void base_conditionals(Context& ctx, ConstTensorView mean, ConstTensorView cov, ConstTensorView x,
                                  ConstTensorView mask, TensorView mu, TensorView log_sd);

/// For drawing: what does not depend on values. sequence (B, F) i32 (known ascending, then unknown
/// ascending), count (B) i32. gains (B, F, F): entry [b][k][t] is the gain g of feature t when the k-th
/// feature of the sequence becomes known after those before it; 0 for that feature itself, for earlier ones
/// and from k = count on. log_sd (B, F): entry [b][k] that of the k-th feature given those before it; 0 from
/// count on.
EMSHAP_API void base_gains(Context& ctx, ConstTensorView cov, ConstTensorView sequence, ConstTensorView count,
                           TensorView gains, TensorView log_sd);

/// One step of drawing: the k-th feature t of each row's sequence, k = position[b], has got the value
/// x[r][t]:
///   mean[r] += gains[b][k] (x[r][t] - mean[r][t]).
/// x and mean (B K, F), row b K + j belongs to row b of gains (B, F, F), sequence (B, F) i32 and position (B)
/// i32; rows with position -1 are left as they are. Start `mean` at base_conditionals' mu and the positions
/// behind the known features: mean[r][t] of the next feature is then its conditional mean.
EMSHAP_API void base_update(Context& ctx, ConstTensorView gains, ConstTensorView sequence,
                            ConstTensorView position, ConstTensorView x, TensorView mean);

}  // namespace emshap::ops
