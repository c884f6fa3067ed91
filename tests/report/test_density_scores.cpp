// Scores of single conditionals against closed forms.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "density_fixture.h"
#include "emshap/core/error.h"
#include "report/forecast.h"

using namespace emshap;
using namespace emshap::report;
using namespace emshap::test;

namespace {

FeatureSpaceOptions plain() {
  FeatureSpaceOptions options;
  options.transform = FeatureTransform::standardise;
  options.ties = false;
  options.max_categories = 0;
  options.range_margin = 5;  // so wide that clamping does not matter
  return options;
}

Tensor ones(std::int64_t rows, std::int64_t features) {
  Tensor out({rows, features});
  for (std::int64_t i = 0; i < rows * features; ++i) out.ptr<float>()[i] = 1;
  return out;
}

/// log N(z; 0, equicorrelation) of n values with sum and sum of squares.
double log_normal(int n, double sum, double squares, double rho) {
  if (n == 0) return 0;
  const double log_det = (n - 1) * std::log(1 - rho) + std::log(1 + (n - 1) * rho);
  const double form = (squares - rho / (1 + (n - 1) * rho) * sum * sum) / (1 - rho);
  return -.5 * (n * std::log(2 * M_PI) + log_det + form);
}

}  // namespace

TEST_CASE("a Gaussian's log-likelihood is the conditional density in closed form, in training sd") {
  constexpr std::int64_t rows = 200, features = 4;
  constexpr double rho = .6;
  const Tensor raw = gaussian_rows(rows, features, rho, 1, 30, 1000);
  const FeatureSpace space = fit_space(raw, plain());
  const MaskedRows pairs = uniform_masks(ones(rows, features), 3, 5);
  TeamPool pool(2);
  const ConditionalScores scores =
      score_conditionals(space, *gaussian_proposal(features, rho), raw, pairs, {}, pool);
  CHECK(scores.rows == rows);
  CHECK(scores.pairs == 3 * rows);
  Tensor z({rows, features}, DType::f64);
  space.to_model(raw, z, Tensor({rows, features}, DType::f64), Tensor({rows, features}, DType::i32));
  double total = 0, targets = 0;
  for (std::int64_t p = 0; p < pairs.pairs(); ++p) {
    double sum = 0, squares = 0, known_sum = 0, known_squares = 0;
    int known = 0;
    for (std::int64_t t = 0; t < features; ++t) {
      const double value = z.ptr<double>()[pairs.row[static_cast<std::size_t>(p)] * features + t];
      sum += value;
      squares += value * value;
      if (pairs.mask.ptr<float>()[p * features + t] == 0) continue;
      ++known;
      known_sum += value;
      known_squares += value * value;
    }
    const double exact =
        log_normal(features, sum, squares, rho) - log_normal(known, known_sum, known_squares, rho);
    CHECK(scores.pair_log_likelihood[static_cast<std::size_t>(p)] == doctest::Approx(exact).epsilon(1e-6));
    CHECK(scores.pair_size[static_cast<std::size_t>(p)] == known);
    total += exact;
    targets += features - known;
  }
  CHECK(scores.log_likelihood.value == doctest::Approx(total / targets).epsilon(1e-6));
  CHECK(scores.targets == static_cast<std::int64_t>(targets));
  double by_size = 0, by_feature = 0;
  for (const SizeScore& s : scores.by_size)
    by_size += s.log_likelihood.value * static_cast<double>(s.targets);
  for (const FeatureScore& f : scores.features)
    by_feature += f.log_likelihood * static_cast<double>(f.targets);
  CHECK(by_size == doctest::Approx(total).epsilon(1e-6));
  CHECK(by_feature == doctest::Approx(total).epsilon(1e-6));
  CHECK(scores.by_size.size() == features);
}

TEST_CASE("a calibrated Gaussian: CRPS, error, transform and coverage") {
  constexpr std::int64_t rows = 3000;
  constexpr double rho = .8;
  const Tensor raw = gaussian_rows(rows, 2, rho, 2, .01);
  const FeatureSpace space = fit_space(raw, plain());
  const MaskedRows pairs = uniform_masks(ones(rows, 2), 2, 6);
  TeamPool pool(2);
  const ConditionalScores scores =
      score_conditionals(space, *gaussian_proposal(2, rho), raw, pairs, {}, pool);
  Tensor z({rows, 2}, DType::f64);
  space.to_model(raw, z, Tensor({rows, 2}, DType::f64), Tensor({rows, 2}, DType::i32));
  double crps = 0, square = 0;
  for (std::int64_t p = 0; p < pairs.pairs(); ++p) {
    const double* x = z.ptr<double>() + pairs.row[static_cast<std::size_t>(p)] * 2;
    double exact = 0;
    for (int t = 0; t < 2; ++t) {
      if (pairs.mask.ptr<float>()[p * 2 + t] != 0) continue;
      const bool other = pairs.mask.ptr<float>()[p * 2 + 1 - t] != 0;
      const double mean = other ? rho * x[1 - t] : 0, sd = other ? std::sqrt(1 - rho * rho) : 1;
      exact += normal_crps(mean, sd, x[t]);
      square += (mean - x[t]) * (mean - x[t]);
    }
    CHECK(scores.pair_crps[static_cast<std::size_t>(p)] == doctest::Approx(exact).epsilon(2e-3));
    crps += exact;
  }
  const auto targets = static_cast<double>(scores.targets);
  CHECK(scores.crps.value == doctest::Approx(crps / targets).epsilon(1e-3));
  CHECK(scores.nrmse == doctest::Approx(std::sqrt(square / targets)).epsilon(1e-3));
  for (std::size_t level = 0; level < 3; ++level) {
    const double nominal = coverage_levels[level];
    CHECK(std::abs(scores.coverage[level] - nominal) < 4 * std::sqrt(nominal * (1 - nominal) * 2 / targets));
  }
  std::vector<double> bins(10, 0);
  REQUIRE(scores.pit.size() == static_cast<std::size_t>(scores.targets));
  for (const double u : scores.pit) ++bins[static_cast<std::size_t>(std::min(9., 10 * u))];
  double chi = 0;
  for (const double count : bins) chi += (count - targets / 10) * (count - targets / 10) / (targets / 10);
  CHECK(chi < 50);  // two features of a pair are dependent: wider than the 28 of independent values
}

TEST_CASE("an overconfident Gaussian is found out") {
  const Tensor raw = gaussian_rows(1000, 2, .01, 3);
  const FeatureSpace space = fit_space(raw, plain());
  const MaskedRows pairs = uniform_masks(ones(1000, 2), 1, 6);
  TeamPool pool(1);
  const ConditionalScores good = score_conditionals(space, *gaussian_proposal(2, .01), raw, pairs, {}, pool);
  const ConditionalScores bad = score_conditionals(space, *gaussian_proposal(2, .95), raw, pairs, {}, pool);
  CHECK(bad.log_likelihood.value < good.log_likelihood.value - .3);
  CHECK(bad.crps.value > good.crps.value);
  CHECK(bad.coverage[1] < .7);
}

TEST_CASE("on a grid the probabilities of all values add up to 1") {
  // Values k / 2, k = -12..12, of which the middle ones occur more often.
  Tensor raw({2000, 2});
  Tensor normal = gaussian_rows(2000, 2, .5, 4, 2);
  for (std::int64_t i = 0; i < 4000; ++i)
    raw.ptr<float>()[i] = std::clamp(std::round(normal.ptr<float>()[i] * 2) / 2, -6.f, 6.f);
  for (std::int64_t k = 0; k < 25; ++k) raw.ptr<float>()[2 * k] = -6 + .5f * static_cast<float>(k);
  FeatureSpaceOptions options = plain();
  options.ties = true;
  for (const FeatureTransform transform : {FeatureTransform::standardise, FeatureTransform::quantile}) {
    options.transform = transform;
    const FeatureSpace space = fit_space(raw, options);
    REQUIRE(space.columns()[0].kind == FeatureKind::tied);
    REQUIRE(space.columns()[0].values.size() == 25);
    // Outcomes: every value of the first column, the second one known.
    Tensor rows({25, 2}), mask({25, 2});
    std::vector<std::int64_t> numbers;
    for (std::int64_t k = 0; k < 25; ++k) {
      numbers.push_back(k);
      rows.ptr<float>()[2 * k] = -6 + .5f * static_cast<float>(k);
      rows.ptr<float>()[2 * k + 1] = .5f;
      mask.ptr<float>()[2 * k] = 0;
      mask.ptr<float>()[2 * k + 1] = 1;
    }
    TeamPool pool(1);
    const auto proposal = gaussian_proposal(2, .5);
    const ConditionalScores scores =
        score_conditionals(space, *proposal, rows, {numbers, mask.clone()}, {}, pool);
    double sum = 0;
    std::vector<double> probability;
    for (std::int64_t k = 0; k < 25; ++k) {
      const double width = .5 / space.columns()[0].sd;
      probability.push_back(std::exp(scores.pair_log_likelihood[static_cast<std::size_t>(k)]) * width);
      sum += probability.back();
    }
    CHECK(sum == doctest::Approx(1).epsilon(2e-3));  // little lies beyond the outermost tiles

    // The other scores are those of the distribution on the grid.
    for (std::int64_t k = 0; k < 25; ++k) {
      double distance = 0, spread = 0;
      for (std::size_t i = 0; i < 25; ++i) {
        distance += probability[i] / sum * std::abs(static_cast<double>(i) - static_cast<double>(k)) * .5;
        for (std::size_t j = 0; j < 25; ++j)
          spread += probability[i] * probability[j] / (sum * sum) *
                    std::abs(static_cast<double>(i) - static_cast<double>(j)) * .5;
      }
      CHECK(scores.pair_crps[static_cast<std::size_t>(k)] * space.columns()[0].sd ==
            doctest::Approx(distance - .5 * spread).epsilon(5e-3));
    }
    // The transform lies inside the value's own step, at a place that the seed decides.
    const ConditionalScores other =
        score_conditionals(space, *proposal, rows, {numbers, mask.clone()}, {"model", 43, {}}, pool);
    double before = 0;
    for (std::size_t k = 0; k < 25; ++k) {
      CHECK(scores.pit[k] > before - 1e-3);
      before += probability[k];
      CHECK(scores.pit[k] < before + 1e-3);
    }
    CHECK(scores.pit != other.pit);
    CHECK(scores.pair_crps == other.pair_crps);
  }
}

TEST_CASE("a categorical column by hand") {
  // Three values 0, 1, 4 with probabilities .2, .5, .3.
  Tensor raw({300, 2});
  for (std::int64_t r = 0; r < 300; ++r) {
    raw.ptr<float>()[2 * r] = r % 3 == 0 ? 0.f : (r % 3 == 1 ? 1.f : 4.f);
    raw.ptr<float>()[2 * r + 1] = std::sin(static_cast<float>(r));
  }
  FeatureSpaceOptions options = plain();
  options.ties = true;
  options.max_categories = 64;
  const FeatureSpace space = fit_space(raw, options);
  const FeatureColumn& column = space.columns()[0];
  REQUIRE(column.kind == FeatureKind::categorical);
  FeatureLayout layout;
  layout.categories = {3, 0};
  for (const double v : column.values) layout.values.push_back(space.tile(0, v).left);
  layout.frequencies = {1 / 3., 1 / 3., 1 / 3.};
  const std::vector<double> p{.2, .5, .3};
  const ConstantProposal proposal(layout, {0, 0, 0}, {std::log(p[0]), std::log(p[1]), std::log(p[2])});
  const Tensor rows = Tensor::from<float>({0, .5, 1, .5, 4, .5}, {3, 2}),
               mask = Tensor::from<float>({0, 1, 0, 1, 0, 1}, {3, 2});
  TeamPool pool(1);
  const ConditionalScores scores =
      score_conditionals(space, proposal, rows, {{0, 1, 2}, mask.clone()}, {}, pool);
  const double mean = .5 * 1 + .3 * 4, values[] = {0, 1, 4};
  double sum = 0, squares = 0;
  for (std::size_t k = 0; k < 3; ++k) {
    const double width = (column.right[k] - column.left[k]) / column.sd;
    sum += std::exp(scores.pair_log_likelihood[k]) * width;
    CHECK(std::exp(scores.pair_log_likelihood[k]) * width == doctest::Approx(p[k]));
    double crps = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      crps += p[i] * std::abs(values[i] - values[k]);
      for (std::size_t j = 0; j < 3; ++j) crps -= .5 * p[i] * p[j] * std::abs(values[i] - values[j]);
    }
    CHECK(scores.pair_crps[k] * column.sd == doctest::Approx(crps));
    squares += (values[k] - mean) * (values[k] - mean);
  }
  CHECK(sum == doctest::Approx(1));
  CHECK(scores.nrmse * column.sd == doctest::Approx(std::sqrt(squares / 3)));
  CHECK(scores.pit[0] < .2);
  CHECK(scores.pit[1] > .2);
  CHECK(scores.pit[1] < .7);
  CHECK(scores.pit[2] > .7);
  CHECK(scores.context_width == 2);
  CHECK(scores.constant_context == 1);
  CHECK(scores.features[1].targets == 0);
}

TEST_CASE("through a curved transform CRPS and mean are those of the raw distribution") {
  Tensor raw = gaussian_rows(2000, 1, .5, 8);
  for (std::int64_t r = 0; r < 2000; ++r) raw.ptr<float>()[r] = std::exp(1.5f * raw.ptr<float>()[r]);
  FeatureSpaceOptions options = plain();
  options.transform = FeatureTransform::quantile;
  options.range_margin = .1;
  const FeatureSpace space = fit_space(raw, options);
  const FeatureColumn& column = space.columns()[0];
  const ColumnForecast forecast(space, 0);
  for (const auto& [means, sds] : {std::pair{std::vector<double>{.4, .4}, std::vector<double>{.5, .5}},
                                   std::pair{std::vector<double>{-1.5, 2}, std::vector<double>{.05, .8}}}) {
    const Marginal q = Marginal::mixture(std::vector<double>{0, 0}, means,
                                         std::vector<double>{std::log(sds[0]), std::log(sds[1])});
    // Mid-quantiles, clamped as draws are.
    constexpr int count = 20000;
    std::vector<double> sample;
    const double margin = .1 * (column.high - column.low);
    double mean = 0;
    for (int i = 0; i < count; ++i) {
      sample.push_back(std::clamp(space.to_raw(0, q.quantile((i + .5) / count)), column.low - margin,
                                  column.high + margin));
      mean += sample.back() / count;
    }
    for (const double outcome : {.02, .7, 1.4, 9., 60.}) {
      const ForecastScore score = forecast.score(q, outcome, .5);
      CHECK(score.crps * column.sd ==
            doctest::Approx(crps_of_sample(sample, {}, outcome)).epsilon(3e-3).scale(0.01));
      CHECK(score.error * column.sd + outcome == doctest::Approx(mean).epsilon(3e-3));
    }
    // An outcome beyond the range adds its distance.
    const double far = column.high + margin + 10;
    CHECK((forecast.score(q, far, .5).crps - forecast.score(q, far - 5, .5).crps) * column.sd ==
          doctest::Approx(5));
  }
}

TEST_CASE("independence: scores of the training rows' own distribution") {
  const Tensor train = Tensor::from<float>({1, 2, 2, 5}, {4, 1}), raw = Tensor::from<float>({2, 7}, {2, 1});
  FeatureSpaceOptions options = plain();
  options.ties = true;
  const FeatureSpace space = fit_space(train, options);
  const Tensor mask = Tensor::from<float>({0, 0}, {2, 1});
  const ConditionalScores scores = score_independence(space, train, raw, {{0, 1}, mask.clone()}, {});
  const double sd = space.columns()[0].sd;
  // E|X - x| - E|X - X'| / 2 by counting.
  const double spread = (2 * (1 + 1 + 4 + 0 + 3 + 3)) / 16. / 2;
  CHECK(scores.pair_crps[0] * sd == doctest::Approx((1 + 0 + 0 + 3) / 4. - spread));
  CHECK(scores.pair_crps[1] * sd == doctest::Approx((6 + 5 + 5 + 2) / 4. - spread));
  CHECK(scores.nrmse * sd == doctest::Approx(std::sqrt((.5 * .5 + 4.5 * 4.5) / 2)));
  CHECK(scores.pit[0] > .25);
  CHECK(scores.pit[0] < .75);
  CHECK(scores.pit[1] == 1);
  CHECK(std::isnan(scores.log_likelihood.value));
}

TEST_CASE("missing values are unknown and not scored; threads do not change a bit") {
  Tensor raw = gaussian_rows(300, 3, .5, 9);
  for (std::int64_t r = 0; r < 300; r += 3) raw.ptr<float>()[3 * r + 1] = std::nanf("");
  const FeatureSpace space = fit_space(raw, plain());
  const auto proposal = gaussian_proposal(3, .5);
  Tensor all({300, 3});
  for (std::int64_t i = 0; i < 900; ++i) all.ptr<float>()[i] = i % 3 == 0 ? 1.f : 0.f;
  std::vector<std::int64_t> numbers(300);
  std::iota(numbers.begin(), numbers.end(), 0);
  const MaskedRows pairs{numbers, all.clone()};
  TeamPool one(1), three(3);
  const ConditionalScores a = score_conditionals(space, *proposal, raw, pairs, {}, one),
                          b = score_conditionals(space, *proposal, raw, pairs, {}, three);
  CHECK(a.targets == 500);
  CHECK(a.features[0].targets == 0);
  CHECK(a.features[1].targets == 200);
  CHECK(a.features[2].targets == 300);
  CHECK(a.pair_log_likelihood == b.pair_log_likelihood);
  CHECK(a.pair_crps == b.pair_crps);
  CHECK(a.pit == b.pit);
  CHECK(a.log_likelihood.standard_error == b.log_likelihood.standard_error);
  // Rows that are copies of each other tell as much as one when they form a cluster.
  ScoringOptions clustered;
  for (std::int64_t r = 0; r < 300; ++r) clustered.cluster.push_back(r / 3);
  CHECK(score_conditionals(space, *proposal, raw, pairs, clustered, one).log_likelihood.standard_error !=
        a.log_likelihood.standard_error);

  CHECK_THROWS_AS(score_conditionals(space, *gaussian_proposal(2, .5), raw, pairs, {}, one), ShapeError);
  CHECK_THROWS_AS(score_conditionals(space, *proposal, raw, {{300}, Tensor::zeros({1, 3})}, {}, one),
                  ShapeError);
  CHECK_THROWS_AS(score_conditionals(space, *proposal, raw, {{3}, Tensor::zeros({1, 2})}, {}, one),
                  ShapeError);
  const ConditionalScores none = score_conditionals(space, *proposal, raw, {{}, Tensor({0, 3})}, {}, one);
  CHECK(none.targets == 0);
  CHECK(std::isnan(none.crps.value));
}
