#include "layers/orthogonal.h"

#include <Eigen/QR>

namespace emshap {

void orthogonalise(std::vector<double>& w, std::int64_t K, std::int64_t N) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  if (K == 0 || N == 0) return;
  Eigen::Map<Matrix> target(w.data(), K, N);
  const Eigen::MatrixXd tall = K >= N ? Eigen::MatrixXd(target) : Eigen::MatrixXd(target.transpose());
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(tall);
  Eigen::MatrixXd q = qr.householderQ() * Eigen::MatrixXd::Identity(tall.rows(), tall.cols());
  for (Eigen::Index c = 0; c < q.cols(); ++c)
    if (qr.matrixQR()(c, c) < 0) q.col(c) *= -1;
  if (K >= N)
    target = q;
  else
    target = q.transpose();
}

}  // namespace emshap
