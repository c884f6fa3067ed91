#include "emshap/models/gaussian_base.h"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>
#include <Eigen/Dense>

#include "emshap/core/error.h"
#include "support/compare.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr double absent = std::numeric_limits<double>::quiet_NaN();

/// N rows of F correlated features; entries are missing where a hash of row and column says so.
std::vector<double> rows(std::int64_t N, std::int64_t F, double share_missing, double shift = 0) {
  const std::vector<double> z = random_values(N * F, 1), coin = random_values(N * F, 2);
  std::vector<double> x;
  for (std::int64_t r = 0; r < N; ++r)
    for (std::int64_t t = 0; t < F; ++t) {
      const auto i = static_cast<std::size_t>(r * F + t);
      const double before = t > 0 ? z[i - 1] : 0;
      const bool missing = r > 0 && .5 * std::erfc(coin[i] / std::sqrt(2.)) < share_missing;
      x.push_back(missing ? absent
                          : shift + static_cast<double>(t) + (1 + .2 * static_cast<double>(t)) * z[i] +
                                .8 * before);
    }
  return x;
}

Tensor tensor(const std::vector<double>& x, std::int64_t F, DType dtype = DType::f64) {
  return make_tensor(x, {static_cast<std::int64_t>(x.size()) / F, F}, dtype);
}

/// Log-likelihood of what is present, by the dense formula, and the covariance without its ridge.
double log_likelihood(const std::vector<double>& x, const GaussianBase& base) {
  const std::int64_t F = base.features();
  double total = 0;
  for (std::size_t r = 0; r < x.size(); r += static_cast<std::size_t>(F)) {
    std::vector<Eigen::Index> present;
    for (std::int64_t t = 0; t < F; ++t)
      if (!std::isnan(x[r + static_cast<std::size_t>(t)])) present.push_back(t);
    const auto n = static_cast<Eigen::Index>(present.size());
    Eigen::MatrixXd c(n, n);
    Eigen::VectorXd d(n);
    for (Eigen::Index i = 0; i < n; ++i) {
      const std::int64_t t = present[static_cast<std::size_t>(i)];
      d[i] = x[r + static_cast<std::size_t>(t)] - base.mean[static_cast<std::size_t>(t)];
      for (Eigen::Index j = 0; j < n; ++j)
        c(i, j) = base.covariance[static_cast<std::size_t>(t * F + present[static_cast<std::size_t>(j)])];
      c(i, i) /= 1 + GaussianBase::ridge;
    }
    const Eigen::LLT<Eigen::MatrixXd> factor(c);
    total -= .5 * d.dot(factor.solve(d)) + std::log(factor.matrixL().determinant()) +
             .5 * std::log(2 * M_PI) * static_cast<double>(n);
  }
  return total;
}

GaussianBase without_ridge(GaussianBase base) {
  for (std::size_t t = 0; t < base.mean.size(); ++t)
    base.covariance[t * (base.mean.size() + 1)] /= 1 + GaussianBase::ridge;
  return base;
}

}  // namespace

TEST_CASE("complete rows give mean and covariance, whatever their element type and size of the mean") {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const double shift : {0., 1000.})
      for (const std::int64_t F : {1, 2, 9}) {
        const std::vector<double> x = to_doubles(tensor(rows(50, F, 0, shift), F, dtype));
        const GaussianBase base = GaussianBase::fit(tensor(x, F, dtype));
        const Eigen::Map<const Eigen::Matrix<double, -1, -1, Eigen::RowMajor>> m(x.data(), 50, F);
        const Eigen::RowVectorXd mean = m.colwise().mean();
        Eigen::MatrixXd c = (m.rowwise() - mean).transpose() * (m.rowwise() - mean) / 50;
        c.diagonal() *= 1 + 1e-3;
        check_close("mean", base.mean, std::span(mean.data(), static_cast<std::size_t>(F)), {1e-12, 1e-12});
        check_close("covariance", base.covariance, std::span(c.data(), static_cast<std::size_t>(F * F)),
                    {1e-10, 1e-10});
      }
}

TEST_CASE("EM ends where the likelihood of what is present is highest") {
  constexpr std::int64_t F = 4;
  const std::vector<double> x = rows(60, F, .3);
  const GaussianBase base = GaussianBase::fit(tensor(x, F));
  const double best = log_likelihood(x, base);
  // Any small change of a mean, a variance or a covariance lowers it.
  for (std::size_t t = 0; t < 4; ++t)
    for (const double step : {-.02, .02}) {
      GaussianBase other = base;
      other.mean[t] += step;
      CHECK(log_likelihood(x, other) < best);
      for (std::size_t s = 0; s <= t; ++s) {
        other = base;
        other.covariance[t * 4 + s] += step;
        if (s < t) other.covariance[s * 4 + t] += step;
        INFO(t << ' ' << s << ' ' << step);
        CHECK(log_likelihood(x, other) < best);
      }
    }
}

TEST_CASE("rows given twice count twice, also where no two lack the same entries") {
  const std::vector<double> x = rows(40, 7, .4);
  std::vector<double> twice = x;
  twice.insert(twice.end(), x.begin(), x.end());
  const GaussianBase once = GaussianBase::fit(tensor(x, 7)), both = GaussianBase::fit(tensor(twice, 7));
  check_close("mean", both.mean, once.mean, {1e-9, 1e-9});
  check_close("covariance", both.covariance, once.covariance, {1e-9, 1e-9});
}

TEST_CASE("a missing value that nothing depends on changes nothing else") {
  // The last row holds no value at all, another only its first feature.
  std::vector<double> x = rows(40, 3, 0);
  const GaussianBase complete = GaussianBase::fit(tensor(x, 3));
  x.insert(x.end(), {absent, absent, absent});
  const GaussianBase same = GaussianBase::fit(tensor(x, 3));
  check_close("mean", same.mean, complete.mean, {1e-6, 1e-6});
  check_close("covariance", same.covariance, complete.covariance, {1e-6, 1e-5});
}

TEST_CASE(
    "with the first feature always there and the second missing at random, EM is the factored likelihood") {
  // Anderson 1957: moments of x1 from all rows, regression of x2 on x1 from the complete ones.
  std::vector<double> x = rows(80, 2, 0);
  for (std::size_t r = 50; r < 80; ++r) x[2 * r + 1] = absent;
  const GaussianBase base = without_ridge(GaussianBase::fit(tensor(x, 2)));
  double m1 = 0, v1 = 0, a1 = 0, a2 = 0, s11 = 0, s12 = 0, s22 = 0;
  for (std::size_t r = 0; r < 80; ++r) m1 += x[2 * r] / 80;
  for (std::size_t r = 0; r < 80; ++r) v1 += (x[2 * r] - m1) * (x[2 * r] - m1) / 80;
  for (std::size_t r = 0; r < 50; ++r) a1 += x[2 * r] / 50, a2 += x[2 * r + 1] / 50;
  for (std::size_t r = 0; r < 50; ++r) {
    const double d1 = x[2 * r] - a1, d2 = x[2 * r + 1] - a2;
    s11 += d1 * d1 / 50, s12 += d1 * d2 / 50, s22 += d2 * d2 / 50;
  }
  const double slope = s12 / s11;
  check_close("mean", base.mean, std::vector<double>{m1, a2 + slope * (m1 - a1)}, {1e-5, 1e-5});
  check_close("covariance", base.covariance,
              std::vector<double>{v1, slope * v1, slope * v1, s22 + slope * slope * (v1 - s11)},
              {1e-5, 1e-5});
}

TEST_CASE("constant, duplicate and hardly observed columns stay positive definite") {
  std::vector<double> x;
  const std::vector<double> z = random_values(30, 3);
  for (std::size_t r = 0; r < 30; ++r)
    x.insert(x.end(), {z[r], z[r], 7, r == 4 ? 1.5 : absent, r % 3 == 0 ? absent : z[r]});
  const GaussianBase base = GaussianBase::fit(tensor(x, 5));
  const Eigen::Map<const Eigen::MatrixXd> c(base.covariance.data(), 5, 5);
  CHECK(c.allFinite());
  CHECK(Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(c).eigenvalues()[0] > 0);
  CHECK(base.mean[2] == doctest::Approx(7));
  CHECK(base.mean[3] == doctest::Approx(1.5));
}

TEST_CASE("rows that cannot be fitted are refused") {
  CHECK_THROWS_AS(GaussianBase::fit(Tensor({0, 3}, DType::f64)), DataError);
  CHECK_THROWS_WITH_AS(GaussianBase::fit(tensor({1, absent, 2, absent}, 2)),
                       "GaussianBase::fit: feature 1 has no value in any of the 2 rows", DataError);
  CHECK_THROWS_AS(GaussianBase::fit(tensor({1, 2, 3, INFINITY}, 2)), DataError);
}
