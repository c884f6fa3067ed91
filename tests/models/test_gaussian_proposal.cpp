#include "emshap/models/gaussian_proposal.h"

#include <Eigen/Dense>

#include "proposal_contract.h"

using namespace emshap;
using namespace emshap::test;

TEST_CASE("the Gaussian is a proposal") {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const std::int64_t F : {1, 2, 6, 9}) {
      CAPTURE(F);
      Context ctx;
      check_proposal(GaussianProposal(mixed_layout(F), correlated_base(F), dtype), ctx);
    }
}

TEST_CASE("its density is that of the multivariate Gaussian") {
  const std::int64_t F = 7, B = 20;
  const GaussianBase base = correlated_base(F);
  const GaussianProposal p(FeatureLayout::numeric(F), base, DType::f64);
  const ContractRows data = contract_rows(p.layout(), B, DType::f64);
  Context ctx;
  Conditionals q;
  p.sequential(ctx, data.rows(), data.mask, data.target, q);
  const std::vector<double> x = to_doubles(data.x), mask = to_doubles(data.mask),
                            target = to_doubles(data.target);
  const Eigen::Map<const Eigen::MatrixXd> cov(base.covariance.data(), F, F);
  const auto log_normal = [&](std::int64_t b, const std::vector<Eigen::Index>& set) {
    if (set.empty()) return 0.;
    Eigen::VectorXd d(static_cast<Eigen::Index>(set.size()));
    for (Eigen::Index i = 0; i < d.size(); ++i) {
      const Eigen::Index t = set[static_cast<std::size_t>(i)];
      d[i] = x[static_cast<std::size_t>(b * F + t)] - base.mean[static_cast<std::size_t>(t)];
    }
    const Eigen::MatrixXd c = cov(set, set);
    return -.5 * d.dot(c.ldlt().solve(d)) - .5 * std::log(c.determinant()) -
           .5 * std::log(2 * M_PI) * static_cast<double>(d.size());
  };
  for (std::int64_t b = 0; b < B; ++b) {
    std::vector<Eigen::Index> known, all;
    for (std::int64_t t = 0; t < F; ++t) {
      const auto i = static_cast<std::size_t>(b * F + t);
      if (mask[i] > 0) known.push_back(t);
      if (mask[i] > 0 || target[i] > 0) all.push_back(t);
    }
    const double got = log_density(q, p.layout(), 1, x, codes(data.code), target, b);
    CHECK(got == doctest::Approx(log_normal(b, all) - log_normal(b, known)).epsilon(1e-9));
  }
}

TEST_CASE("draws have its moments, categories its masses") {
  const std::int64_t F = 6, K = 20000;
  const GaussianProposal p(mixed_layout(F), correlated_base(F), DType::f64);
  ContractRows data = contract_rows(p.layout(), 3, DType::f64);
  const FeatureRows row{data.x.view().rows(2, 1), data.code.view().rows(2, 1)};
  std::vector<double> mask{0, 0, 1, 0, 1, 0};
  const Tensor m = make_tensor(mask, {1, F}, DType::f64);
  Context ctx;
  Conditionals q;
  p.conditionals(ctx, row, m, q);
  for (const DrawMode mode : {DrawMode::autoregressive, DrawMode::one_shot}) {
    Draws d;
    p.draw(ctx, row, m, K, contract_noise(K, F, DType::f64), mode, d);
    const std::vector<double> x = to_doubles(d.x), mixture = to_doubles(q.mixture),
                              mass = to_doubles(q.categorical);
    // Feature 0 comes first in the chain, so its draws follow q(x_0 | x_S) in both modes.
    double sum = 0, squares = 0, ones[3] = {};
    for (std::size_t k = 0; k < static_cast<std::size_t>(K); ++k) {
      sum += x[k * 6];
      squares += x[k * 6] * x[k * 6];
      ones[d.code.ptr<std::int32_t>()[k * 6 + 1]] += 1. / static_cast<double>(K);
    }
    const double mean = sum / static_cast<double>(K),
                 sd = std::sqrt(squares / static_cast<double>(K) - mean * mean);
    CHECK(std::abs(mean - mixture[1]) < .03 * std::exp(mixture[2]));
    CHECK(sd == doctest::Approx(std::exp(mixture[2])).epsilon(.03));
    if (mode == DrawMode::one_shot)
      for (std::size_t v = 0; v < 3; ++v) CHECK(std::abs(ones[v] - std::exp(mass[v])) < .02);
  }
}

TEST_CASE("categories far out keep a finite probability") {
  FeatureLayout layout = FeatureLayout::numeric(2);
  layout.categories[0] = 2;
  layout.values = {-500, 500};
  layout.frequencies = {.5, .5};
  const GaussianProposal p(layout, {{400, 0}, {1, 0, 0, 1}}, DType::f64);
  Context ctx;
  Conditionals q;
  const Tensor x = Tensor::zeros({1, 2}, DType::f64),
               code = Tensor::from(std::vector<std::int32_t>{0, -1}, {1, 2});
  p.conditionals(ctx, {x, code}, x, q);
  CHECK(q.categorical.ptr<double>()[0] < -600);
  CHECK(std::isfinite(q.categorical.ptr<double>()[0]));
  CHECK(q.categorical.ptr<double>()[1] == doctest::Approx(0));
}

TEST_CASE("a base that does not fit the layout is refused") {
  CHECK_THROWS_WITH_AS(GaussianProposal(FeatureLayout::numeric(3), correlated_base(2)),
                       "the Gaussian base has 2 features, expected 3 as the layout", ConfigError);
}
