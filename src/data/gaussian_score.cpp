#include "data/gaussian_score.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <cmath>
#include <map>
#include <numbers>

namespace emshap {
namespace {

using Eigen::Index;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Present = std::vector<bool>;

struct Gaussian {
  Eigen::VectorXd mean;
  Matrix covariance;
};

Gaussian fit(const ScoreRows& rows) {
  const auto f = static_cast<Index>(rows.width), n = static_cast<Index>(rows.rows());
  const Eigen::Map<const Matrix> x(rows.values.data(), n, f);
  // Where both are present: sums of products and their numbers. Missing deviations count as 0.
  const Matrix present = x.array().isNaN().select(Matrix::Zero(n, f), Matrix::Ones(n, f));
  const Matrix filled = x.array().isNaN().select(Matrix::Zero(n, f), x);
  const Eigen::RowVectorXd counts = present.colwise().sum().cwiseMax(1.0);
  Gaussian g;
  g.mean = filled.colwise().sum().cwiseQuotient(counts);
  const Matrix deviation = (filled.rowwise() - g.mean.transpose()).cwiseProduct(present);
  const Matrix pairs = (present.transpose() * present).cwiseMax(1.0);
  const Matrix covariance = (deviation.transpose() * deviation).cwiseQuotient(pairs);
  const Eigen::VectorXd sd = covariance.diagonal().cwiseMax(1e-12).cwiseSqrt();
  const Matrix correlation = sd.cwiseInverse().asDiagonal() * covariance * sd.cwiseInverse().asDiagonal();
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(correlation);
  const Matrix positive = eigen.eigenvectors() * eigen.eigenvalues().cwiseMax(1e-3).asDiagonal() *
                          eigen.eigenvectors().transpose();
  g.covariance = sd.asDiagonal() * positive * sd.asDiagonal();
  return g;
}

// The density of the entries that one pattern of missing values leaves.
struct Marginal {
  std::vector<Index> at;
  Eigen::LLT<Matrix> factor;
  double log_normaliser = 0;
};

Marginal marginal(const Gaussian& g, const Present& present) {
  Marginal m;
  for (std::size_t i = 0; i < present.size(); ++i)
    if (present[i]) m.at.push_back(static_cast<Index>(i));
  m.factor.compute(g.covariance(m.at, m.at));
  const auto k = static_cast<Index>(m.at.size());
  for (Index i = 0; i < k; ++i) m.log_normaliser -= std::log(m.factor.matrixLLT()(i, i));
  m.log_normaliser -= .5 * static_cast<double>(k) * std::log(2 * std::numbers::pi);
  return m;
}

}  // namespace

double gaussian_score(const ScoreRows& train, const ScoreRows& test) {
  const Gaussian g = fit(train);
  const auto row_of = [&](std::size_t r) { return test.values.data() + r * test.width; };
  std::map<Present, std::vector<std::size_t>> patterns;
  Present present(test.width);
  for (std::size_t r = 0; r < test.rows(); ++r) {
    for (std::size_t t = 0; t < test.width; ++t) present[t] = !std::isnan(row_of(r)[t]);
    patterns[present].push_back(r);
  }
  // One factor at a time: with many patterns they would be more than the data.
  double sum = 0, entries = 0;
  for (const auto& [pattern, rows] : patterns) {
    const Marginal m = marginal(g, pattern);
    if (m.at.empty()) continue;
    Eigen::VectorXd d(static_cast<Index>(m.at.size()));
    for (const std::size_t r : rows) {
      for (Index i = 0; i < d.size(); ++i) {
        const Index t = m.at[static_cast<std::size_t>(i)];
        d(i) = row_of(r)[t] - g.mean(t);
      }
      m.factor.matrixL().solveInPlace(d);
      sum += m.log_normaliser - .5 * d.squaredNorm();
      entries += static_cast<double>(d.size());
    }
  }
  return entries > 0 ? sum / entries : 0;
}

}  // namespace emshap
