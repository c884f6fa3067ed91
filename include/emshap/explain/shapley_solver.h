#pragma once
// Shapley values from the values of coalitions: weighted least squares with efficiency as a constraint, and
// the standard errors of what sampling leaves open. See docs/explain.md for the formulas.
#include <cstdint>
#include <vector>

#include "emshap/core/tensor.h"
#include "emshap/explain/coalitions.h"

namespace emshap {

/// phi = R v for one set of coalitions: A = sum w z z', b = sum w z (v - v0),
/// phi = A^-1 (b - 1 (1'A^-1 b - Delta) / (1'A^-1 1)), Delta = v1 - v0; sets of orders: the mean of marginal
/// contributions. Where a sample is large enough (see size_intercepts) the least squares also fit a common
/// term of all coalitions of a size: it leaves phi where it is when everything is enumerated, and takes what
/// sizes have in common out of the error otherwise. One factorisation serves all explicands. Const functions
/// may be called by several threads at once; the result for a row does not depend on the other rows of a
/// call.
class EMSHAP_API ShapleySolver {
 public:
  /// `absent` (M, or empty): 1 for players that take no part for these explicands (missing values): their phi
  /// is 0 and the system is solved for the others. Throws NumericalError when even the ridge does not help.
  explicit ShapleySolver(const Coalitions& coalitions, const std::vector<std::uint8_t>& absent = {});

  std::int64_t players() const { return players_; }
  std::int64_t coalitions() const { return count_; }
  /// R (M, C) f64, the columns of empty and full included: sum_j phi_j = v1 - v0 to rounding.
  ConstTensorView matrix() const { return matrix_; }
  /// Added to the system in the M - 1 directions in which phi is free, when its condition is above 1e8: phi
  /// shrinks to Delta / M. 0 when it was not needed.
  double ridge() const { return ridge_; }
  /// Of A restricted to sum phi = 0; 1 where nothing is free.
  double condition() const { return condition_; }

  /// Number of pairs of sizes {s, M - s} with a term of their own, h(s) = -h(M - s): all that were sampled,
  /// where there are four pairs of coalitions for each unknown of the least squares; else 0. Any h with
  /// h(0) = h(M) = 0 has Shapley values of 0.
  std::int64_t size_intercepts() const { return intercepts_; }

  /// phi (B, M) f64 from values (B, C) f64; sum_j phi_j = v1 - v0 to rounding.
  void solve(ConstTensorView values, TensorView phi) const;
  /// Variance of phi by the choice of coalitions (B, M) f64; 0 when everything was enumerated, NaN when the
  /// set is too small to tell (no more pairs of complements than M - 1; a single pair of orders). Its root is
  /// good to 10 % from budgets of 5 M on, and up to a third too small at 2.5 M. kernel, leverage: V = m / (m
  /// - p) sum_P (1 - pi_P) u_P u_P', u_P = sum_{S in P} R_S e_S, e_S = v(S) - v0 - z_S' phi - h(s), p
  /// unknowns, pi_P = 1 - (1 - 2 p_S)^(n/2) (kernel), pi_S (leverage); permutation: between antithetic pairs
  /// of orders.
  void sampling_variance(ConstTensorView values, ConstTensorView phi, TensorView variance) const;
  /// Variance of phi by the noise of the values (B, M) f64, from deviations (B, C, G) f64 as a ValueFunction
  /// gives them. shared: G/(G-1) sum_g (sum_S R_jS d_Sg)^2, NaN for G = 1; independent: G = 1,
  /// sum_S R_jS^2 d_S^2.
  void noise_variance(ConstTensorView deviations, bool shared, TensorView variance) const;

  /// (C / 2): m / (m - p) (1 - pi_P), what counts each pair of complements 2 P, 2 P + 1 in the sampling
  /// variance; empty for orders.
  const std::vector<double>& residual_pairs() const { return pair_variance_; }
  /// (C / 2) each: which term h a pair belongs to (-1: none), and its share in h = sum over its pairs of
  /// share (e(2 P) - e(2 P + 1)) / 2, e without h; negative where 2 P is the larger one. Empty for orders.
  const std::vector<std::int64_t>& size_groups() const { return size_group_; }
  const std::vector<double>& size_weights() const { return size_weight_; }

 private:
  void least_squares(const Coalitions& set, const std::vector<std::int64_t>& present);
  void mean_of_orders(const Coalitions& set);
  void variance_of_pairs(const double* v, const double* phi, double* out) const;
  void variance_of_orders(const double* v, const double* phi, double* out) const;

  std::int64_t players_ = 0, count_ = 0, present_ = 0;
  double ridge_ = 0, condition_ = 1;
  Tensor matrix_;
  std::vector<std::uint8_t> absent_;
  std::vector<std::uint8_t> member_;   // (C / 2, M): the first of each pair of complements; empty for orders
  std::vector<double> pair_variance_;  // (C / 2): m / (m - p) (1 - pi_P); empty for orders
  std::vector<std::int64_t> size_group_;
  std::vector<double> size_weight_;
  std::int64_t intercepts_ = 0;
  std::vector<std::int64_t> steps_;  // (orders, M', 3): player, coalition before and with it; M' not absent
};

}  // namespace emshap
