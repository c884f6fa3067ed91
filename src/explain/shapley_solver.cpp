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
#include "explain/size_intercepts.h"
#include "explain/solver_parts.h"

namespace emshap {
namespace {

constexpr double most_condition = 1e8;

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

struct System {
  Eigen::MatrixXd inverse;  ///< Q (Q'AQ + ridge)^-1 Q'
  double condition = 1, ridge = 0;
};

// With phi = Delta / M 1 + Q t, Q'1 = 0, least squares are free of the constraint: t = H^-1 Q' sum w z (v -
// v0 - Delta s / M), H = Q'AQ. A coalition and its complement differ by the sign of Q'z alone: one of each
// pair makes H. Intercepts of sizes take the mean of their pairs from z.
System factorise(const Coalitions& set, const std::vector<std::int64_t>& present,
                 const SizeIntercepts& sizes) {
  const auto m = static_cast<Eigen::Index>(present.size());
  if (m == 1) return {Eigen::MatrixXd::Zero(1, 1)};
  const Eigen::MatrixXd q = contrasts(m);
  Eigen::MatrixXd a = Eigen::MatrixXd::Zero(m, m);
  constexpr Eigen::Index block = 256;
  Eigen::MatrixXd z(m, block);
  Eigen::Index filled = 0;
  const auto flush = [&] {
    a.selfadjointView<Eigen::Lower>().rankUpdate(z.leftCols(filled));
    filled = 0;
  };
  for (std::int64_t c = 2; c < set.size(); c += 2) {
    const double root = std::sqrt(set.weight[at(c)] + set.weight[at(c + 1)]);
    // z - 1/2 in place of z: the same after Q', and the entries of A stay small.
    const double* const mean = sizes.mean_of(c / 2);
    const double sign = sizes.sign_of(c / 2);
    for (Eigen::Index i = 0; i < m; ++i)
      z(i, filled) = root * ((set.row(c)[present[at(i)]] != 0 ? .5 : -.5) - sign * mean[i]);
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
                    set.size(), m));
  System out;
  out.condition = smallest > 0 ? largest / smallest : std::numeric_limits<double>::infinity();
  if (out.condition > most_condition) out.ridge = largest / most_condition;
  const Eigen::MatrixXd basis = q * factors.eigenvectors();
  // Eigenvalues are known to their rounding only: the ridge is above it.
  const Eigen::VectorXd scale = (factors.eigenvalues().array().max(0.0) + out.ridge).inverse().matrix();
  out.inverse = basis * scale.asDiagonal() * basis.transpose();
  return out;
}

constexpr std::int64_t rows_together = 8;  // rows that share a walk over R

}  // namespace

ShapleySolver::ShapleySolver(const Coalitions& coalitions, const std::vector<std::uint8_t>& absent)
    : players_(coalitions.players), count_(coalitions.size()), absent_(absent) {
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
  matrix_ = Tensor::zeros({players_, count_}, DType::f64);
  if (present_ == 0) return;
  if (coalitions.orders.empty())
    least_squares(coalitions, present);
  else
    mean_of_orders(coalitions);
}

void ShapleySolver::least_squares(const Coalitions& set, const std::vector<std::int64_t>& present) {
  const SizeIntercepts sizes(set, present);
  const System system = factorise(set, present, sizes);
  condition_ = system.condition;
  ridge_ = system.ridge;
  const auto m = static_cast<Eigen::Index>(present.size());
  double* const r = matrix_.ptr<double>();
  const double even = 1 / static_cast<double>(m);
  for (const std::int64_t j : present) {
    r[j * count_] = -even;
    r[j * count_ + 1] = even;
  }
  Eigen::MatrixXd taken(m, sizes.count());  // of the means
  for (std::int64_t g = 0; g < sizes.count(); ++g)
    taken.col(g) = system.inverse * Eigen::Map<const Eigen::VectorXd>(sizes.mean(g), m);
  std::vector<double> sum(at(m));
  for (std::int64_t c = 2; c < count_; ++c) {
    std::fill(sum.begin(), sum.end(), 0.0);
    std::int64_t size = 0;
    for (Eigen::Index k = 0; k < m; ++k) {
      if (set.row(c)[present[at(k)]] == 0) continue;
      ++size;
      for (Eigen::Index i = 0; i < m; ++i) sum[at(i)] += system.inverse(i, k);
    }
    const std::int64_t group = sizes.group_of(c / 2);
    if (group >= 0) {
      const double sign = c % 2 == 0 ? sizes.sign_of(c / 2) : -sizes.sign_of(c / 2);
      for (Eigen::Index i = 0; i < m; ++i) sum[at(i)] -= sign * taken(i, group);
    }
    // What a size adds to all its coalitions is no concern of the players.
    const double share = static_cast<double>(size) * even, w = set.weight[at(c)];
    for (Eigen::Index i = 0; i < m; ++i) {
      double* const row = r + present[at(i)] * count_;
      row[c] = w * sum[at(i)];
      row[1] -= row[c] * share;
      row[0] -= row[c] * (1 - share);
    }
  }
  // What is needed for the variance by pairs that might not have been drawn.
  pair_variance_.assign(at(count_ / 2), 0.0);
  intercepts_ = sizes.count();
  size_group_.assign(at(count_ / 2), -1);
  size_weight_.assign(at(count_ / 2), 0.0);
  for (std::int64_t p = 1; p < count_ / 2; ++p) {
    size_group_[at(p)] = sizes.group_of(p);
    size_weight_[at(p)] = sizes.weight_of(p);
  }
  if (set.enumerated()) return;
  for (std::int64_t c = 0; c < count_; c += 2)
    member_.insert(member_.end(), set.row(c), set.row(c) + players_);
  const auto pairs = static_cast<double>((count_ - 2) / 2);
  const double freedom = pairs - static_cast<double>(m - 1 + sizes.count());
  for (std::int64_t p = 1; p < count_ / 2; ++p) {
    const double each = set.probability[at(2 * p)];
    if (each >= 1) continue;
    const double drawn = set.strategy == CoalitionStrategy::leverage
                             ? each
                             : -std::expm1(.5 * static_cast<double>(set.drawn) * std::log1p(-2 * each));
    pair_variance_[at(p)] = freedom > 0 ? pairs / freedom * (1 - drawn) : not_known;
  }
}

void ShapleySolver::mean_of_orders(const Coalitions& set) {
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
      matrix_.ptr<double>()[j * count_ + it->second] += share;
      matrix_.ptr<double>()[j * count_ + before] -= share;
      steps_.insert(steps_.end(), {j, before, it->second});
      before = it->second;
    }
  }
}

void ShapleySolver::solve(ConstTensorView values, TensorView phi) const {
  check_shape(values, "values", {values.rows(), count_});
  check_shape(phi, "phi", {values.rows(), players_});
  const Mat<const double> v = mat<double>(values);
  const Mat<double> out = mat<double>(phi);
  std::vector<double> gain(at(std::min(rows_together, v.rows) * count_));  // v - v0
  for (std::int64_t begin = 0; begin < v.rows; begin += rows_together) {
    const std::int64_t rows = std::min(rows_together, v.rows - begin);
    for (std::int64_t b = 0; b < rows; ++b)
      for (std::int64_t c = 0; c < count_; ++c)
        gain[at(b * count_ + c)] = v.row(begin + b)[c] - v.row(begin + b)[0];
    for (std::int64_t j = 0; j < players_; ++j)
      for (std::int64_t b = 0; b < rows; ++b)
        out.row(begin + b)[j] =
            absent_[at(j)] != 0 ? 0
                                : dot(matrix_.ptr<double>() + j * count_, gain.data() + b * count_, count_);
    for (std::int64_t b = 0; b < rows && present_ > 0; ++b) {
      double* const o = out.row(begin + b);
      double rest = gain[at(b * count_ + 1)];
      for (std::int64_t j = 0; j < players_; ++j) rest -= o[j];
      rest /= static_cast<double>(present_);  // rounding
      for (std::int64_t j = 0; j < players_; ++j)
        if (absent_[at(j)] == 0) o[j] += rest;
    }
  }
}

}  // namespace emshap
