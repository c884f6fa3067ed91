#include "emshap/explain/shapley_solver.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>

#include <fmt/format.h>
#include <Eigen/Eigenvalues>

#include "core/mat.h"
#include "emshap/core/error.h"

namespace emshap {
namespace {

constexpr double most_condition = 1e8;
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

void check(const ConstTensorView& v, const char* what, const Shape& expected) {
  if (!(v.shape() == expected))
    throw ShapeError(
        fmt::format("ShapleySolver: {} have shape {}, expected {}", what, v.shape().str(), expected.str()));
}

/// Columns: an orthonormal basis of the vectors whose entries sum to 0 (Helmert).
Eigen::MatrixXd contrasts(Eigen::Index m) {
  Eigen::MatrixXd q = Eigen::MatrixXd::Zero(m, m - 1);
  for (Eigen::Index k = 1; k < m; ++k) {
    const double scale = 1 / std::sqrt(static_cast<double>(k) * static_cast<double>(k + 1));
    q.col(k - 1).head(k).setConstant(scale);
    q(k, k - 1) = -static_cast<double>(k) * scale;
  }
  return q;
}

}  // namespace

ShapleySolver::ShapleySolver(const Coalitions& coalitions, const std::vector<std::uint8_t>& absent)
    : coalitions_(coalitions), absent_(absent), players_(coalitions.players), count_(coalitions.size()) {
  if (!absent.empty() && absent.size() != at(players_))
    throw ShapeError(fmt::format("ShapleySolver: absent has {} entries, expected {}, one for each player",
                                 absent.size(), players_));
  absent_.resize(at(players_), 0);
  for (std::int64_t c = 0; players_ > 0 && c < count_; c += 2)
    for (std::int64_t j = 0; j < players_; ++j)
      if (c + 1 == count_ || (coalitions.row(c)[j] != 0) == (coalitions.row(c + 1)[j] != 0) ||
          (c == 0 && coalitions.row(c)[j] != 0))
        throw ShapeError(fmt::format(
            "ShapleySolver: coalition {} is not followed by its complement, expected empty, full and pairs",
            c));
  std::vector<std::int64_t> present;
  for (std::int64_t j = 0; j < players_; ++j)
    if (absent_[at(j)] == 0) present.push_back(j);
  present_ = static_cast<std::int64_t>(present.size());
  by_coalition_.assign(at(count_ * players_), 0.0);
  if (present_ > 0) {
    if (coalitions_.orders.empty())
      least_squares(present);
    else
      mean_of_orders();
  }
  matrix_ = Tensor({players_, count_}, DType::f64);
  for (std::int64_t c = 0; c < count_; ++c)
    for (std::int64_t j = 0; j < players_; ++j)
      matrix_.ptr<double>()[j * count_ + c] = by_coalition_[at(c * players_ + j)];
}

// With phi = Delta / M 1 + Q t, Q'1 = 0, least squares are free of the constraint: t = H^-1 Q' sum w z (v -
// v0 - Delta s / M), H = Q'AQ. A coalition and its complement differ by the sign of Q'z alone: one of each
// pair makes H.
void ShapleySolver::least_squares(const std::vector<std::int64_t>& present) {
  const Coalitions& set = coalitions_;
  const auto m = static_cast<Eigen::Index>(present.size());
  Eigen::MatrixXd inverse = Eigen::MatrixXd::Zero(m, m);  // Q H^-1 Q'
  if (m > 1) {
    const Eigen::MatrixXd q = contrasts(m);
    Eigen::MatrixXd a = Eigen::MatrixXd::Zero(m, m);
    constexpr Eigen::Index block = 256;
    Eigen::MatrixXd z(m, block);
    Eigen::Index filled = 0;
    const auto flush = [&] {
      a.selfadjointView<Eigen::Lower>().rankUpdate(z.leftCols(filled));
      filled = 0;
    };
    for (std::int64_t c = 2; c < count_; c += 2) {
      const double root = std::sqrt(set.weight[at(c)] + set.weight[at(c + 1)]);
      // z - 1/2 in place of z: the same after Q', and the entries of A stay small.
      for (Eigen::Index i = 0; i < m; ++i)
        z(i, filled) = set.row(c)[present[at(i)]] != 0 ? root / 2 : -root / 2;
      if (++filled == block) flush();
    }
    flush();
    const Eigen::MatrixXd full = a.selfadjointView<Eigen::Lower>();
    const Eigen::MatrixXd h = q.transpose() * full * q;
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> factors(h);
    const double largest = factors.eigenvalues().maxCoeff(), smallest = factors.eigenvalues().minCoeff();
    if (factors.info() != Eigen::Success || !std::isfinite(largest) || !(largest > 1e-14 * full.trace()))
      throw NumericalError(
          fmt::format("Shapley values: {} coalitions do not tell {} players apart, expected weights above 0",
                      count_, present_));
    condition_ = smallest > 0 ? largest / smallest : std::numeric_limits<double>::infinity();
    if (condition_ > most_condition) ridge_ = largest / most_condition;
    const Eigen::MatrixXd basis = q * factors.eigenvectors();
    // Eigenvalues are known to their rounding only: the ridge is above it.
    const Eigen::VectorXd scale = (factors.eigenvalues().array().max(0.0) + ridge_).inverse().matrix();
    inverse = basis * scale.asDiagonal() * basis.transpose();
  }
  std::vector<double> sum(at(m));
  double* const none = by_coalition_.data();
  double* const all = by_coalition_.data() + players_;
  const double even = 1 / static_cast<double>(m);
  for (Eigen::Index i = 0; i < m; ++i) {
    none[present[at(i)]] = -even;
    all[present[at(i)]] = even;
  }
  for (std::int64_t c = 2; c < count_; ++c) {
    std::fill(sum.begin(), sum.end(), 0.0);
    std::int64_t size = 0;
    for (Eigen::Index k = 0; k < m; ++k) {
      if (set.row(c)[present[at(k)]] == 0) continue;
      ++size;
      for (Eigen::Index i = 0; i < m; ++i) sum[at(i)] += inverse(i, k);
    }
    const double share = static_cast<double>(size) * even, w = set.weight[at(c)];
    double* const r = by_coalition_.data() + c * players_;
    for (Eigen::Index i = 0; i < m; ++i) {
      const std::int64_t j = present[at(i)];
      r[j] = w * sum[at(i)];
      all[j] -= r[j] * share;
      none[j] -= r[j] * (1 - share);
    }
  }
  // What a pair that might not have been drawn adds to the variance.
  residual_pairs_.assign(at(count_ / 2), 0.0);
  if (set.enumerated()) return;
  const auto pairs = static_cast<double>((count_ - 2) / 2);
  const double freedom = pairs - static_cast<double>(m - 1);
  for (std::int64_t p = 1; p < count_ / 2; ++p) {
    const double each = set.probability[at(2 * p)];
    if (each >= 1) continue;
    const double drawn = set.strategy == CoalitionStrategy::leverage
                             ? each
                             : -std::expm1(.5 * static_cast<double>(set.drawn) * std::log1p(-2 * each));
    residual_pairs_[at(p)] = freedom > 0 ? pairs / freedom * (1 - drawn) : nan;
  }
}

void ShapleySolver::mean_of_orders() {
  const Coalitions& set = coalitions_;
  std::unordered_map<std::string, std::int64_t> number;
  const auto key = [this](const std::uint8_t* z) {
    return std::string(reinterpret_cast<const char*>(z), at(players_));
  };
  for (std::int64_t c = 0; c < count_; ++c) number.emplace(key(set.row(c)), c);
  const double share = 1 / static_cast<double>(set.orders.size());
  std::vector<std::uint8_t> z(at(players_));
  for (const std::vector<std::int64_t>& order : set.orders) {
    std::fill(z.begin(), z.end(), std::uint8_t{0});
    std::int64_t left = present_, before = 0;
    for (const std::int64_t j : order) {
      z[at(j)] = 1;
      if (absent_[at(j)] != 0) continue;
      // Absent players change nothing: the last one present completes the coalition.
      const auto it = --left == 0 ? number.find(key(set.row(1))) : number.find(key(z.data()));
      if (it == number.end())
        throw NumericalError("Shapley values: a prefix of an order is not among the coalitions");
      by_coalition_[at(it->second * players_ + j)] += share;
      by_coalition_[at(before * players_ + j)] -= share;
      steps_.insert(steps_.end(), {j, before, it->second});
      before = it->second;
    }
  }
}

void ShapleySolver::solve(ConstTensorView values, TensorView phi) const {
  check(values, "values", {values.rows(), count_});
  check(phi, "phi", {values.rows(), players_});
  const Mat<const double> v = mat<double>(values);
  const Mat<double> out = mat<double>(phi);
  const std::int64_t M = players_;
  for (std::int64_t b = 0; b < v.rows; ++b) {
    double* const o = out.row(b);
    std::fill(o, o + M, 0.0);
    if (present_ == 0) continue;
    const double first = v.row(b)[0], delta = v.row(b)[1] - first;
    for (std::int64_t c = 1; c < count_; ++c) {
      const double value = v.row(b)[c] - first;
      const double* const r = by_coalition_.data() + c * M;
      for (std::int64_t j = 0; j < M; ++j) o[j] += r[j] * value;
    }
    double sum = 0;
    for (std::int64_t j = 0; j < M; ++j) sum += o[j];
    const double rest = (delta - sum) / static_cast<double>(present_);  // rounding
    for (std::int64_t j = 0; j < M; ++j)
      if (absent_[at(j)] == 0) o[j] += rest;
  }
}

void ShapleySolver::sampling_variance(ConstTensorView values, ConstTensorView phi,
                                      TensorView variance) const {
  check(values, "values", {values.rows(), count_});
  check(phi, "phi", {values.rows(), players_});
  check(variance, "variances", {values.rows(), players_});
  const Mat<const double> v = mat<double>(values), p = mat<double>(phi);
  const Mat<double> out = mat<double>(variance);
  const std::int64_t M = players_;
  const auto orders = static_cast<std::int64_t>(coalitions_.orders.size());
  std::vector<double> of_pair(at(M));
  for (std::int64_t b = 0; b < v.rows; ++b) {
    double* const o = out.row(b);
    std::fill(o, o + M, 0.0);
    if (present_ < 2) continue;
    if (orders > 0) {
      const auto pairs = static_cast<double>(orders / 2);
      const double scale = pairs > 1 ? 1 / (pairs * (pairs - 1)) : nan;
      const std::int64_t* step = steps_.data();
      for (std::int64_t pair = 0; pair < orders / 2; ++pair) {
        std::fill(of_pair.begin(), of_pair.end(), 0.0);
        for (std::int64_t k = 0; k < 2 * present_; ++k, step += 3)
          of_pair[at(step[0])] += .5 * (v.row(b)[step[2]] - v.row(b)[step[1]]);
        for (std::int64_t j = 0; j < M; ++j) {
          const double d = of_pair[at(j)] - p.row(b)[j];
          if (absent_[at(j)] == 0) o[j] += scale * d * d;
        }
      }
      continue;
    }
    const double first = v.row(b)[0];
    double total = 0;
    for (std::int64_t j = 0; j < M; ++j) total += p.row(b)[j];
    for (std::int64_t c = 2; c < count_; c += 2) {
      const double factor = residual_pairs_[at(c / 2)];
      if (factor == 0) continue;
      double in = 0;
      for (std::int64_t j = 0; j < M; ++j) in += coalitions_.row(c)[j] != 0 ? p.row(b)[j] : 0;
      const double e = v.row(b)[c] - first - in, e_other = v.row(b)[c + 1] - first - (total - in);
      const double* const r = by_coalition_.data() + c * M;
      for (std::int64_t j = 0; j < M; ++j) {
        const double u = r[j] * e + r[j + M] * e_other;
        o[j] += factor * u * u;
      }
    }
    for (std::int64_t j = 0; j < M; ++j)
      if (absent_[at(j)] != 0) o[j] = 0;
  }
}

void ShapleySolver::noise_variance(ConstTensorView deviations, bool shared, TensorView variance) const {
  const std::int64_t B = variance.rows(), M = players_;
  const std::int64_t G = deviations.shape().rank() == 3 ? deviations.shape()[2] : 1;
  check(deviations, "deviations", {B, count_, G});
  check(variance, "variances", {B, M});
  if (!shared && G != 1)
    throw ShapeError(fmt::format("ShapleySolver: {} replicates of independent noise, expected 1", G));
  const double* const d = deviations.ptr<double>();
  const Mat<double> out = mat<double>(variance);
  const double scale = G > 1 ? static_cast<double>(G) / static_cast<double>(G - 1) : nan;
  std::vector<double> psi(at(G * M));
  for (std::int64_t b = 0; b < B; ++b) {
    std::fill(psi.begin(), psi.end(), 0.0);
    for (std::int64_t c = 0; c < count_; ++c) {
      const double* const r = by_coalition_.data() + c * M;
      for (std::int64_t g = 0; g < G; ++g) {
        const double dev = d[(b * count_ + c) * G + g];
        double* const sum = psi.data() + g * M;
        if (shared)
          for (std::int64_t j = 0; j < M; ++j) sum[j] += r[j] * dev;
        else
          for (std::int64_t j = 0; j < M; ++j) sum[j] += r[j] * r[j] * (dev * dev);
      }
    }
    double* const o = out.row(b);
    for (std::int64_t j = 0; j < M; ++j) {
      double sum = 0;
      for (std::int64_t g = 0; g < G; ++g)
        sum += shared ? psi[at(g * M + j)] * psi[at(g * M + j)] : psi[at(g * M + j)];
      o[j] = absent_[at(j)] != 0 ? 0 : shared ? scale * sum : sum;
    }
  }
}

}  // namespace emshap
