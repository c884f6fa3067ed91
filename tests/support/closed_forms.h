#pragma once
// Distributions whose conditional expectations are known in closed form: what v(S, x) = E[f(X) | X_S = x_S]
// has to be. `known` (D) is 1 for the features in S; entries of x outside S are never read.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "emshap/core/random.h"

namespace emshap::test {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
using Known = std::span<const std::uint8_t>;

inline double normal_pdf(double x) {
  return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
}
inline double normal_cdf(double x) {
  return std::erfc(-x / std::numbers::sqrt2) / 2;
}

/// Correlation rho between all features, variance 1.
inline Matrix equicorrelation(Eigen::Index d, double rho) {
  Matrix m = Matrix::Constant(d, d, rho);
  m.diagonal().setOnes();
  return m;
}
/// rho^|i - j|.
inline Matrix power_correlation(Eigen::Index d, double rho) {
  Matrix m(d, d);
  for (Eigen::Index i = 0; i < d; ++i)
    for (Eigen::Index j = 0; j < d; ++j) m(i, j) = std::pow(rho, std::abs(static_cast<double>(i - j)));
  return m;
}
/// The numbers of the features that are known, or unknown.
inline std::vector<Eigen::Index> features_where(Known known, bool is_known) {
  std::vector<Eigen::Index> out;
  for (std::size_t j = 0; j < known.size(); ++j)
    if ((known[j] != 0) == is_known) out.push_back(static_cast<Eigen::Index>(j));
  return out;
}
template <class T>
Vector to_vector(std::span<T> x) {
  Vector out(static_cast<Eigen::Index>(x.size()));
  for (std::size_t j = 0; j < x.size(); ++j) out(static_cast<Eigen::Index>(j)) = static_cast<double>(x[j]);
  return out;
}

struct Gaussian {
  Vector mean;
  Matrix covariance;

  /// Moments of all features given the known ones, whose own are x and 0.
  Gaussian given(Known known, const Vector& x) const {
    const auto in = features_where(known, true), out = features_where(known, false);
    Gaussian result{x, Matrix::Zero(mean.size(), mean.size())};
    if (out.empty()) return result;
    Vector m = mean(out);
    Matrix c = covariance(out, out);
    if (!in.empty()) {
      const Eigen::LLT<Matrix> factor(Matrix(covariance(in, in)));
      const Matrix cross = covariance(in, out);
      m += cross.transpose() * factor.solve(Vector(x(in) - mean(in)));
      c -= cross.transpose() * factor.solve(cross);
    }
    result.mean(out) = m;
    result.covariance(out, out) = c;
    return result;
  }
  /// Log density of the known features at x.
  double log_density(Known known, const Vector& x) const {
    const auto in = features_where(known, true);
    if (in.empty()) return 0;
    const Eigen::LLT<Matrix> factor(Matrix(covariance(in, in)));
    const Matrix lower = factor.matrixL();
    const Vector z = lower.triangularView<Eigen::Lower>().solve(Vector(x(in) - mean(in)));
    return -.5 * z.squaredNorm() - lower.diagonal().array().log().sum() -
           .5 * static_cast<double>(in.size()) * std::log(2 * std::numbers::pi);
  }
  Vector draw(Generator& random) const {
    const Matrix lower = Eigen::LLT<Matrix>(covariance).matrixL();
    Vector z(mean.size());
    for (Eigen::Index j = 0; j < z.size(); ++j) z(j) = random.normal();
    return mean + lower * z;
  }
};

// Expectations under a Gaussian (conditional moments or any others).
inline double expected_cos(const Gaussian& g, Eigen::Index j) {
  return std::cos(g.mean(j)) * std::exp(-g.covariance(j, j) / 2);
}
inline double expected_sin(const Gaussian& g, Eigen::Index j) {
  return std::sin(g.mean(j)) * std::exp(-g.covariance(j, j) / 2);
}
/// E X_a X_b.
inline double expected_product(const Gaussian& g, Eigen::Index a, Eigen::Index b) {
  return g.mean(a) * g.mean(b) + g.covariance(a, b);
}
/// E X_a X_b^2.
inline double expected_product_square(const Gaussian& g, Eigen::Index a, Eigen::Index b) {
  const double ma = g.mean(a), mb = g.mean(b);
  return ma * mb * mb + ma * g.covariance(b, b) + 2 * mb * g.covariance(a, b);
}
inline double expected_sign(const Gaussian& g, Eigen::Index j) {
  const double m = g.mean(j), s = std::sqrt(g.covariance(j, j));
  return s > 0 ? 2 * normal_cdf(m / s) - 1 : static_cast<double>((m > 0) - (m < 0));
}
/// E max(0, h), h normal with this mean and standard deviation.
inline double expected_relu(double mean, double sd) {
  return sd > 0 ? mean * normal_cdf(mean / sd) + sd * normal_pdf(mean / sd) : std::max(0.0, mean);
}

/// One hidden layer: f(x) = bias + out' max(0, W'x + b). The exact truth for a neural network.
struct ReluNetwork {
  Matrix weight;  ///< (D, H)
  Vector hidden_bias, out;
  double bias = 0;

  double operator()(const Vector& x) const {
    return bias + out.dot((weight.transpose() * x + hidden_bias).cwiseMax(0.0));
  }
  double expected(const Gaussian& g) const {
    double sum = bias;
    for (Eigen::Index h = 0; h < weight.cols(); ++h) {
      const auto w = weight.col(h);
      const double variance = w.dot(g.covariance * w);
      sum += out(h) * expected_relu(w.dot(g.mean) + hidden_bias(h), std::sqrt(std::max(0.0, variance)));
    }
    return sum;
  }
  static ReluNetwork random(Eigen::Index d, Eigen::Index hidden, std::uint64_t seed) {
    Generator g({.seed = seed, .purpose = RandomPurpose::test, .layer = 9});
    ReluNetwork net{Matrix(d, hidden), Vector(hidden), Vector(hidden), g.normal()};
    for (Eigen::Index h = 0; h < hidden; ++h) {
      for (Eigen::Index j = 0; j < d; ++j) net.weight(j, h) = g.normal() / std::sqrt(static_cast<double>(d));
      net.hidden_bias(h) = .5 * g.normal();
      net.out(h) = g.normal();
    }
    return net;
  }
};

struct GaussianMixture {
  std::vector<double> weight;
  std::vector<Gaussian> component;

  /// Weights given the known features.
  std::vector<double> posterior(Known known, const Vector& x) const {
    std::vector<double> w(weight.size());
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (std::size_t g = 0; g < w.size(); ++g)
      largest = std::max(largest, w[g] = std::log(weight[g]) + component[g].log_density(known, x));
    for (double& v : w) sum += v = std::exp(v - largest);
    for (double& v : w) v /= sum;
    return w;
  }
  /// E[f | x_S] for an `expected` that knows E f under a Gaussian.
  template <class Expected>
  double expected(Known known, const Vector& x, const Expected& expected) const {
    const std::vector<double> w = posterior(known, x);
    double sum = 0;
    for (std::size_t g = 0; g < w.size(); ++g) sum += w[g] * expected(component[g].given(known, x));
    return sum;
  }
  Vector draw(Generator& random) const {
    double u = random.uniform();
    std::size_t g = 0;
    while (g + 1 < weight.size() && u >= weight[g]) u -= weight[g++];
    return component[g].draw(random);
  }
};

/// A probability for each of a few points.
struct PointMasses {
  std::vector<std::pair<std::vector<double>, double>> point;  ///< (values, probability)

  /// E[f | x_S]: the mean of f over the points that agree with x on S; NaN where no point does.
  template <class F>
  double expected(Known known, const Vector& x, const F& f) const {
    double sum = 0, mass = 0;
    for (const auto& [value, p] : point) {
      bool agrees = true;
      for (std::size_t j = 0; j < known.size(); ++j)
        agrees = agrees && (known[j] == 0 || value[j] == x(static_cast<Eigen::Index>(j)));
      if (agrees) sum += p * f(value), mass += p;
    }
    return sum / mass;
  }
};

/// Shapley values of f = beta'x for equicorrelated Gaussian features (mean 0, variance 1), any number of
/// them: averages over sets of each size in closed form.
inline Vector equicorrelated_linear_shapley(const Vector& beta, const Vector& x, double rho) {
  const Eigen::Index M = beta.size();
  const auto m = static_cast<double>(M);
  const auto c = [rho](double s) { return s > 0 ? rho / (1 + (s - 1) * rho) : 0; };
  Vector phi(M);
  for (Eigen::Index i = 0; i < M; ++i) {
    const double B = beta.sum() - beta(i), X = x.sum() - x(i), D = beta.dot(x) - beta(i) * x(i);
    double sum = 0;
    for (Eigen::Index k = 0; k < M; ++k) {
      const auto s = static_cast<double>(k);
      const double EB = M > 1 ? (m - 1 - s) / (m - 1) * B : 0, EX = M > 1 ? s / (m - 1) * X : 0;
      const double EXB = M > 2 ? s * (m - 1 - s) / ((m - 1) * (m - 2)) * (X * B - D) : 0;
      sum += beta(i) * x(i) + c(s + 1) * (x(i) * EB + EXB) - c(s) * (EXB + beta(i) * EX);
    }
    phi(i) = sum / m;
  }
  return phi;
}

/// Multivariate Burr: X_j = (E_j / (r_j G))^(1/b_j), G ~ Gamma(p, 1), E_j ~ Exp(1). Given S it is Burr again.
struct Burr {
  double p = 1;
  Vector r, b;

  Burr given(Known known, const Vector& x) const {
    Burr out = *this;
    double sum = 1;
    for (const Eigen::Index j : features_where(known, true)) {
      sum += r(j) * std::pow(x(j), b(j));
      out.p += 1;
    }
    out.r /= sum;
    return out;
  }
  /// E X_j^k, of a feature that is not known; needs k < b_j p.
  double moment(Eigen::Index j, double k) const {
    const double q = k / b(j);
    return std::pow(r(j), -q) * std::exp(std::lgamma(p - q) + std::lgamma(1 + q) - std::lgamma(p));
  }
  /// Log density of the features `in` (1 = counted) at x; of a conditional for given().
  double log_density(Known in, const Vector& x) const {
    double sum = 1, log = 0, d = 0;
    for (const Eigen::Index j : features_where(in, true)) {
      sum += r(j) * std::pow(x(j), b(j));
      log += std::log(r(j) * b(j)) + (b(j) - 1) * std::log(x(j));
      d += 1;
    }
    return log + std::lgamma(p + d) - std::lgamma(p) - (p + d) * std::log(sum);
  }
  /// For whole p: a sum of p exponentials.
  Vector draw(Generator& random) const {
    double g = 0;
    for (int i = 0; i < static_cast<int>(p); ++i) g -= std::log(random.uniform());
    Vector x(r.size());
    for (Eigen::Index j = 0; j < x.size(); ++j)
      x(j) = std::pow(-std::log(random.uniform()) / (r(j) * g), 1 / b(j));
    return x;
  }
};

}  // namespace emshap::test
