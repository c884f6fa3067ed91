#include "emshap/models/gaussian_base.h"

#include <cmath>
#include <map>

#include <fmt/format.h>
#include <Eigen/Dense>

#include "core/mat.h"
#include "emshap/core/error.h"

namespace emshap {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

constexpr int most_iterations = 200;
constexpr double converged = 1e-7;          ///< change of the moments in units of the standard deviations
constexpr double smallest_variance = 1e-6;  ///< of a column that hardly varies; columns are standardised
constexpr double tiny_ridge = 1e-8;         ///< keeps regressions on duplicate columns finite

/// Rows that lack the same entries: their number and sums of what is there are all that EM reads of them.
struct Pattern {
  std::vector<Eigen::Index> present, absent;
  double rows = 0;
  Vector sum;  // of the present entries over the rows

  /// Sum of x x' of the present entries.
  Matrix products() const { return rows > 1 ? product : Matrix(sum * sum.transpose()); }
  Matrix product;  // empty for a single row: with many patterns most have no more, and F^2 numbers are many
};

struct Moments {
  Vector mean;
  Matrix covariance;
};

/// Means of what is present.
template <class T>
Vector present_means(const Mat<const T>& x) {
  Vector sum = Vector::Zero(x.cols), n = sum;
  for (std::int64_t r = 0; r < x.rows; ++r)
    for (std::int64_t t = 0; t < x.cols; ++t) {
      const double v = static_cast<double>(x.row(r)[t]);
      if (std::isnan(v)) continue;
      if (std::isinf(v))
        throw DataError(
            fmt::format("GaussianBase::fit: feature {} of row {} is infinite, expected a finite value or NaN "
                        "for a missing one",
                        t, r));
      n[t] += 1;
      sum[t] += v;
    }
  for (std::int64_t t = 0; t < x.cols; ++t)
    if (n[t] == 0)
      throw DataError(
          fmt::format("GaussianBase::fit: feature {} has no value in any of the {} rows", t, x.rows));
  return sum.cwiseQuotient(n);
}

/// Rows less `centre`, grouped.
template <class T>
std::vector<Pattern> patterns_of(const Mat<const T>& x, const Vector& centre) {
  std::map<std::vector<bool>, Pattern> found;
  std::vector<bool> key(static_cast<std::size_t>(x.cols));
  Vector row(x.cols);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t t = 0; t < x.cols; ++t) key[static_cast<std::size_t>(t)] = !std::isnan(x.row(r)[t]);
    Pattern& p = found[key];
    if (p.rows == 0) {
      for (std::int64_t t = 0; t < x.cols; ++t)
        (key[static_cast<std::size_t>(t)] ? p.present : p.absent).push_back(t);
      p.sum = Vector::Zero(static_cast<Eigen::Index>(p.present.size()));
    }
    row.resize(p.sum.size());
    for (Eigen::Index i = 0; i < row.size(); ++i) {
      const Eigen::Index t = p.present[static_cast<std::size_t>(i)];
      row[i] = static_cast<double>(x.row(r)[t]) - centre[t];
    }
    if (p.rows == 1) p.product = p.products();
    p.rows += 1;
    p.sum += row;
    if (p.rows > 1) p.product.template selfadjointView<Eigen::Lower>().rankUpdate(row);
  }
  std::vector<Pattern> patterns;
  for (auto& [unused, p] : found) {
    p.product = Matrix(p.product.template selfadjointView<Eigen::Lower>());
    patterns.push_back(std::move(p));
  }
  return patterns;
}

/// Mean and variance of what is present, features independent.
Moments start(const std::vector<Pattern>& patterns, Eigen::Index F) {
  Vector n = Vector::Zero(F), squares = n;
  for (const Pattern& p : patterns) {
    n(p.present).array() += p.rows;
    squares(p.present) += p.rows > 1 ? Vector(p.product.diagonal()) : Vector(p.sum.cwiseAbs2());
  }
  Moments m{Vector::Zero(F), Matrix::Zero(F, F)};
  m.covariance.diagonal() = squares.cwiseQuotient(n).cwiseMax(smallest_variance);
  return m;
}

/// One round of EM (Little & Rubin 2002, section 11.2): expected sums given the present entries under `m`.
Moments improve(const std::vector<Pattern>& patterns, const Moments& m) {
  const Eigen::Index F = m.mean.size();
  Vector sum = Vector::Zero(F);
  Matrix product = Matrix::Zero(F, F);
  double rows = 0;
  for (const Pattern& p : patterns) {
    rows += p.rows;
    sum(p.present) += p.sum;
    const Matrix products = p.products();
    product(p.present, p.present) += products;
    if (p.absent.empty()) continue;
    // Absent entries are `weights` x + `shift` and what the present ones leave open.
    const Matrix cross = m.covariance(p.absent, p.present);
    Matrix weights(cross.rows(), cross.cols());
    if (!p.present.empty()) {
      Matrix inner = m.covariance(p.present, p.present);
      inner.diagonal() *= 1 + tiny_ridge;
      weights = inner.ldlt().solve(cross.transpose()).transpose();
    }
    const Vector shift = m.mean(p.absent) - weights * m.mean(p.present);
    const Vector mapped = weights * p.sum;
    const Matrix mixed = weights * products + shift * p.sum.transpose();
    sum(p.absent) += mapped + p.rows * shift;
    product(p.absent, p.present) += mixed;
    product(p.present, p.absent) += mixed.transpose();
    product(p.absent, p.absent) += mixed * weights.transpose() + mapped * shift.transpose() +
                                   p.rows * shift * shift.transpose() +
                                   p.rows * (m.covariance(p.absent, p.absent) - weights * cross.transpose());
  }
  Moments next{sum / rows, product / rows};
  next.covariance -= next.mean * next.mean.transpose();
  next.covariance = Matrix(.5 * (next.covariance + next.covariance.transpose()));
  // A column that does not vary, or one seen in a single row, still needs a density.
  next.covariance.diagonal() = next.covariance.diagonal().cwiseMax(smallest_variance);
  return next;
}

double distance(const Moments& a, const Moments& b) {
  const Vector sd = b.covariance.diagonal().cwiseSqrt();
  const Matrix c = (a.covariance - b.covariance).cwiseAbs().cwiseQuotient(sd * sd.transpose());
  return std::max((a.mean - b.mean).cwiseAbs().cwiseQuotient(sd).maxCoeff(), c.maxCoeff());
}

template <class T>
GaussianBase fit_rows(const Mat<const T>& x) {
  const Vector centre = present_means(x);
  const std::vector<Pattern> patterns = patterns_of(x, centre);
  Moments m = start(patterns, x.cols);
  for (int i = 0; i < most_iterations; ++i) {
    Moments next = improve(patterns, m);
    const double change = distance(next, m);
    m = std::move(next);
    if (change < converged || (patterns.size() == 1 && patterns[0].absent.empty())) break;
  }
  m.mean += centre;
  m.covariance.diagonal() *= 1 + GaussianBase::ridge;
  GaussianBase base;
  base.mean.assign(m.mean.data(), m.mean.data() + m.mean.size());
  base.covariance.assign(m.covariance.data(), m.covariance.data() + m.covariance.size());
  return base;
}

}  // namespace

GaussianBase GaussianBase::fit(ConstTensorView rows) {
  if (rows.rows() == 0 || rows.cols() == 0)
    throw DataError(fmt::format(
        "GaussianBase::fit: rows have shape {}, expected at least one row and feature", rows.shape().str()));
  return rows.dtype() == DType::f32 ? fit_rows(mat<float>(rows)) : fit_rows(mat<double>(rows));
}

}  // namespace emshap
