#pragma once
// The set-GRU's formulas (docs/model.md) written down once more, in plain double loops, as the oracle of its
// tests: log q(x_t | x_A) for A taken in any order.
#include <Eigen/Dense>

#include <cmath>
#include <string>
#include <vector>

#include "emshap/models/set_gru.h"

namespace emshap::test {

class SetGruReference {
 public:
  using Vector = Eigen::VectorXd;
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  explicit SetGruReference(const SetGru& model) : model_(model) {}

  /// State after the features of `prefix` in this order; x (F) and code (F).
  Vector state(const std::vector<std::int64_t>& prefix, const double* x, const std::int32_t* code) const {
    const std::int64_t H = model_.context_width(), F = model_.layout().features();
    const auto offsets = model_.layout().offsets();
    Vector h = matrix("start").transpose();
    for (const std::int64_t t : prefix) {
      const bool categorical = model_.layout().categorical(t);
      const std::int64_t row = categorical ? F + offsets[static_cast<std::size_t>(t)] + code[t] : t;
      const Vector token =
          x[t] * matrix("token.scale").row(t).transpose() + matrix("token.shift").row(row).transpose();
      const Vector gi = matrix("gru.weight_ih").transpose() * token + matrix("gru.bias_ih").transpose();
      const Vector gh = matrix("gru.weight_hh").transpose() * h + matrix("gru.bias_hh").transpose();
      for (std::int64_t i = 0; i < H; ++i) {
        const double r = 1 / (1 + std::exp(-(gi[i] + gh[i])));
        const double z = 1 / (1 + std::exp(-(gi[H + i] + gh[H + i])));
        const double n = std::tanh(gi[2 * H + i] + r * gh[2 * H + i]);
        h[i] = (1 - z) * n + z * h[i];
      }
    }
    return h;
  }

  double log_q(std::int64_t t, const std::vector<std::int64_t>& prefix, const double* x,
               const std::int32_t* code) const {
    const auto [mean, sd] = base(t, prefix, x);
    const Vector first = matrix("head.state").transpose() * state(prefix, x, code) +
                         matrix("head.moments").row(0).transpose() * mean +
                         matrix("head.moments").row(1).transpose() * std::log(sd) +
                         matrix("head.feature").row(t).transpose();
    const Vector u0 = first.cwiseMax(0);
    const Vector u = u0 + (matrix("head.hidden").transpose() * u0).cwiseMax(0);
    if (model_.layout().categorical(t)) {
      const auto begin = model_.layout().offsets()[static_cast<std::size_t>(t)];
      const auto count = model_.layout().categories[static_cast<std::size_t>(t)];
      const Vector all = matrix("head.category").transpose() * u + matrix("head.category_bias").transpose();
      const Vector e = all.segment(begin, count).array().exp();
      return std::log(.99 * e[code[t]] / e.sum() +
                      .01 * model_.layout().frequencies[static_cast<std::size_t>(begin + code[t])]);
    }
    const std::int64_t C = model_.components();
    const Vector out = matrix("head.mixture").transpose() * u + matrix("head.mixture_bias").transpose();
    const Vector w = out.head(C).array().exp();
    double q = 0;
    for (std::int64_t c = 0; c < C; ++c) {
      const double scale = sd * (std::log1p(std::exp(out[2 * C + c])) + 1e-3);
      const double z = (x[t] - mean - sd * out[C + c]) / scale;
      q += w[c] / w.sum() * std::exp(-.5 * z * z) / (scale * std::sqrt(2 * std::acos(-1.0)));
    }
    return std::log(q);
  }

 private:
  Matrix matrix(const std::string& name) const {
    const ParameterStore& store = model_.store();
    const ParameterId id = store.find(name);
    const Shape shape = store.value(id).shape();
    const auto values = store.get(id);
    return Eigen::Map<const Matrix>(values.data(), shape.rows(), shape.cols());
  }
  std::pair<double, double> base(std::int64_t t, const std::vector<std::int64_t>& a, const double* x) const {
    const GaussianBase& g = model_.options().base;
    const auto n = static_cast<std::int64_t>(a.size());
    const auto cov = [&](std::int64_t i, std::int64_t j) {
      return g.covariance[static_cast<std::size_t>(i * g.features() + j)];
    };
    Matrix s(n, n);
    Vector to_t(n), centred(n);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t k = a[static_cast<std::size_t>(i)];
      for (std::int64_t j = 0; j < n; ++j) s(i, j) = cov(k, a[static_cast<std::size_t>(j)]);
      to_t[i] = cov(k, t);
      centred[i] = x[k] - g.mean[static_cast<std::size_t>(k)];
    }
    const Vector gain = n > 0 ? Vector(s.ldlt().solve(to_t)) : Vector(0);
    return {g.mean[static_cast<std::size_t>(t)] + gain.dot(centred), std::sqrt(cov(t, t) - gain.dot(to_t))};
  }
  const SetGru& model_;
};

}  // namespace emshap::test
