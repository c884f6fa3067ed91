#include "emshap/ops/gaussian_base.h"

#include <Eigen/Dense>
#include <algorithm>
#include <numeric>

#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

namespace {

using Order = std::vector<std::int32_t>;

/// F features with a covariance of random factors; `rank` < F makes it singular but for the ridge.
struct Base {
  Eigen::VectorXd mean;
  Eigen::MatrixXd cov;
  Base(std::int64_t F, std::int64_t rank, double ridge = 1e-3) {
    const Values m = random_values(F, 11), a = random_values(F * rank, 12);
    mean = Eigen::Map<const Eigen::VectorXd>(m.data(), F);
    const Eigen::Map<const Eigen::MatrixXd> factors(a.data(), F, rank);
    cov = factors * factors.transpose();
    cov.diagonal() *= 1 + ridge;
  }
  std::int64_t features() const { return mean.size(); }
  Tensor mean_tensor() const {
    return Tensor::from(std::vector<double>(mean.data(), mean.data() + mean.size()), {features()});
  }
  Tensor cov_tensor() const {  // symmetric, so the order of its elements does not matter
    return Tensor::from(std::vector<double>(cov.data(), cov.data() + cov.size()), {features(), features()});
  }
  /// Moments of t given `known`, by the dense formula.
  std::pair<double, double> given(std::int64_t t, const Order& known, const double* x) const {
    const auto n = static_cast<Eigen::Index>(known.size());
    if (n == 0) return {mean[t], .5 * std::log(cov(t, t))};
    const Eigen::MatrixXd inner = cov(known, known);
    const Eigen::VectorXd cross = cov(known, t);
    Eigen::VectorXd d(n);
    for (Eigen::Index i = 0; i < n; ++i)
      d[i] = x[known[static_cast<std::size_t>(i)]] - mean[known[static_cast<std::size_t>(i)]];
    const Eigen::VectorXd weights = inner.ldlt().solve(cross);
    return {mean[t] + weights.dot(d), .5 * std::log(cov(t, t) - weights.dot(cross))};
  }
};

Order shuffled(std::int64_t F, std::uint64_t seed) {
  Order order(static_cast<std::size_t>(F));
  const Values keys = random_values(F, seed);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return keys[static_cast<std::size_t>(a)] < keys[static_cast<std::size_t>(b)];
  });
  return order;
}

/// Orders of B rows one after another, and how much of each is used: all, nothing and parts.
struct Orders {
  Order order, count;
  Orders(std::int64_t B, std::int64_t F) {
    for (std::int64_t b = 0; b < B; ++b) {
      const Order one = shuffled(F, 100 + static_cast<std::uint64_t>(b));
      order.insert(order.end(), one.begin(), one.end());
      count.push_back(static_cast<std::int32_t>(b % 3 == 0 ? F : (7 * b) % (F + 1)));
    }
  }
  Order prefix(std::int64_t b, std::int64_t F, std::int64_t n) const {
    return Order(order.begin() + b * F, order.begin() + b * F + n);
  }
};

Values to_values(const Tensor& t) {
  Values v;
  for (std::int64_t i = 0; i < t.elements(); ++i)
    v.push_back(t.dtype() == DType::f32 ? static_cast<double>(t.ptr<float>()[i]) : t.ptr<double>()[i]);
  return v;
}

const std::vector<std::int64_t> rows_tested{0, 1, 2, 8, 31, 33};
const std::vector<std::int64_t> features_tested{1, 2, 7, 21};

double limit(DType dtype) {
  return tolerance(dtype, 1e-5, 1e-9);
}

}  // namespace

TEST_CASE("prefix moments are those of the dense formulas for every prefix of every order") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t F : features_tested)
        for (const std::int64_t B : rows_tested) {
          Context ctx(level);
          const Base base(F, F == 21 ? 9 : F);
          const Orders orders(B, F);
          Values x = random_values(B * F, 5);
          Values want_mu(static_cast<std::size_t>(B * F * F), 0), want_log(want_mu);
          for (std::int64_t b = 0; b < B; ++b)
            for (std::int64_t p = 0; p < orders.count[static_cast<std::size_t>(b)]; ++p)
              for (std::int64_t i = 0; i <= p; ++i) {
                const std::int64_t t = orders.order[static_cast<std::size_t>(b * F + p)];
                const auto at = static_cast<std::size_t>((b * F + t) * F + i);
                std::tie(want_mu[at], want_log[at]) = base.given(t, orders.prefix(b, F, i), x.data() + b * F);
              }
          for (std::int64_t b = 0; b < B; ++b)  // what is not used is not read
            for (std::int64_t p = orders.count[static_cast<std::size_t>(b)]; p < F; ++p)
              x[static_cast<std::size_t>(b * F + orders.order[static_cast<std::size_t>(b * F + p)])] = NAN;
          const Matrix mx(x, B, F, dtype, 3);
          Tensor mu({B, F, F}, dtype), log_sd({B, F, F}, dtype);
          ops::base_prefix_moments(ctx, base.mean_tensor(), base.cov_tensor(), mx,
                                   Tensor::from(orders.order, {B, F}), Tensor::from(orders.count, {B}), mu,
                                   log_sd);
          INFO(name_of(level) << ' ' << B << 'x' << F);
          check_close(to_values(mu), want_mu, 20 * limit(dtype), 20 * limit(dtype));
          check_close(to_values(log_sd), want_log, limit(dtype), limit(dtype));
        }
}

TEST_CASE("conditional moments for mixed masks, empty and full ones included") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t F : features_tested)
        for (const std::int64_t B : rows_tested) {
          Context ctx(level);
          const Base base(F, F == 21 ? 9 : F);
          Values x = random_values(B * F, 5), mask = random_values(B * F, 6), want_mu, want_log;
          for (std::int64_t i = 0; i < B * F; ++i) {
            double& m = mask[static_cast<std::size_t>(i)];
            const std::int64_t b = i / F;
            m = b % 4 == 1 ? 0 : b % 4 == 2 ? 1 : m > 0;
          }
          for (std::int64_t b = 0; b < B; ++b) {
            Order known;
            for (std::int32_t t = 0; t < F; ++t)
              if (mask[static_cast<std::size_t>(b * F + t)] > 0) known.push_back(t);
            for (std::int64_t t = 0; t < F; ++t) {
              const auto at = static_cast<std::size_t>(b * F + t);
              const auto [mu, log_sd] = base.given(t, known, x.data() + b * F);
              want_mu.push_back(mask[at] > 0 ? x[at] : mu);
              want_log.push_back(mask[at] > 0 ? ops::base_known_log_sd : log_sd);
            }
          }
          for (std::size_t i = 0; i < x.size(); ++i)
            if (mask[i] == 0) x[i] = NAN;
          const Matrix mx(x, B, F, dtype), mm(mask, B, F, dtype, 2);
          Matrix mu(B, F, dtype, 1), log_sd(B, F, dtype);
          ops::base_conditionals(ctx, base.mean_tensor(), base.cov_tensor(), mx, mm, mu, log_sd);
          INFO(name_of(level) << ' ' << B << 'x' << F);
          check_close(mu.values(), want_mu, 20 * limit(dtype), 20 * limit(dtype));
          check_close(log_sd.values(), want_log, limit(dtype), limit(dtype));
          CHECK(mu.gaps_intact());
          for (std::int64_t b = 0; b < B; ++b) {  // a row alone gives the same bits
            Matrix one(1, F, dtype), one_log(1, F, dtype);
            ops::base_conditionals(ctx, base.mean_tensor(), base.cov_tensor(), mx.view().rows(b, 1),
                                   mm.view().rows(b, 1), one, one_log);
            const Values all = mu.values(), all_log = log_sd.values();
            CHECK(same_bits(one.values(), Values(all.begin() + b * F, all.begin() + (b + 1) * F)));
            CHECK(
                same_bits(one_log.values(), Values(all_log.begin() + b * F, all_log.begin() + (b + 1) * F)));
          }
        }
}

TEST_CASE("drawing by gains and updates goes through the conditional moments") {
  constexpr std::int64_t draws = 5;
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t F : features_tested)
        for (const std::int64_t B : {0, 1, 9}) {
          Context ctx(level);
          const Base base(F, F == 21 ? 9 : F);
          const Orders orders(B, F);
          const Values x = random_values(B * draws * F, 5);
          Values start;
          for (std::int64_t i = 0; i < B * draws * F; ++i) start.push_back(base.mean[i % F]);
          const Tensor sequence = Tensor::from(orders.order, {B, F}), count = Tensor::from(orders.count, {B});
          Tensor gains({B, F, F}, dtype);
          Matrix log_sd(B, F, dtype, 2), mean(start, B * draws, F, dtype, 3);
          const Matrix mx(x, B * draws, F, dtype);
          ops::base_gains(ctx, base.cov_tensor(), sequence, count, gains, log_sd);
          const Values logs = log_sd.values();
          for (std::int64_t k = 0; k <= F; ++k) {
            std::vector<std::int32_t> position;
            const Values means = mean.values();
            Values got, want, got_log, want_log;
            for (std::int64_t b = 0; b < B; ++b) {
              const bool there = k < orders.count[static_cast<std::size_t>(b)];
              position.push_back(there ? static_cast<std::int32_t>(k) : -1);
              if (k < F) got_log.push_back(logs[static_cast<std::size_t>(b * F + k)]);
              if (k < F) want_log.push_back(0);
              if (!there) continue;
              const std::int64_t t = orders.order[static_cast<std::size_t>(b * F + k)];
              for (std::int64_t r = b * draws; r < (b + 1) * draws; ++r) {
                const auto [mu, log_s] = base.given(t, orders.prefix(b, F, k), x.data() + r * F);
                got.push_back(means[static_cast<std::size_t>(r * F + t)]);
                want.push_back(mu);
                want_log.back() = log_s;
              }
            }
            INFO(name_of(level) << ' ' << B << 'x' << F << " step " << k);
            check_close(got, want, 20 * limit(dtype), 20 * limit(dtype));
            check_close(got_log, want_log, limit(dtype), limit(dtype));
            if (k < F) ops::base_update(ctx, gains, sequence, Tensor::from(position, {B}), mx, mean);
          }
          CHECK(mean.gaps_intact());
        }
}

TEST_CASE("duplicate columns: finite with the ridge and without it") {
  for (const double ridge : {1e-3, 0.}) {
    Base base(3, 3, ridge);
    base.cov << 1 + ridge, 1, .5, 1, 1 + ridge, .5, .5, .5, 1 + ridge;
    for (const Backend level : levels()) {
      Context ctx(level);
      Matrix x({.3, .3, 1}, 1, 3, DType::f64), mask({1, 1, 0}, 1, 3, DType::f64), mu(1, 3, DType::f64),
          log_sd(1, 3, DType::f64);
      ops::base_conditionals(ctx, base.mean_tensor(), base.cov_tensor(), x, mask, mu, log_sd);
      for (const double v : mu.values()) CHECK(std::isfinite(v));
      CHECK(std::exp(2 * log_sd.values()[2]) == doctest::Approx(.75).epsilon(.01));
      mask = Matrix({1, 0, 0}, 1, 3, DType::f64);
      ops::base_conditionals(ctx, base.mean_tensor(), base.cov_tensor(), x, mask, mu, log_sd);
      CHECK(std::isfinite(log_sd.values()[1]));
      CHECK(log_sd.values()[1] < -3);
    }
  }
}

TEST_CASE("arguments of the base's ops are checked") {
  Context ctx;
  const Base base(3, 3);
  const Tensor mean = base.mean_tensor(), cov = base.cov_tensor();
  Matrix x(2, 3, DType::f32), other(2, 4, DType::f32), mu(2, 3, DType::f32), log_sd(2, 3, DType::f32);
  Tensor block({2, 3, 3}), order = Tensor::from(Order{0, 1, 2, 2, 1, 0}, {2, 3});
  Tensor count = Tensor::from(Order{3, 0}, {2}), bad = Tensor::from(Order{4, 0}, {2});
  CHECK_THROWS_AS(ops::base_conditionals(ctx, mean, cov, x, other, mu, log_sd), ShapeError);
  CHECK_THROWS_AS(ops::base_conditionals(ctx, mean, Tensor({3, 3}), x, x, mu, log_sd), DTypeError);
  CHECK_THROWS_AS(ops::base_conditionals(ctx, mean, cov, other, other, other, other), ShapeError);
  CHECK_THROWS_AS(ops::base_prefix_moments(ctx, mean, cov, x, x, count, block, block), DTypeError);
  CHECK_THROWS_AS(ops::base_gains(ctx, cov, order, count, x, log_sd), ShapeError);
  CHECK_THROWS_WITH_AS(ops::base_gains(ctx, cov, order, bad, block, log_sd),
                       "base_gains: count 0 is 4, expected 0 to 3", ShapeError);
  order.ptr<std::int32_t>()[1] = 3;
  CHECK_THROWS_WITH_AS(ops::base_gains(ctx, cov, order, count, block, log_sd),
                       "base_gains: sequence names feature 3 in row 0, expected 0 to 2", ShapeError);
  CHECK_THROWS_AS(ops::base_update(ctx, block, order, count, x, mu), ShapeError);
}
