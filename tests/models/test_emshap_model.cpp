// The density model against closed forms: a Gaussian proposal tilted by a linear energy is a Gaussian again.
#include "emshap/models/emshap_model.h"

#include <doctest/doctest.h>

#include <Eigen/Dense>
#include <cmath>

#include "emshap/core/error.h"
#include "emshap/models/gaussian_proposal.h"
#include "support/compare.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr std::int64_t F = 3;
const Eigen::Vector3d tilt(.4, -.3, .6);

GaussianBase base() {
  return {{.5, -1, 0}, {1, .5, -.3, .5, 2, .4, -.3, .4, .8}};
}

void set(EnergyNetwork& net, const std::string& name, const std::vector<double>& values) {
  net.store().set(net.store().find(name), values);
}

/// g = tilt . x: one hidden unit without activation, far from its bound.
std::unique_ptr<EnergyNetwork> linear_energy(double strength = 1) {
  auto net = std::make_unique<EnergyNetwork>(EnergyNetworkOptions{.features = F,
                                                                  .context = 1,
                                                                  .bound = 1e7,
                                                                  .hidden = 1,
                                                                  .blocks = 0,
                                                                  .activation = Activation::identity},
                                             DType::f64);
  set(*net, "energy.completion.weight", {strength * tilt[0], strength * tilt[1], strength * tilt[2]});
  set(*net, "energy.condition.weight", {0, 0, 0, 0});
  set(*net, "energy.condition.bias", {0});
  set(*net, "energy.output.weight", {1});
  set(*net, "energy.output.bias", {0});
  return net;
}

EmshapModel model(std::unique_ptr<EnergyNetwork> energy, bool used = true,
                  FeatureLayout layout = FeatureLayout::numeric(F)) {
  return {std::make_unique<GaussianProposal>(std::move(layout), base(), DType::f64), std::move(energy), used};
}

/// Rows with every mask in turn; missing entries where asked.
struct Data {
  std::int64_t B;
  Tensor x, mask, target;
  std::vector<std::int64_t> numbers;
  explicit Data(std::int64_t rows, bool with_missing = false)
      : B(rows), x(make_tensor(random_values(rows * F, 3), {rows, F}, DType::f64)) {
    mask = Tensor::zeros({B, F}, DType::f64);
    target = Tensor::zeros({B, F}, DType::f64);
    for (std::int64_t b = 0; b < B; ++b) {
      numbers.push_back(b);
      for (std::int64_t t = 0; t < F; ++t) {
        const bool known = (b >> t & 1) != 0, missing = with_missing && !known && (b / 8 + t) % 3 == 0;
        mask.ptr<double>()[b * F + t] = known ? 1 : 0;
        target.ptr<double>()[b * F + t] = known || missing ? 0 : 1;
      }
    }
  }
  ModelQuery query(bool named_targets = false) const {
    return {.rows = {.x = x, .code = {}},
            .mask = mask,
            .target = named_targets ? target.view() : ConstTensorView(),
            .numbers = {}};
  }
};

struct Truth {
  double log_density = 0, log_q = 0, log_z = 0, energy = 0;
  Eigen::Vector3d mean = Eigen::Vector3d::Zero(), sd = Eigen::Vector3d::Zero(),
                  untilted = Eigen::Vector3d::Zero();
};

double log_normal(const Eigen::VectorXd& d, const Eigen::MatrixXd& cov) {
  if (d.size() == 0) return 0;
  const double log_two_pi = std::log(2 * std::acos(-1.));
  return -.5 * (d.dot(cov.ldlt().solve(d)) + std::log(cov.determinant()) +
                static_cast<double>(d.size()) * log_two_pi);
}

Truth truth(const Data& d, std::int64_t b) {
  const GaussianBase g = base();
  const Eigen::Map<const Eigen::Matrix3d> cov(g.covariance.data());
  const Eigen::Map<const Eigen::Vector3d> mu(g.mean.data()), x(d.x.ptr<double>() + b * F);
  std::vector<int> known, asked;
  for (int t = 0; t < F; ++t) {
    if (d.mask.ptr<double>()[b * F + t] > 0) known.push_back(t);
    if (d.target.ptr<double>()[b * F + t] > 0) asked.push_back(t);
  }
  Eigen::VectorXd m = mu(asked);
  Eigen::MatrixXd c = cov(asked, asked);
  if (!known.empty() && !asked.empty()) {
    const Eigen::MatrixXd gain = cov(asked, known) * Eigen::MatrixXd(cov(known, known)).inverse();
    m += gain * (x(known) - mu(known));
    c -= gain * cov(known, asked);
  }
  const Eigen::VectorXd a = tilt(asked), at = x(asked);
  Truth r;
  r.log_q = log_normal(at - m, c);
  r.log_density = log_normal(at - (m - c * a), c);
  r.energy = a.dot(at) + tilt(known).dot(x(known));
  r.log_z = .5 * a.dot(c * a) - a.dot(m) - tilt(known).dot(x(known));
  for (std::size_t i = 0; i < asked.size(); ++i) {
    r.untilted[asked[i]] = m[static_cast<Eigen::Index>(i)];
    r.mean[asked[i]] = (m - c * a)[static_cast<Eigen::Index>(i)];
    r.sd[asked[i]] = std::sqrt(c(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(i)));
  }
  for (const int t : known) r.mean[t] = r.untilted[t] = x[t];
  return r;
}

SamplingOptions sampling(std::int64_t draws, DrawNoise noise = DrawNoise::sobol) {
  return {.draws = draws, .mode = DrawMode::autoregressive, .noise = noise, .key = {.seed = 1}};
}

void check_same(const DensityScores& a, const DensityScores& b) {
  check_same_bits("log_density", a.log_density, b.log_density);
  check_same_bits("log_q", a.log_q, b.log_q);
  check_same_bits("energy", a.energy, b.energy);
  check_same_bits("log_z", a.log_z, b.log_z);
  check_same_bits("effective", a.effective, b.effective);
}

}  // namespace

TEST_CASE("log density, log Z, moments and energies of a tilted Gaussian, for every mask") {
  Context ctx;
  const EmshapModel m = model(linear_energy());
  const Data d(16);
  for (const bool named : {false, true}) {
    const DensityScores s = m.log_density(ctx, d.query(named), sampling(5000), true);
    const std::vector<double> energies = m.energies(ctx, d.query(named));
    ConditionalMoments drawn, closed;
    m.moments(ctx, d.query(named), sampling(5000), drawn);
    m.proposal_moments(ctx, d.query(named), closed);
    for (std::int64_t b = 0; b < d.B; ++b) {
      CAPTURE(b);
      const auto i = static_cast<std::size_t>(b);
      const Truth t = truth(d, b);
      CHECK(s.log_q[i] == doctest::Approx(t.log_q).epsilon(1e-10));
      CHECK(s.energy[i] == doctest::Approx(t.energy).epsilon(1e-6));
      CHECK(energies[i] == doctest::Approx(t.energy).epsilon(1e-6));
      CHECK(std::abs(s.log_z[i] - t.log_z) < .01);
      CHECK(std::abs(s.log_density[i] - t.log_density) < .01);
      CHECK(s.effective[i] <= 5000.001);
      CHECK(s.effective[i] > 500);
      if (b % 8 == 7) {  // everything known
        CHECK(std::abs(s.log_density[i]) < 1e-9);
        CHECK(s.effective[i] == doctest::Approx(5000));
      }
      for (int f = 0; f < F; ++f) {
        CHECK(std::abs(drawn.mean.ptr<double>()[b * F + f] - t.mean[f]) < .02);
        CHECK(std::abs(drawn.sd.ptr<double>()[b * F + f] - t.sd[f]) < .03);
        CHECK(closed.mean.ptr<double>()[b * F + f] == doctest::Approx(t.untilted[f]).epsilon(1e-10));
        CHECK(std::abs(closed.sd.ptr<double>()[b * F + f] - t.sd[f]) < 1e-10);
      }
    }
  }
}

TEST_CASE("missing features take no part") {
  Context ctx;
  const EmshapModel m = model(linear_energy());
  const Data d(48, true);
  const DensityScores s = m.log_density(ctx, d.query(true), sampling(4000), true);
  const std::vector<double> energies = m.energies(ctx, d.query(true));
  for (std::int64_t b = 0; b < d.B; ++b) {
    CAPTURE(b);
    const auto i = static_cast<std::size_t>(b);
    const Truth t = truth(d, b);
    CHECK(s.log_q[i] == doctest::Approx(t.log_q).epsilon(1e-10));
    CHECK(energies[i] == doctest::Approx(t.energy).epsilon(1e-6));
    CHECK(std::abs(s.log_density[i] - t.log_density) < .015);
  }
}

TEST_CASE("what depends on the known values only does not change with the others") {
  Context ctx;
  const EmshapModel m = model(linear_energy());
  const Data d(16);
  Data other(16);
  for (std::int64_t i = 0; i < d.B * F; ++i)
    if (d.mask.ptr<double>()[i] == 0) other.x.ptr<double>()[i] = 1e30;
  const SamplingOptions o = sampling(64);
  const DensityScores a = m.log_density(ctx, d.query(), o, true),
                      b = m.log_density(ctx, other.query(), o, true);
  check_same_bits("log_z", a.log_z, b.log_z);
  check_same_bits("effective", a.effective, b.effective);
  WeightedDraws da, db;
  m.draw(ctx, d.query(), o, da);
  m.draw(ctx, other.query(), o, db);
  check_same_bits("draws", to_doubles(da.draws.x.view()), to_doubles(db.draws.x.view()));
  check_same_bits("weights", to_doubles(da.weights.view()), to_doubles(db.weights.view()));
  ConditionalMoments ma, mb;
  m.moments(ctx, d.query(), o, ma);
  m.moments(ctx, other.query(), o, mb);
  check_same_bits("mean", to_doubles(ma.mean.view()), to_doubles(mb.mean.view()));
  m.proposal_moments(ctx, d.query(), ma);
  m.proposal_moments(ctx, other.query(), mb);
  check_same_bits("proposal mean", to_doubles(ma.mean.view()), to_doubles(mb.mean.view()));
}

TEST_CASE("without energy, or where it is 0, the proposal is the model") {
  Context ctx;
  const Data d(11);
  const SamplingOptions o = sampling(50);
  const EmshapModel none = model(nullptr), zero = model(linear_energy(0)),
                    unused = model(linear_energy(), false);
  CHECK_FALSE(none.energy_used());
  CHECK_FALSE(unused.energy_used());
  const DensityScores s = none.log_density(ctx, d.query(), o, true);
  check_same_bits("log q", s.log_density, s.log_q);
  check_same(unused.log_density(ctx, d.query(), o, false), s);
  const DensityScores z = zero.log_density(ctx, d.query(), o, true);
  check_close("log density", z.log_density, s.log_density, {1e-13, 0});
  for (const double e : z.effective) CHECK(e == doctest::Approx(50).epsilon(1e-12));
  for (const double e : z.log_z_error) CHECK(e < 1e-6);

  WeightedDraws a, b;
  none.draw(ctx, d.query(), o, a);
  unused.draw(ctx, d.query(), o, b);
  CHECK(max_abs(to_doubles(a.energy.view())) == 0);
  CHECK(max_abs(to_doubles(b.energy.view())) > 0);
  for (const double w : to_doubles(b.weights.view())) CHECK(w == doctest::Approx(.02));
  check_same_bits("draws", to_doubles(a.draws.x.view()), to_doubles(b.draws.x.view()));
}

TEST_CASE("rows give the same bits however they are cut and on any number of threads, many draws included") {
  const EmshapModel m = model(linear_energy());
  const Data d(37);
  for (const std::int64_t K : {1, 7, 1000, 2500}) {
    CAPTURE(K);
    const SamplingOptions o = sampling(K);
    Context ctx(cpu_levels().front());
    const DensityScores want = m.log_density(ctx, d.query(), o, true);
    for (const int threads : {1, 2, 3, 7}) {
      TeamPool pool(threads, cpu_levels().front());
      check_same(m.log_density(pool, d.query(), o, true), want);
      if (K != 7) continue;
      ConditionalMoments a, b;
      m.moments(ctx, d.query(), o, a);
      m.moments(pool, d.query(), o, b);
      check_same_bits("sd", to_doubles(a.sd.view()), to_doubles(b.sd.view()));
      m.proposal_moments(pool, d.query(), a);
      check_same_bits("energies", m.energies(pool, d.query()), m.energies(ctx, d.query()));
    }
    ModelQuery tail = d.query();
    tail.rows.x = d.x.view().rows(30, 7);
    tail.mask = d.mask.view().rows(30, 7);
    tail.numbers = std::span(d.numbers).subspan(30);
    const DensityScores part = m.log_density(ctx, tail, o, true);
    check_same_bits("tail", part.log_density, std::span(want.log_density).subspan(30));
  }
  TeamPool pool(2);
  CHECK(m.log_density(pool, Data(0).query(), sampling(5), true).log_q.empty());
}

TEST_CASE("the standard error is honest and Sobol points beat independent ones") {
  Context ctx;
  const EmshapModel m = model(linear_energy());
  Data d(200);
  for (std::int64_t i = 0; i < d.B * F; ++i) d.mask.ptr<double>()[i] = 0;
  for (std::int64_t i = 0; i < d.B * F; ++i) d.target.ptr<double>()[i] = 1;
  double square[2] = {}, standardised = 0;
  for (const DrawNoise noise : {DrawNoise::independent, DrawNoise::sobol}) {
    const DensityScores s = m.log_density(ctx, d.query(), sampling(256, noise), true);
    for (std::size_t b = 0; b < 200; ++b) {
      const double error = s.log_z[b] - truth(d, static_cast<std::int64_t>(b)).log_z;
      square[noise == DrawNoise::sobol] += error * error / 200;
      if (noise == DrawNoise::independent)
        standardised += error * error / (s.log_z_error[b] * s.log_z_error[b]) / 200;
    }
  }
  CHECK(standardised > .6);
  CHECK(standardised < 1.6);
  CHECK(std::sqrt(square[1]) < .5 * std::sqrt(square[0]));
}

TEST_CASE("the absolute form: E = 3 sum |x| is a product of Laplace densities, known features cancel") {
  Context ctx;
  auto net = std::make_unique<EnergyNetwork>(EnergyNetworkOptions{.features = F,
                                                                  .context = 1,
                                                                  .form = EnergyForm::absolute,
                                                                  .hidden = 6,
                                                                  .blocks = 0,
                                                                  .activation = Activation::relu},
                                             DType::f64);
  std::vector<double> w(3 * 6, 0.);
  for (std::size_t t = 0; t < 3; ++t) {
    w[t * 6 + 2 * t] = 3;
    w[t * 6 + 2 * t + 1] = -3;
  }
  set(*net, "energy.completion.weight", w);
  set(*net, "energy.condition.weight", std::vector<double>(24, 0.));
  set(*net, "energy.condition.bias", std::vector<double>(6, 0.));
  set(*net, "energy.output.weight", std::vector<double>(6, 1.));
  set(*net, "energy.output.bias", {0});
  const EmshapModel m = model(std::move(net));
  for (const bool missing : {false, true}) {
    const Data d(24, missing);
    const DensityScores s = m.log_density(ctx, d.query(true), sampling(20000), true);
    for (std::int64_t b = 0; b < d.B; ++b) {
      CAPTURE(b);
      double want = 0;
      for (std::int64_t t = 0; t < F; ++t)
        if (d.target.ptr<double>()[b * F + t] > 0)
          want += std::log(1.5) - 3 * std::abs(d.x.ptr<double>()[b * F + t]);
      CHECK(std::abs(s.log_density[static_cast<std::size_t>(b)] - want) < .1);
    }
    // Completions hold values for missing features too; their weights are those of the others.
    for (const DrawMode mode : {DrawMode::autoregressive, DrawMode::one_shot}) {
      SamplingOptions o = sampling(4000);
      o.mode = mode;
      WeightedDraws drawn;
      m.draw(ctx, d.query(true), o, drawn);
      for (std::int64_t b = 0; b < d.B; ++b) {
        CAPTURE(b);
        CAPTURE(static_cast<int>(mode));
        double want = 0;
        for (std::int64_t t = 0; t < F; ++t) {
          if (d.target.ptr<double>()[b * F + t] > 0) want -= std::log(1.5);
          if (d.mask.ptr<double>()[b * F + t] > 0) want -= 3 * std::abs(d.x.ptr<double>()[b * F + t]);
        }
        CHECK(std::abs(drawn.summary.ptr<double>()[3 * b] - want) < .1);
      }
    }
  }
}

TEST_CASE("one-shot draws: q is the product of the single conditionals") {
  Context ctx;
  const EmshapModel m = model(linear_energy());
  const Data d(8);
  SamplingOptions o = sampling(4000);
  o.mode = DrawMode::one_shot;
  const DensityScores s = m.log_density(ctx, d.query(), o, true);
  const GaussianBase g = base();
  double want = 0, log_z = 0;  // row 0 knows nothing: independent features
  for (std::size_t t = 0; t < 3; ++t) {
    const double x = d.x.ptr<double>()[t] - g.mean[t], v = g.covariance[t * 4];
    want += -.5 * (x * x / v + std::log(2 * std::acos(-1.) * v));
    const double a = tilt[static_cast<Eigen::Index>(t)];
    log_z += -a * g.mean[t] + .5 * a * a * v;
  }
  CHECK(s.log_q[0] == doctest::Approx(want).epsilon(1e-10));
  CHECK(std::abs(s.log_z[0] - log_z) < .01);
}

TEST_CASE("probabilities of categories sum to 1, with the energy too") {
  Context ctx;
  FeatureLayout layout = FeatureLayout::numeric(F);
  layout.categories = {0, 4, 0};
  layout.values = {-3, -1, 0, 2};
  layout.frequencies = {.1, .4, .3, .2};
  const EmshapModel m = model(linear_energy(), true, layout);
  double total = 0, mean = 0;
  for (std::int32_t v = 0; v < 4; ++v) {
    const double value = layout.values[static_cast<std::size_t>(v)];
    const Tensor x = Tensor::from(std::vector<double>{.7, value, -.4}, {1, F});
    const Tensor mask = Tensor::from(std::vector<double>{1, 0, 1}, {1, F});
    const Tensor code = Tensor::from(std::vector<std::int32_t>{-1, v, -1}, {1, F});
    const ModelQuery query{.rows = {.x = x, .code = code}, .mask = mask, .target = {}, .numbers = {}};
    const DensityScores s = m.log_density(ctx, query, sampling(4096), true);
    total += std::exp(s.log_density[0]);
    mean += std::exp(s.log_density[0]) * value;
    if (v < 3) continue;
    ConditionalMoments moments;
    m.moments(ctx, query, sampling(4096), moments);
    CHECK(std::abs(moments.mean.ptr<double>()[1] - mean) < .01);
    m.proposal_moments(ctx, query, moments);
    CHECK(moments.mean.ptr<double>()[0] == .7);
    CHECK(std::abs(moments.mean.ptr<double>()[1]) < 3);
    CHECK(moments.sd.ptr<double>()[1] > .1);
  }
  CHECK(std::abs(total - 1) < .01);
}

TEST_CASE("parts that do not fit and queries of the wrong shape are refused") {
  Context ctx;
  auto wide = std::make_unique<EnergyNetwork>(EnergyNetworkOptions{.features = 4, .context = 1}, DType::f64);
  CHECK_THROWS_AS(model(std::move(wide)), ConfigError);
  auto other_type =
      std::make_unique<EnergyNetwork>(EnergyNetworkOptions{.features = F, .context = 1}, DType::f32);
  CHECK_THROWS_AS(model(std::move(other_type)), ConfigError);
  const EmshapModel m = model(linear_energy());
  const Data d(4);
  CHECK_THROWS_AS(m.log_density(ctx, d.query(), sampling(0), true), ConfigError);
  ModelQuery query = d.query();
  query.mask = query.mask.rows(0, 3);
  CHECK_THROWS_AS(m.energies(ctx, query), ShapeError);
  query = d.query();
  query.numbers = std::span(d.numbers).first(2);
  CHECK_THROWS_AS(m.energies(ctx, query), ShapeError);
}

TEST_CASE("draws by given noise are those of the same numbers, weights included") {
  Context ctx;
  const std::int64_t K = 40;
  for (const bool missing : {false, true})
    for (const EnergyForm form : {EnergyForm::residual, EnergyForm::absolute}) {
      const Data d(16, missing);
      const ModelQuery query = d.query(missing);
      std::unique_ptr<EnergyNetwork> net = linear_energy();
      if (form == EnergyForm::absolute)
        net = std::make_unique<EnergyNetwork>(EnergyNetworkOptions{.features = F, .context = 1, .form = form},
                                              DType::f64);
      EmshapModel m = model(std::move(net));
      WeightedDraws want, got;
      m.draw(ctx, query, sampling(K), want);
      Tensor noise({16 * K, F}, DType::f64);
      ops::fill_draw_noise(ctx, DrawNoise::sobol, sampling(K).key, d.numbers, 0, K, noise);
      const std::vector<std::int64_t> ascending = {0, 1, 2}, turned = {2, 0, 1};
      m.draw(ctx, query, {.draws = K, .uniforms = noise, .order = ascending}, got);
      check_same_bits("x", to_doubles(got.draws.x), to_doubles(want.draws.x));
      check_same_bits("energy", to_doubles(got.energy), to_doubles(want.energy));
      check_close("weights", to_doubles(got.weights), to_doubles(want.weights), {1e-12, 1e-12});
      CHECK_THROWS_AS(m.draw(ctx, query, {.draws = K, .uniforms = noise, .order = turned}, got), ConfigError);
      m.use_energy(false);
      m.draw(ctx, query, {.draws = K, .uniforms = noise, .order = turned}, got);
      CHECK(got.energy.elements() == 0);
      for (const double w : to_doubles(got.weights)) CHECK(w == 1. / K);
      m.draw(ctx, query, {.draws = K, .uniforms = noise, .order = {}}, got);
      check_same_bits("x", to_doubles(got.draws.x), to_doubles(want.draws.x));
    }
}
