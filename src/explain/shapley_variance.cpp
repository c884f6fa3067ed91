// What sampled coalitions and noisy values leave open of Shapley values.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/mat.h"
#include "emshap/core/error.h"
#include "emshap/explain/shapley_solver.h"
#include "explain/solver_parts.h"

namespace emshap {

void ShapleySolver::sampling_variance(ConstTensorView values, ConstTensorView phi,
                                      TensorView variance) const {
  check_shape(values, "values", {values.rows(), count_});
  check_shape(phi, "phi", {values.rows(), players_});
  check_shape(variance, "variances", {values.rows(), players_});
  const Mat<const double> v = mat<double>(values), p = mat<double>(phi);
  const Mat<double> out = mat<double>(variance);
  for (std::int64_t b = 0; b < v.rows; ++b) {
    std::fill_n(out.row(b), players_, 0.0);
    if (present_ < 2) continue;
    if (steps_.empty())
      variance_of_pairs(v.row(b), p.row(b), out.row(b));
    else
      variance_of_orders(v.row(b), p.row(b), out.row(b));
  }
}

void ShapleySolver::variance_of_pairs(const double* v, const double* phi, double* out) const {
  if (member_.empty()) return;
  double total = 0;
  for (std::int64_t j = 0; j < players_; ++j) total += phi[j];
  // Residuals times the root of their pair's factor; 0 for pairs that had to be there.
  std::vector<double> e(at(count_), 0.0), h(at(intercepts_), 0.0);
  for (std::int64_t k = 1; k < count_ / 2; ++k) {
    if (pair_variance_[at(k)] == 0) continue;
    const std::uint8_t* const z = member_.data() + k * players_;
    double in = 0;
    for (std::int64_t j = 0; j < players_; ++j) in += z[j] != 0 ? phi[j] : 0;
    e[at(2 * k)] = v[2 * k] - v[0] - in;
    e[at(2 * k + 1)] = v[2 * k + 1] - v[0] - (total - in);
    if (size_group_[at(k)] >= 0)
      h[at(size_group_[at(k)])] += size_weight_[at(k)] * .5 * (e[at(2 * k)] - e[at(2 * k + 1)]);
  }
  for (std::int64_t k = 1; k < count_ / 2; ++k) {
    const double root = std::sqrt(pair_variance_[at(k)]);
    const std::int64_t group = size_group_[at(k)];
    const double of_size = group < 0 ? 0 : size_weight_[at(k)] < 0 ? -h[at(group)] : h[at(group)];
    e[at(2 * k)] = root * (e[at(2 * k)] - of_size);
    e[at(2 * k + 1)] = root * (e[at(2 * k + 1)] + of_size);
  }
  for (std::int64_t j = 0; j < players_; ++j) {
    if (absent_[at(j)] != 0) continue;
    const double* const r = matrix_.ptr<double>() + j * count_;
    double sum[2] = {0, 0};
    for (std::int64_t k = 1; k < count_ / 2; ++k) {
      const double u = r[2 * k] * e[at(2 * k)] + r[2 * k + 1] * e[at(2 * k + 1)];
      sum[k % 2] += u * u;
    }
    out[j] = sum[0] + sum[1];
  }
}

void ShapleySolver::variance_of_orders(const double* v, const double* phi, double* out) const {
  const std::int64_t in_pair = 2 * present_;
  const std::int64_t pairs = static_cast<std::int64_t>(steps_.size()) / (3 * in_pair);
  const auto n = static_cast<double>(pairs);
  const double scale = pairs > 1 ? 1 / (n * (n - 1)) : not_known;
  std::vector<double> of_pair(at(players_));
  const std::int64_t* step = steps_.data();
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    std::fill(of_pair.begin(), of_pair.end(), 0.0);
    for (std::int64_t k = 0; k < in_pair; ++k, step += 3)
      of_pair[at(step[0])] += .5 * (v[step[2]] - v[step[1]]);
    for (std::int64_t j = 0; j < players_; ++j) {
      const double d = of_pair[at(j)] - phi[j];
      if (absent_[at(j)] == 0) out[j] += scale * d * d;
    }
  }
}

void ShapleySolver::noise_variance(ConstTensorView deviations, bool shared, TensorView variance) const {
  const std::int64_t B = variance.rows(), M = players_;
  const std::int64_t G = deviations.shape().rank() == 3 ? deviations.shape()[2] : 1;
  check_shape(deviations, "deviations", {B, count_, G});
  check_shape(variance, "variances", {B, M});
  if (!shared && G != 1)
    throw ShapeError(fmt::format("ShapleySolver: {} replicates of independent noise, expected 1", G));
  const double* const d = deviations.ptr<double>();
  const Mat<double> out = mat<double>(variance);
  const double scale = G > 1 ? static_cast<double>(G) / static_cast<double>(G - 1) : not_known;
  std::vector<double> part(at(G * count_)), squared(at(shared ? 0 : count_));
  for (std::int64_t b = 0; b < B; ++b) {
    for (std::int64_t c = 0; c < count_; ++c)
      for (std::int64_t g = 0; g < G; ++g) {
        const double x = d[(b * count_ + c) * G + g];
        part[at(g * count_ + c)] = shared ? x : x * x;
      }
    for (std::int64_t j = 0; j < M; ++j) {
      double& o = out.row(b)[j];
      o = 0;
      if (absent_[at(j)] != 0) continue;
      const double* const r = matrix_.ptr<double>() + j * count_;
      if (!shared) {
        for (std::int64_t c = 0; c < count_; ++c) squared[at(c)] = r[c] * r[c];
        o = dot(squared.data(), part.data(), count_);
        continue;
      }
      for (std::int64_t g = 0; g < G; ++g) {
        const double psi = dot(r, part.data() + g * count_, count_);
        o += psi * psi;
      }
      o *= scale;
    }
  }
}

}  // namespace emshap
