// gaussian and copula from rows to values, and baselines by name.
#include <doctest/doctest.h>

#include "emshap/core/error.h"
#include "emshap/explain/baseline_values.h"
#include "support/closed_forms.h"
#include "value_support.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr float missing = std::numeric_limits<float>::quiet_NaN();

Gaussian three_features() {
  Gaussian g{Vector(3), power_correlation(3, .8)};
  g.mean << .3, -.2, .1;
  return g;
}

Tensor sample(const Gaussian& g, std::int64_t rows, std::uint64_t seed) {
  Tensor out({rows, g.mean.size()});
  for (std::int64_t r = 0; r < rows; ++r) {
    Generator random({seed, RandomPurpose::test}, static_cast<std::uint64_t>(r));
    const Vector x = g.draw(random);
    for (Eigen::Index c = 0; c < x.size(); ++c) out.ptr<float>()[r * x.size() + c] = static_cast<float>(x(c));
  }
  return out;
}

/// e^x, x^3, and as it is.
float stretch(std::int64_t column, float z) {
  return column == 0 ? std::exp(z) : column == 1 ? z * z * z : z;
}
float shrink(std::int64_t column, float x) {
  return column == 0 ? std::log(x) : column == 1 ? std::cbrt(x) : x;
}

Tensor stretched(const Tensor& z) {
  Tensor out = z.clone();
  for (std::int64_t i = 0; i < z.elements(); ++i)
    out.ptr<float>()[i] = stretch(i % z.cols(), z.ptr<float>()[i]);
  return out;
}

BaselineOptions draws(std::int64_t count) {
  BaselineOptions options;
  options.drawn.draws = count;
  return options;
}

/// Mean absolute error over inner masks of values of z1 z2 + cos z3.
double error_against(const CoalitionValues& v, const Gaussian& g, const Tensor& z, const Tensor& masks) {
  double sum = 0;
  for (std::int64_t b = 0; b < z.rows(); ++b)
    for (std::int64_t c = 1; c + 1 < masks.rows(); ++c) {
      std::vector<std::uint8_t> known;
      for (std::int64_t j = 0; j < 3; ++j) known.push_back(masks.ptr<float>()[c * 3 + j] > .5f ? 1 : 0);
      const Gaussian given = g.given(known, to_vector(std::span<const float>(z.ptr<float>() + b * 3, 3)));
      sum += std::abs(v.value.ptr<double>()[b * masks.rows() + c] - expected_product(given, 0, 1) -
                      expected_cos(given, 2));
    }
  return sum / static_cast<double>(z.rows() * (masks.rows() - 2));
}

double of_z(const float* z) {
  return z[0] * z[1] + std::cos(z[2]);
}
double of_x(const float* x) {
  const float z[3] = {shrink(0, x[0]), shrink(1, x[1]), x[2]};
  return of_z(z);
}

}  // namespace

TEST_CASE("gaussian fits Gaussian rows, the copula fits whatever they are stretched to") {
  const Gaussian g = three_features();
  const Tensor z = sample(g, 4000, 1), explicands = sample(g, 12, 2), masks = all_masks(3);
  const Tensor x = stretched(z), stretched_explicands = stretched(explicands);
  const CallablePredictor plain = predictor(3, of_z), through = predictor(3, of_x);
  const auto error = [&](const char* method, bool stretch_rows) {
    const FittedBaseline baseline =
        make_baseline(method, letters(3), stretch_rows ? x : z, stretch_rows ? through : plain, draws(512));
    CHECK(baseline.values->name() == method);
    CHECK(baseline.notes.empty());
    REQUIRE(baseline.density != nullptr);
    return error_against(
        values_of(*baseline.values, stretch_rows ? stretched_explicands : explicands, masks, 2), g,
        explicands, masks);
  };
  const double gaussian = error("gaussian", false), copula = error("copula", false),
               copula_stretched = error("copula", true);
  CHECK(gaussian < .03);
  CHECK(copula < .03);
  CHECK(copula_stretched < .03);
  // f takes the logarithm of the first column: a Gaussian would draw what it cannot take. Where f can take
  // everything, the Gaussian of stretched columns is far off.
  const CallablePredictor cubic =
      predictor(3, [](const float* row) { return std::cbrt(row[1]) * row[2] + std::cos(row[2]); });
  const auto v_of = [&](const char* method) {
    const FittedBaseline baseline = make_baseline(method, letters(3), x, cubic, draws(512));
    const CoalitionValues v = values_of(*baseline.values, stretched_explicands, masks);
    double sum = 0;
    for (std::int64_t b = 0; b < 12; ++b) {  // only the first column known: mask 1
      const Gaussian given = g.given(std::vector<std::uint8_t>{1, 0, 0},
                                     to_vector(std::span<const float>(explicands.ptr<float>() + b * 3, 3)));
      sum +=
          std::abs(v.value.ptr<double>()[b * 8 + 1] - expected_product(given, 1, 2) - expected_cos(given, 2));
    }
    return sum / 12;
  };
  CHECK(v_of("copula") < .05);
  CHECK(v_of("gaussian") > 2 * v_of("copula"));
}

TEST_CASE("values of fitted baselines do not depend on threads or cuts") {
  const Gaussian g = three_features();
  const Tensor z = sample(g, 300, 1), explicands = sample(g, 9, 2);
  const CallablePredictor f = predictor(3, of_z);
  for (const std::string& method : baseline_names()) {
    CAPTURE(method);
    BaselineOptions options = draws(32);
    CHECK(independent_of_cuts(*make_baseline(method, letters(3), z, f, options).values, explicands,
                              all_masks(3)));
    options.drawn.noise = ValueNoise::independent;
    CHECK(independent_of_cuts(*make_baseline(method, letters(3), z, f, options).values, explicands,
                              all_masks(3)));
  }
}

TEST_CASE("missing values in training rows and explicands") {
  const Gaussian g = three_features();
  Tensor z = sample(g, 400, 1);
  for (std::int64_t r = 0; r < 400; r += 4) z.ptr<float>()[3 * r + r / 4 % 3] = missing;
  const Tensor row = rows_of({{.5f, missing, 1}, {.5f, 1, 1}});
  const CallablePredictor f = predictor(3, of_z);
  for (const std::string& method : baseline_names()) {
    CAPTURE(method);
    const FittedBaseline baseline = make_baseline(method, letters(3), z, f, draws(64));
    const CoalitionValues v = values_of(*baseline.values, row, masks_of({{1, 1, 1}, {1, 0, 1}}));
    const double* value = v.value.ptr<double>();
    CHECK(value[0] == value[1]);
    CHECK(value[0] == value[3]);
    CHECK(value[2] == doctest::Approx(of_z(row.ptr<float>() + 3)));
    const bool drawn = method == "gaussian" || method == "copula";
    CHECK(baseline.notes.empty() == drawn);
    if (!drawn)
      CHECK(baseline.notes.front().find("100 of 400 training rows lack values") != std::string::npos);
  }
  // Where training lacks nothing, a baseline still takes explicands that do.
  const Tensor whole = sample(g, 50, 3);
  for (const std::string& method : baseline_names())
    CHECK_NOTHROW(
        values_of(*make_baseline(method, letters(3), whole, f, draws(8)).values, row, all_masks(3)));
}

TEST_CASE("baselines may be moved about") {
  const Tensor z = sample(three_features(), 50, 1), row = sample(three_features(), 2, 4),
               masks = all_masks(3);
  const CallablePredictor f = predictor(3, of_z);
  FittedBaseline a = make_baseline("gaussian", letters(3), z, f, draws(16));
  const CoalitionValues before = values_of(*a.values, row, masks);
  std::vector<FittedBaseline> all;
  all.push_back(std::move(a));
  for (const std::string& method : baseline_names())
    all.push_back(make_baseline(method, letters(3), z, f, draws(16)));
  CHECK(same_bits(before.value, values_of(*all.front().values, row, masks).value));
  std::swap(all[0], all[1]);
  CHECK(all[0].values->name() == "independence");
  all[0] = std::move(all[1]);
  CHECK(same_bits(before.value, values_of(*all[0].values, row, masks).value));
}

TEST_CASE("what make_baseline refuses") {
  const Tensor z = sample(three_features(), 50, 1);
  const CallablePredictor f = predictor(3, of_z), two = predictor(2, of_z);
  CHECK_THROWS_WITH_AS(make_baseline("shap", letters(3), z, f, {}),
                       doctest::Contains("independence, empirical, gaussian, copula"), ConfigError);
  for (const std::string& method : baseline_names()) {
    CAPTURE(method);
    CHECK_THROWS_WITH_AS(make_baseline(method, letters(3), {}, f, {}), doctest::Contains("--background"),
                         ConfigError);
    CHECK_THROWS_WITH_AS(make_baseline(method, letters(3), Tensor({0, 3}), f, {}),
                         doctest::Contains("--background"), ConfigError);
    CHECK_THROWS_AS(make_baseline(method, letters(2), z, f, {}), ConfigError);
    CHECK_THROWS_AS(make_baseline(method, letters(3), z, two, {}), ConfigError);
  }
}
