#include "explain/nearness.h"

#include <algorithm>

#include <Eigen/Dense>

namespace emshap {
namespace {

using Matrix = Eigen::MatrixXd;

}  // namespace

Nearness::Nearness(const Tensor& rows) : rows_(rows) {
  const Eigen::Index n = rows.rows(), D = rows.cols();
  const Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> x(
      rows.ptr<float>(), n, D);
  Eigen::VectorXd mean = Eigen::VectorXd::Zero(D);
  for (Eigen::Index r = 0; r < n; ++r) mean += x.row(r).cast<double>().transpose();
  mean /= static_cast<double>(n);
  Matrix product = Matrix::Zero(D, D);
  for (Eigen::Index r = 0; r < n; ++r)
    product.selfadjointView<Eigen::Lower>().rankUpdate(x.row(r).cast<double>().transpose() - mean);
  product /= static_cast<double>(std::max<Eigen::Index>(1, n - 1));
  product = Matrix(product.selfadjointView<Eigen::Lower>());
  for (Eigen::Index c = 0; c < D; ++c) product(c, c) = product(c, c) > 0 ? product(c, c) * (1 + ridge) : 1;
  mean_.assign(mean.data(), mean.data() + D);
  covariance_.assign(product.data(), product.data() + D * D);
}

void Nearness::squared(const std::vector<const float*>& explicands, const std::vector<std::int64_t>& S,
                       double* distance) const {
  const std::int64_t n = rows_.rows(), D = rows_.cols();
  const auto s = static_cast<Eigen::Index>(S.size());
  const auto m = static_cast<Eigen::Index>(explicands.size());
  Matrix inner(s, s);
  for (Eigen::Index i = 0; i < s; ++i)
    for (Eigen::Index j = 0; j < s; ++j)
      inner(i, j) = covariance_[static_cast<std::size_t>(S[static_cast<std::size_t>(i)] * D +
                                                         S[static_cast<std::size_t>(j)])];
  const Eigen::LLT<Matrix> factor(inner);
  // Of each column of `values`, what makes plain distances out of Mahalanobis ones: L^-1 (x - mean).
  const auto whiten = [&](Matrix& values) { factor.matrixL().solveInPlace(values); };
  const auto centred = [&](const float* row, Eigen::Index i) {
    const std::int64_t c = S[static_cast<std::size_t>(i)];
    return static_cast<double>(row[c]) - mean_[static_cast<std::size_t>(c)];
  };
  Matrix x(s, 1), mine(s, m), some;
  for (Eigen::Index e = 0; e < m; ++e) {  // one by one, so that no result depends on the others
    for (Eigen::Index i = 0; i < s; ++i) x(i, 0) = centred(explicands[static_cast<std::size_t>(e)], i);
    whiten(x);
    mine.col(e) = x;
  }
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t count = std::min(block, n - begin);
    some.resize(s, count);
    for (std::int64_t r = 0; r < count; ++r)
      for (Eigen::Index i = 0; i < s; ++i) some(i, r) = centred(rows_.ptr<float>() + (begin + r) * D, i);
    whiten(some);
    for (Eigen::Index e = 0; e < m; ++e)
      for (std::int64_t r = 0; r < count; ++r) {
        double sum = 0;
        for (Eigen::Index i = 0; i < s; ++i) {
          const double d = some(i, r) - mine(i, e);
          sum += d * d;
        }
        distance[e * n + begin + r] = sum / static_cast<double>(s);
      }
  }
}

}  // namespace emshap
