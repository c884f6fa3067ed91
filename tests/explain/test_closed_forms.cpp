// Values drawn from a Gaussian that is known exactly: against closed forms, and whether the errors they come
// with are right.
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <numeric>

#include "emshap/explain/drawn_values.h"
#include "emshap/explain/gaussian_density.h"
#include "emshap/explain/shapley_solver.h"
#include "emshap/models/gaussian_proposal.h"
#include "support/closed_forms.h"
#include "value_support.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// A Gaussian in raw units as a density model, exact: neither fitted nor with a ridge.
struct KnownGaussian {
  Gaussian truth;
  FeatureSpace space;
  std::unique_ptr<EmshapModel> model;

  explicit KnownGaussian(Gaussian g) : truth(std::move(g)), space(wide_space(truth)) {
    const auto D = static_cast<std::int64_t>(truth.mean.size());
    // Model space is standardised: an affine image of the raw one.
    std::vector<double> shift, scale;
    for (std::int64_t t = 0; t < D; ++t) {
      shift.push_back(space.to_model(t, 0));
      scale.push_back(space.to_model(t, 1) - shift.back());
    }
    GaussianBase base;
    for (std::int64_t i = 0; i < D; ++i) {
      const auto a = static_cast<std::size_t>(i);
      base.mean.push_back(shift[a] + scale[a] * truth.mean(i));
      for (std::int64_t j = 0; j < D; ++j)
        base.covariance.push_back(scale[a] * scale[static_cast<std::size_t>(j)] * truth.covariance(i, j));
    }
    model = std::make_unique<EmshapModel>(
        std::make_unique<GaussianProposal>(FeatureLayout::numeric(D), base, DType::f64), nullptr, false);
  }

  /// Standardised columns whose range no draw leaves.
  static FeatureSpace wide_space(const Gaussian& g) {
    const auto D = static_cast<std::int64_t>(g.mean.size());
    Tensor raw({4, D});
    for (std::int64_t r = 0; r < 4; ++r)
      for (std::int64_t c = 0; c < D; ++c)
        raw.ptr<float>()[r * D + c] =
            static_cast<float>(g.mean(c) + (r % 2 == 0 ? 1 : -1) * (c + 1) + .1 * static_cast<double>(r));
    FeatureSpaceOptions options;
    options.transform = FeatureTransform::standardise;
    options.ties = false;
    options.range_margin = 100;
    return fit_gaussian_density(letters(D), raw, {}, options, 1).space;
  }
};

/// A function of a row and what it is on average under a Gaussian.
struct Known_f {
  const char* name;
  std::function<double(const Vector&)> f;
  std::function<double(const Gaussian&)> expected;
};

CallablePredictor as_predictor(std::int64_t columns, const std::function<double(const Vector&)>& f) {
  return predictor(columns, [f, columns](const float* x) {
    return f(to_vector(std::span<const float>(x, static_cast<std::size_t>(columns))));
  });
}

/// E[f | x_S] for all masks, (C).
std::vector<double> truths(const Gaussian& g, const Vector& x, const Tensor& masks, const Known_f& f) {
  std::vector<double> out;
  for (std::int64_t c = 0; c < masks.rows(); ++c) {
    std::vector<std::uint8_t> known;
    for (std::int64_t j = 0; j < masks.cols(); ++j)
      known.push_back(masks.ptr<float>()[c * masks.cols() + j] > .5f ? 1 : 0);
    out.push_back(f.expected(g.given(known, x)));
  }
  return out;
}

/// Over repetitions with other seeds: are values right on average, and are their errors as reported?
struct Calibration {
  std::vector<double> sum, squares;  // per quantity, of the errors
  double reported = 0;               // mean of the reported variances, over quantities
  int repetitions = 0;

  void add(const std::vector<double>& error, const std::vector<double>& variance) {
    sum.resize(error.size());
    squares.resize(error.size());
    for (std::size_t i = 0; i < error.size(); ++i) {
      sum[i] += error[i];
      squares[i] += error[i] * error[i];
      reported += variance[i];
    }
    ++repetitions;
  }
  /// Largest mean error in units of its own standard error; errors below `floor` count as none.
  double worst_bias(double floor = 1e-6) const {
    double worst = 0;
    for (std::size_t i = 0; i < sum.size(); ++i) {
      const double n = repetitions, mean = sum[i] / n;
      if (std::abs(mean) < floor) continue;
      worst = std::max(worst, std::abs(mean) / std::sqrt((squares[i] / n - mean * mean) / (n - 1)));
    }
    return worst;
  }
  /// Reported standard deviation over the true one.
  double ratio() const { return std::sqrt(reported / std::accumulate(squares.begin(), squares.end(), 0.)); }
};

std::vector<double> variances(const CoalitionValues& v) {
  const std::int64_t G = v.deviation.shape()[2], C = v.value.elements();
  std::vector<double> out;
  for (std::int64_t c = 0; c < C; ++c) {
    double sum = 0;
    for (std::int64_t g = 0; g < G; ++g) {
      const double d = v.deviation.ptr<double>()[c * G + g];
      sum += d * d;
    }
    out.push_back(v.shared_noise ? sum * static_cast<double>(G) / static_cast<double>(G - 1) : sum);
  }
  return out;
}

Tensor as_row(const Vector& x) {
  Tensor out({1, x.size()});
  for (Eigen::Index j = 0; j < x.size(); ++j) out.ptr<float>()[j] = static_cast<float>(x(j));
  return out;
}

Calibration calibrate(const KnownGaussian& g, const Vector& x, const Known_f& f, DrawnValueOptions options,
                      int repetitions) {
  const std::int64_t D = x.size();
  const CallablePredictor p = as_predictor(D, f.f);
  const Tensor masks = all_masks(D);
  const std::vector<double> truth = truths(g.truth, x, masks, f);
  Calibration out;
  for (int i = 0; i < repetitions; ++i) {
    options.seed = 1000 + static_cast<std::uint64_t>(i);
    const auto values = drawn_values("gaussian", g.space, *g.model, p, options);
    const CoalitionValues v = values_of(*values, as_row(x), masks);
    std::vector<double> error;
    for (std::size_t c = 0; c < truth.size(); ++c) error.push_back(v.value.ptr<double>()[c] - truth[c]);
    out.add(error, variances(v));
  }
  return out;
}

KnownGaussian four_features() {
  Gaussian g{Vector(4), power_correlation(4, .7)};
  g.mean << .5, -1, 0, 2;
  const Vector sd = (Vector(4) << 1, 2, .5, 1.5).finished();
  g.covariance = sd.asDiagonal() * g.covariance * sd.asDiagonal();
  return KnownGaussian(std::move(g));
}

std::vector<Known_f> functions(const ReluNetwork& net) {
  return {
      {"cos x2", [](const Vector& x) { return std::cos(x(1)); },
       [](const Gaussian& g) { return expected_cos(g, 1); }},
      {"sin x4", [](const Vector& x) { return std::sin(x(3)); },
       [](const Gaussian& g) { return expected_sin(g, 3); }},
      {"x1 x3", [](const Vector& x) { return x(0) * x(2); },
       [](const Gaussian& g) { return expected_product(g, 0, 2); }},
      {"x1 x2^2", [](const Vector& x) { return x(0) * x(1) * x(1); },
       [](const Gaussian& g) { return expected_product_square(g, 0, 1); }},
      {"sign x1", [](const Vector& x) { return x(0) > 0 ? 1. : -1.; },
       [](const Gaussian& g) { return expected_sign(g, 0); }},
      {"ReLU network", [net](const Vector& x) { return net(x); },
       [net](const Gaussian& g) { return net.expected(g); }},
  };
}

const Vector explicand = (Vector(4) << .25, -2.5, .75, 3).finished();  // exact in float32

void check_calibrated(const Calibration& c) {
  CHECK(c.worst_bias() < 4.5);  // among 16 quantities
  CHECK(c.ratio() > .8);
  CHECK(c.ratio() < 1.25);
}

}  // namespace

TEST_CASE("Gaussian values have their closed forms, and errors are as reported") {
  const KnownGaussian g = four_features();
  DrawnValueOptions options;
  options.draws = 64;
  for (const Known_f& f : functions(ReluNetwork::random(4, 12, 3)))
    for (const ValueNoise noise : {ValueNoise::sobol, ValueNoise::independent}) {
      CAPTURE(std::string(f.name));
      CAPTURE(static_cast<int>(noise));
      options.noise = noise;
      const Calibration c = calibrate(g, explicand, f, options, 120);
      check_calibrated(c);
    }
}

TEST_CASE("many draws come near the closed forms") {
  const KnownGaussian g = four_features();
  DrawnValueOptions options;
  options.draws = 8192;
  const Tensor masks = all_masks(4);
  for (const Known_f& f : functions(ReluNetwork::random(4, 12, 3))) {
    CAPTURE(std::string(f.name));
    const CallablePredictor p = as_predictor(4, f.f);
    const CoalitionValues v =
        values_of(*drawn_values("gaussian", g.space, *g.model, p, options), as_row(explicand), masks);
    const std::vector<double> truth = truths(g.truth, explicand, masks, f);
    for (std::size_t c = 0; c < truth.size(); ++c)
      CHECK(std::abs(v.value.ptr<double>()[c] - truth[c]) < .01 * (1 + std::abs(truth[c])));
    CHECK(v.clamped == 0);
  }
}

TEST_CASE("Shapley values of golden cases, and their errors") {
  struct Golden {
    const char* name;
    Gaussian g;
    Vector x;
    std::function<double(const Vector&)> f;
    std::vector<double> phi;
  };
  const Vector beta = (Vector(4) << 1, -2, .5, 3).finished();
  const std::vector<Golden> cases{{"G1",
                                   {Vector::Zero(4), equicorrelation(4, .5)},
                                   (Vector(4) << .3, -1.2, .7, 2).finished(),
                                   [beta](const Vector& x) { return beta.dot(x); },
                                   {.2864583333, 2.1281250000, .6795138889, 5.9559027778}},
                                  {"G2",
                                   {Vector::Zero(3), power_correlation(3, .7)},
                                   (Vector(3) << .5, -1, 1.5).finished(),
                                   [](const Vector& x) { return x(0) * x(1) + std::cos(x(2)); },
                                   {-.8658445600, -.5236357997, -.3463130984}}};
  for (const Golden& golden : cases) {
    CAPTURE(std::string(golden.name));
    const KnownGaussian g{golden.g};
    const std::int64_t M = golden.x.size();
    const CallablePredictor p = as_predictor(M, golden.f);
    const Coalitions set = Coalitions::make(M, CoalitionStrategy::exact, std::int64_t{1} << M, 1);
    Tensor masks({set.size(), M});
    for (std::int64_t i = 0; i < set.size() * M; ++i)
      masks.ptr<float>()[i] = static_cast<float>(set.member[static_cast<std::size_t>(i)]);
    const ShapleySolver solver(set);
    const auto explain = [&](const DrawnValueOptions& options, std::vector<double>& variance) {
      const CoalitionValues v =
          values_of(*drawn_values("gaussian", g.space, *g.model, p, options), as_row(golden.x), masks);
      Tensor phi({1, M}, DType::f64), noise({1, M}, DType::f64);
      solver.solve(v.value, phi);
      solver.noise_variance(v.deviation, v.shared_noise, noise);
      variance.assign(noise.ptr<double>(), noise.ptr<double>() + M);
      std::vector<double> error;
      for (std::int64_t j = 0; j < M; ++j)
        error.push_back(phi.ptr<double>()[j] - golden.phi[static_cast<std::size_t>(j)]);
      return error;
    };
    std::vector<double> variance;
    DrawnValueOptions options;
    options.draws = 8192;
    for (const double error : explain(options, variance)) CHECK(std::abs(error) < .005);

    for (const ValueNoise noise : {ValueNoise::sobol, ValueNoise::independent}) {
      Calibration c;
      options.draws = 64;
      options.noise = noise;
      for (int i = 0; i < 200; ++i) {
        options.seed = 500 + static_cast<std::uint64_t>(i);
        const std::vector<double> error = explain(options, variance);
        c.add(error, variance);
      }
      check_calibrated(c);
    }
  }
}
