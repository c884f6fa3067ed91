#pragma once
// Losses of the energy network. scores (B, 1 + K): s = -g in the residual form, s = -E - log q in the
// absolute form; column 0 belongs to the data, the others to K draws of the proposal for the same row.
#include <string>

#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

enum class EnergyLoss : std::uint8_t {
  binary_nce,   ///< softplus(-s_0) + mean_k softplus(s_k)  (Gutmann & Hyvarinen 2010)
  ranking_nce,  ///< -s_0 + logsumexp(s_0, s_1 .. s_K)  (Ma & Collins 2018)
  importance,   ///< -s_0 + logsumexp(s_1 .. s_K) - log K: likelihood with log Z estimated by importance
                ///< sampling (Lu et al., arXiv 2404.01078, eq. 14)
};
/// "binary-nce", "ranking-nce", "importance". Throws ConfigError.
EMSHAP_API EnergyLoss parse_energy_loss(const std::string& name);
EMSHAP_API const char* to_string(EnergyLoss loss);

namespace ops {

/// Collective: loss (1) = mean over the rows of the team's batch, 0 for no rows, same bits for every member;
/// dscores (B, 1 + K) = its gradient, or an empty view; it may be `scores`. Scores of draws above `limit` (1)
/// count as the limit and get no gradient; an empty view sets none. Throws ShapeError for K = 0 unless B = 0.
EMSHAP_API void energy_loss(Context& ctx, EnergyLoss kind, ConstTensorView scores, ConstTensorView limit,
                            TensorView loss, TensorView dscores);

/// Collective: limit (1) = the smallest score of a draw (columns 1..K) that at least `share` of the batch's
/// draws do not exceed: share .999 cuts the largest 0.1 %. Infinity for no draws. Throws ConfigError unless 0
/// < share <= 1.
EMSHAP_API void score_limit(Context& ctx, double share, ConstTensorView scores, TensorView limit);

/// Self-normalised importance weights, row by row: weights (B, K) = softmax of log_w (B, K), and summary
/// (B, 3) = log Z = logsumexp_k log w_k - log K, effective sample size (sum w)^2 / sum w^2, and the standard
/// error of log Z, sqrt((K / ess - 1) / (K - 1)) (delta method; 0 for K = 1). weights may be log_w; either
/// output may be an empty view. A row whose log_w are all -inf gets equal weights, log Z = -inf, ess 0. Not
/// collective.
EMSHAP_API void importance_weights(Context& ctx, ConstTensorView log_w, TensorView weights,
                                   TensorView summary);

}  // namespace ops
}  // namespace emshap
