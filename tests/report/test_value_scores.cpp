// Scores that need draws: the energy, and conditional expectations of a predictor.
#include <doctest/doctest.h>

#include <cmath>

#include "density_fixture.h"
#include "emshap/core/error.h"
#include "emshap/layers/parameter_store.h"
#include "emshap/models/energy_network.h"
#include "emshap/report/value_scores.h"

using namespace emshap;
using namespace emshap::report;
using namespace emshap::test;

namespace {

FeatureSpaceOptions plain() {
  FeatureSpaceOptions options;
  options.transform = FeatureTransform::standardise;
  options.ties = false;
  options.max_categories = 0;
  return options;
}

Tensor ones(std::int64_t rows, std::int64_t features) {
  Tensor out({rows, features});
  for (std::int64_t i = 0; i < rows * features; ++i) out.ptr<float>()[i] = 1;
  return out;
}

/// An energy that is `value` everywhere, or one with random weights.
std::unique_ptr<EnergyNetwork> energy_network(std::int64_t features, std::int64_t context, bool constant) {
  EnergyNetworkOptions options;
  options.features = features;
  options.context = context;
  options.hidden = 8;
  auto energy = std::make_unique<EnergyNetwork>(options, DType::f64);
  ParameterStore& store = energy->store();
  double place = 0;
  for (const ParameterStore::Entry& entry : store.parameters()) {
    const ParameterId id = store.find(entry.name);
    std::vector<double> values = store.get(id);
    for (double& v : values) v = constant ? 0 : .4 * std::sin(1 + 3 * place++);
    if (constant && entry.name == "energy.output.bias") values.front() = 1.3;
    store.set(id, values);
  }
  return energy;
}

/// f(x) = sum_j (j + 1) x_j.
void additive(ConstTensorView raw, TensorView y) {
  for (std::int64_t r = 0; r < raw.rows(); ++r) {
    double sum = 0;
    for (std::int64_t c = 0; c < raw.cols(); ++c)
      sum += static_cast<double>(c + 1) * raw.ptr<float>()[r * raw.row_stride() + c];
    y.ptr<float>()[r] = static_cast<float>(sum);
  }
}

}  // namespace

TEST_CASE("an energy that is the same everywhere changes nothing") {
  const Tensor raw = gaussian_rows(60, 3, .5, 1);
  const FeatureSpace space = fit_space(raw, plain());
  const MaskedRows pairs = uniform_masks(ones(60, 3), 1, 2);
  TeamPool pool(2);
  auto proposal = gaussian_proposal(3, .5);
  const std::int64_t width = proposal->context_width();
  const EmshapModel model(std::move(proposal), energy_network(3, width, true), false);
  SamplingOptions sampling;
  sampling.draws = 50;
  const EnergyScores scores = score_energy(space, model, raw, pairs, sampling, {}, pool);
  const ConditionalScores alone = score_conditionals(space, model.proposal(), raw, pairs, {}, pool);
  CHECK(scores.pairs == 60);
  CHECK(scores.targets == alone.targets);
  CHECK(scores.proposal.value == doctest::Approx(alone.log_likelihood.value));
  CHECK(scores.full.value == doctest::Approx(alone.log_likelihood.value));
  CHECK(scores.full.standard_error == doctest::Approx(alone.log_likelihood.standard_error));
  CHECK(std::abs(scores.gain.value) < 1e-9);
  CHECK(scores.effective.min() == doctest::Approx(50));
  CHECK_FALSE(scores.used);
  const double g = 8 * std::tanh(1.3 / 8);
  for (const double energy : scores.data) CHECK(energy == doctest::Approx(g));
  for (const double energy : scores.drawn) CHECK(energy == doctest::Approx(g));

  const EmshapModel without(gaussian_proposal(3, .5), nullptr, false);
  CHECK_THROWS_AS(score_energy(space, without, raw, pairs, sampling, {}, pool), ConfigError);
}

TEST_CASE("a random energy: the weights are seen, more draws give the same likelihood") {
  const Tensor raw = gaussian_rows(40, 3, .5, 3);
  const FeatureSpace space = fit_space(raw, plain());
  const MaskedRows pairs = uniform_masks(ones(40, 3), 1, 2);
  TeamPool one(1), three(3);
  auto proposal = gaussian_proposal(3, .5);
  const std::int64_t width = proposal->context_width();
  const EmshapModel model(std::move(proposal), energy_network(3, width, false), true);
  SamplingOptions sampling;
  sampling.draws = 1024;
  const EnergyScores a = score_energy(space, model, raw, pairs, sampling, {}, one),
                     b = score_energy(space, model, raw, pairs, sampling, {}, three);
  CHECK(a.used);
  CHECK(a.full.value == b.full.value);
  CHECK(a.data == b.data);
  CHECK(a.drawn == b.drawn);
  CHECK(a.effective.mean() < 1024);
  CHECK(a.effective.mean() > 10);
  CHECK(std::abs(a.gain.value) > 1e-4);
  CHECK(a.gain.value == doctest::Approx(a.full.value - a.proposal.value));
  sampling.draws = 4096;
  CHECK(score_energy(space, model, raw, pairs, sampling, {}, one).full.value ==
        doctest::Approx(a.full.value).epsilon(.02));
}

TEST_CASE("MSEv of an additive predictor of independent features is known") {
  constexpr std::int64_t rows = 80, features = 3;
  const Tensor raw = gaussian_rows(rows, features, 0, 5, 2, 10);
  const FeatureSpace space = fit_space(raw, plain());
  const MaskedRows pairs = value_pairs(ones(rows, features), uniform_masks(ones(rows, features), 2, 2));
  REQUIRE(pairs.pairs() > 60);
  TeamPool pool(2);
  const EmshapModel model(gaussian_proposal(features, 0), nullptr, false);
  SamplingOptions sampling;
  sampling.draws = 512;
  const auto all = score_values(space, model, raw, pairs, additive, sampling, {}, pool);
  REQUIRE(all.size() == 1);
  const ValueScores& scores = all.front();
  // v(S, x) = sum_S a_j x_j + sum_U a_j mean_j: model space has mean 0, so raw the mean of the training rows.
  std::vector<double> mean(features, 0);
  for (std::int64_t i = 0; i < rows * features; ++i)
    mean[static_cast<std::size_t>(i % features)] += raw.ptr<float>()[i] / static_cast<double>(rows);
  double msev = 0;
  for (std::int64_t p = 0; p < pairs.pairs(); ++p) {
    double value = 0, truth = 0;
    for (std::int64_t t = 0; t < features; ++t) {
      const double x = raw.ptr<float>()[pairs.row[static_cast<std::size_t>(p)] * features + t];
      value += static_cast<double>(t + 1) *
               (pairs.mask.ptr<float>()[p * features + t] != 0 ? x : mean[static_cast<std::size_t>(t)]);
      truth += static_cast<double>(t + 1) * x;
    }
    CHECK(scores.pair_value[static_cast<std::size_t>(p)] == doctest::Approx(value).epsilon(.02));
    msev += (truth - value) * (truth - value) / static_cast<double>(pairs.pairs());
  }
  CHECK(scores.msev.value == doctest::Approx(msev).epsilon(.05));
  CHECK(scores.msev.standard_error > 0);
  CHECK(scores.clamped < .05);
  const Estimate same = paired_difference(scores, scores);
  CHECK(same.value == 0);
  CHECK(same.standard_error == 0);

  // Independence is right here, too; with a wrong correlation the values are worse, and significantly so.
  const ValueScores independent = score_independent_values(space, raw, raw, pairs, additive, 2048, {});
  CHECK(independent.msev.value == doctest::Approx(msev).epsilon(.1));
  const EmshapModel wrong(gaussian_proposal(features, .9), nullptr, false);
  const auto bad = score_values(space, wrong, raw, pairs, additive, sampling, {}, pool);
  const Estimate difference = paired_difference(bad.front(), scores);
  CHECK(difference.value > 2 * difference.standard_error);
  CHECK_THROWS_AS(score_values(space, model, raw, pairs, additive, {.draws = 0}, {}, pool), ConfigError);
}

TEST_CASE("values with an energy come with and without its weights") {
  const Tensor raw = gaussian_rows(30, 3, .3, 6);
  const FeatureSpace space = fit_space(raw, plain());
  const MaskedRows pairs = value_pairs(ones(30, 3), uniform_masks(ones(30, 3), 1, 2));
  TeamPool one(1), two(2);
  for (const bool constant : {true, false}) {
    auto proposal = gaussian_proposal(3, .3);
    const std::int64_t width = proposal->context_width();
    const EmshapModel model(std::move(proposal), energy_network(3, width, constant), false);
    SamplingOptions sampling;
    sampling.draws = 64;
    const auto a = score_values(space, model, raw, pairs, additive, sampling, {"ours", 42, {}}, one);
    const auto b = score_values(space, model, raw, pairs, additive, sampling, {"ours", 42, {}}, two);
    REQUIRE(a.size() == 2);
    CHECK(a[1].method == "ours + energy");
    CHECK(a[1].pair_value == b[1].pair_value);
    if (constant) {
      for (std::size_t p = 0; p < a[0].pair_value.size(); ++p)
        CHECK(a[1].pair_value[p] == doctest::Approx(a[0].pair_value[p]));
      CHECK(a[1].effective.min() == doctest::Approx(64));
    } else {
      CHECK(a[1].pair_value != a[0].pair_value);
      CHECK(a[1].effective.mean() < 64);
      CHECK(a[0].effective.mean() == 64);
    }
  }
}

TEST_CASE("pairs that can be compared with f(x)") {
  Tensor observed = ones(4, 3);
  observed.ptr<float>()[3] = 0;  // row 1 lacks a value
  const Tensor mask = Tensor::from<float>({1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1}, {4, 3});
  const MaskedRows pairs = value_pairs(observed, {{0, 1, 2, 3}, mask.clone()});
  CHECK(pairs.row == std::vector<std::int64_t>{0});
}

TEST_CASE("known values and dropped columns reach the predictor as they are") {
  // Column b never changes in training; c is tied.
  Tensor raw({60, 3});
  for (std::int64_t r = 0; r < 60; ++r) {
    raw.ptr<float>()[3 * r] = std::sin(static_cast<float>(r));
    raw.ptr<float>()[3 * r + 1] = 4;
    raw.ptr<float>()[3 * r + 2] = static_cast<float>(r % 7);
  }
  FeatureSpaceOptions options = plain();
  options.ties = true;
  const FeatureSpace space = fit_space(raw, options);
  REQUIRE(space.features() == 2);
  Tensor rows({1, 3});
  rows.ptr<float>()[0] = .25f;
  rows.ptr<float>()[1] = 9;  // another value than in training
  rows.ptr<float>()[2] = 3;
  const Tensor mask = Tensor::from<float>({1, 0}, {1, 2});
  const EmshapModel model(gaussian_proposal(2, .3), nullptr, false);
  TeamPool pool(1);
  SamplingOptions sampling;
  sampling.draws = 100;
  bool seen = false;
  const Predict look = [&](ConstTensorView x, TensorView y) {
    for (std::int64_t r = 0; r < x.rows(); ++r) {
      const float* row = x.ptr<float>() + r * x.row_stride();
      CHECK(row[0] == .25f);
      CHECK(row[1] == 9);
      CHECK(row[2] == std::round(row[2]));
      y.ptr<float>()[r] = row[2];
      seen = true;
    }
  };
  score_values(space, model, rows, {{0}, mask.clone()}, look, sampling, {}, pool);
  score_independent_values(space, raw, rows, {{0}, mask.clone()}, look, 20, {});
  CHECK(seen);
}
