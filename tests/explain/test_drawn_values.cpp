// Values of coalitions by draws: against closed forms, and the same bits whatever the cut.
#include "emshap/explain/drawn_values.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "core/memory.h"
#include "emshap/core/error.h"
#include "emshap/models/set_gru.h"
#include "emshap/ops/mlp_infer.h"
#include "emshap/train/fitted_emshap.h"
#include "report/density_fixture.h"
#include "support/compare.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

CallablePredictor linear(const std::vector<float>& beta) {
  return CallablePredictor(
      static_cast<std::int64_t>(beta.size()),
      [beta](ConstTensorView raw, TensorView y) {
        const auto D = static_cast<std::int64_t>(beta.size());
        for (std::int64_t r = 0; r < raw.rows(); ++r) {
          float sum = 0;
          for (std::int64_t c = 0; c < D; ++c)
            sum += beta[static_cast<std::size_t>(c)] * raw.ptr<float>()[r * raw.row_stride() + c];
          y.ptr<float>()[r * y.row_stride()] = sum;
        }
      },
      CallablePredictor::Calls::concurrent);
}

/// linear() for rows on a device.
class LinearOnDevice final : public Predictor {
 public:
  LinearOnDevice(const std::vector<float>& beta, Device device)
      : beta_(to_device(Tensor::from(beta, {static_cast<std::int64_t>(beta.size()), 1}), device)),
        zero_(to_device(Tensor::from<float>({0}, {1}), device)) {}
  std::int64_t inputs() const override { return beta_.rows(); }
  void predict(Context& ctx, ConstTensorView raw, TensorView y) const override {
    const ops::MlpLayer layer{beta_, zero_};
    ops::mlp_infer(ctx, {&layer, 1}, Activation::identity, raw, y);
  }

 private:
  Tensor beta_, zero_;
};

FeatureSpaceOptions standardised() {
  FeatureSpaceOptions options;
  options.transform = FeatureTransform::standardise;
  return options;
}

/// All 2^D coalitions.
Tensor all_masks(std::int64_t D) {
  Tensor masks({std::int64_t{1} << D, D});
  for (std::int64_t c = 0; c < masks.rows(); ++c)
    for (std::int64_t j = 0; j < D; ++j) masks.ptr<float>()[c * D + j] = (c >> j & 1) != 0 ? 1.f : 0.f;
  return masks;
}

/// Continuous, tied, categorical and constant columns, the first with missing values; a set-GRU with random
/// weights.
struct Mixed {
  Tensor raw = table_rows();
  FeatureSpace space = fit_space(raw, standardised());
  EmshapModel model = make(space);
  CallablePredictor f = linear({1, -2, .5f, 3, .25f});

  static Tensor table_rows() {
    Tensor rows = gaussian_rows(400, 5, .5, 7);
    for (std::int64_t r = 0; r < rows.rows(); ++r) {
      float* x = rows.ptr<float>() + r * 5;
      if (r % 9 == 4) x[0] = std::numeric_limits<float>::quiet_NaN();
      x[1] = std::round(40 * x[1]) / 40;
      x[2] = x[2] > 0 ? 1.f : x[2] > -1 ? 0.f : -1.f;
      x[3] = 2;
    }
    return rows;
  }
  static EmshapModel make(const FeatureSpace& space) {
    const std::int64_t F = space.features();
    FeatureLayout layout = FeatureLayout::numeric(F);
    for (std::int64_t t = 0; t < F; ++t) {
      const FeatureColumn& column = space.columns()[static_cast<std::size_t>(t)];
      if (column.kind != FeatureKind::categorical) continue;
      layout.categories[static_cast<std::size_t>(t)] = static_cast<std::int64_t>(column.values.size());
      for (const double v : column.values) layout.values.push_back(space.to_model(t, v));
      layout.frequencies = column.frequencies;
    }
    SetGruOptions options{.layout = layout, .base = equicorrelated(F, .5), .hidden = 24, .seed = 5};
    auto gru = std::make_unique<SetGru>(options);
    auto energy = std::make_unique<EnergyNetwork>(
        EnergyNetworkOptions{.features = F, .context = 24, .hidden = 32, .seed = 6});
    for (const char* name : {"energy.output.weight"}) {
      const ParameterId id = energy->store().find(name);
      std::vector<double> values = energy->store().get(id);
      for (double& v : values) v *= 60;
      energy->store().set(id, values);
    }
    return {std::move(gru), std::move(energy), true};
  }
};

void same(const CoalitionValues& a, std::int64_t b, std::int64_t c, const CoalitionValues& all,
          std::int64_t to_b, std::int64_t to_c) {
  const std::int64_t C = a.value.cols(), all_C = all.value.cols(), G = a.deviation.shape()[2];
  const std::int64_t from = b * C + c, to = to_b * all_C + to_c;
  CHECK(a.value.ptr<double>()[from] == all.value.ptr<double>()[to]);
  CHECK(a.effective.ptr<double>()[from] == all.effective.ptr<double>()[to]);
  for (std::int64_t g = 0; g < G; ++g)
    CHECK(a.deviation.ptr<double>()[from * G + g] == all.deviation.ptr<double>()[to * G + g]);
}

}  // namespace

TEST_SUITE("drawn values") {
  TEST_CASE("a linear function of Gaussian features has the conditional mean, in any order of generation") {
    constexpr std::int64_t D = 4;
    const double rho = .6, scale = 2, shift = 1;
    const Tensor training = gaussian_rows(4000, D, rho, 3, scale, shift);
    FeatureSpaceOptions wide = standardised();
    wide.range_margin = 10;
    const FeatureSpace space = fit_space(training, wide);
    const EmshapModel model(gaussian_proposal(D, rho), nullptr, false);
    const CallablePredictor f = linear({1, -2, .5f, 3});
    const Tensor raw = gaussian_rows(3, D, rho, 11, scale, shift);
    const Tensor masks = all_masks(D);
    TeamPool pool(2);
    for (const std::int64_t orders : {1, 4})
      for (const ValueNoise noise : {ValueNoise::sobol, ValueNoise::independent}) {
        const auto values =
            drawn_values("gaussian", space, model, f,
                         {.draws = 1024, .replicates = 8, .noise = noise, .orders = orders, .seed = 5});
        CoalitionValues out;
        values->evaluate(pool, {raw, {}}, masks, out);
        for (std::int64_t b = 0; b < 3; ++b)
          for (std::int64_t c = 0; c < masks.rows(); ++c) {
            const float *x = raw.ptr<float>() + b * D, *m = masks.ptr<float>() + c * D;
            double s = 0, sum = 0, truth = 0;
            const double beta[] = {1, -2, .5, 3};
            for (std::int64_t j = 0; j < D; ++j)
              if (m[j] > 0) {
                s += 1;
                sum += space.to_model(j, x[j]);
              }
            for (std::int64_t j = 0; j < D; ++j)
              truth += beta[j] * (m[j] > 0 ? static_cast<double>(x[j])
                                           : space.to_raw(j, rho / (1 + (s - 1) * rho) * sum));
            const std::int64_t at = b * masks.rows() + c;
            const double v = out.value.ptr<double>()[at];
            if (c == masks.rows() - 1) {
              CHECK(v == doctest::Approx(truth).epsilon(1e-6));
              CHECK(std::isinf(out.effective.ptr<double>()[at]));
              continue;
            }
            CHECK(std::abs(v - truth) < (noise == ValueNoise::sobol ? .06 : 1.2));
            CHECK(out.effective.ptr<double>()[at] == 1024);
            const double* d = out.deviation.ptr<double>() + at * out.deviation.shape()[2];
            if (noise == ValueNoise::independent) {
              CHECK(std::abs(v - truth) < 5 * d[0]);
            } else {
              CHECK(std::abs(std::accumulate(d, d + 8, 0.)) < 1e-10);
              CHECK(*std::max_element(d, d + 8) > 0);
            }
          }
        CHECK(out.drawn == 3 * 1024 * (D * 16 / 2));
      }
  }

  TEST_CASE("bits do not depend on threads nor on how rows and coalitions are cut into calls") {
    Mixed m;
    const Tensor masks = all_masks(5);
    const std::int64_t B = 7, C = masks.rows();
    const std::vector<std::int64_t> numbers = {40, 4, 8, 300, 13, 22, 5};
    Tensor rows({B, 5});
    for (std::int64_t b = 0; b < B; ++b)
      std::copy_n(m.raw.ptr<float>() + numbers[static_cast<std::size_t>(b)] * 5, 5,
                  rows.ptr<float>() + b * 5);
    for (const bool energy : {false, true})
      for (const EnergyForm form : {EnergyForm::residual, EnergyForm::absolute})
        for (const ValueNoise noise : {ValueNoise::sobol, ValueNoise::independent}) {
          if (!energy && form == EnergyForm::absolute) continue;
          CAPTURE(energy);
          if (form == EnergyForm::absolute)
            m.model = EmshapModel(
                std::make_unique<SetGru>(dynamic_cast<const SetGru&>(m.model.proposal()).options()),
                std::make_unique<EnergyNetwork>(EnergyNetworkOptions{
                    .features = 4, .context = 24, .form = EnergyForm::absolute, .hidden = 32}),
                true);
          m.model.use_energy(energy);
          const auto values = drawn_values("emshap", m.space, m.model, m.f,
                                           {.draws = 48, .replicates = 4, .noise = noise, .seed = 9});
          CoalitionValues all, part;
          TeamPool one(1), two(2);
          values->evaluate(one, {rows, numbers}, masks, all);
          for (std::int64_t i = 0; i < B * C; ++i) CHECK(std::isfinite(all.value.ptr<double>()[i]));
          values->evaluate(two, {rows, numbers}, masks, part);
          for (std::int64_t i = 0; i < B * C; ++i) same(part, i / C, i % C, all, i / C, i % C);
          CHECK(part.clamped == all.clamped);
          CHECK(part.drawn == all.drawn);
          for (std::int64_t b = 0; b < B; b += 3)
            for (std::int64_t c = 0; c < C; c += 5) {
              const std::int64_t n = std::min<std::int64_t>(2, B - b), k = std::min<std::int64_t>(3, C - c);
              values->evaluate(
                  two,
                  {rows.view().rows(b, n),
                   std::span(numbers).subspan(static_cast<std::size_t>(b), static_cast<std::size_t>(n))},
                  masks.view().rows(c, k), part);
              for (std::int64_t i = 0; i < n * k; ++i) same(part, i / k, i % k, all, b + i / k, c + i % k);
            }
        }
  }

  TEST_CASE("a copy of the model on a GPU gives the CPU's values") {
    Mixed m;
    const Tensor masks = all_masks(5);
    Tensor rows({6, 5});
    std::copy_n(m.raw.ptr<float>() + 40 * 5, rows.elements(), rows.ptr<float>());  // one lacks a value
    const std::int64_t n = rows.rows() * masks.rows();
    for (const Backend backend : backends()) {
      if (backend != Backend::cuda) continue;
      for (const bool energy : {false, true})
        for (const ValueNoise noise : {ValueNoise::sobol, ValueNoise::independent}) {
          CAPTURE(energy);
          m.model.use_energy(energy);
          const auto copy = copy_to_device(m.model, device_of(backend));
          const DrawnValueOptions options{.draws = 64, .replicates = 4, .noise = noise, .seed = 9};
          const auto here = drawn_values("emshap", m.space, m.model, m.f, options);
          const auto there = drawn_values("emshap", m.space, m.model, m.f, options, {.model = copy.get()});
          const LinearOnDevice f({1, -2, .5f, 3, .25f}, device_of(backend));
          const auto all_there =
              drawn_values("emshap", m.space, m.model, m.f, options, {.model = copy.get(), .f = &f});
          CoalitionValues expected, got, again, predicted, predicted_again;
          TeamPool one(1), two(2);
          here->evaluate(one, {rows, {}}, masks, expected);
          there->evaluate(one, {rows, {}}, masks, got);
          there->evaluate(two, {rows, {}}, masks, again);
          all_there->evaluate(one, {rows, {}}, masks, predicted);
          all_there->evaluate(two, {rows, {}}, masks, predicted_again);
          CHECK(predicted.drawn == got.drawn);
          CHECK(predicted.clamped == got.clamped);
          for (std::int64_t i = 0; i < n; ++i) {
            CHECK(predicted.value.ptr<double>()[i] ==
                  doctest::Approx(got.value.ptr<double>()[i]).epsilon(1e-5).scale(1));
            CHECK(predicted.value.ptr<double>()[i] == predicted_again.value.ptr<double>()[i]);
            CHECK(predicted.effective.ptr<double>()[i] == got.effective.ptr<double>()[i]);
          }
          std::int64_t apart = 0;  // a draw at the border of two components may fall into the other
          for (std::int64_t i = 0; i < n; ++i) {
            const double v = got.value.ptr<double>()[i], w = expected.value.ptr<double>()[i];
            CHECK(v == again.value.ptr<double>()[i]);
            CHECK(std::abs(v - w) < .2);
            apart += std::abs(v - w) > 1e-3 ? 1 : 0;
          }
          CHECK(apart <= n / 50);
        }
    }
  }

  TEST_CASE("known raw values and dropped columns reach the predictor as they are, draws lie on the grid") {
    Mixed m;
    std::set<float> second, third;
    std::atomic<int> wrong{0};
    const float* x = m.raw.ptr<float>() + 50 * 5;
    const CallablePredictor f(5, [&](ConstTensorView raw, TensorView y) {
      for (std::int64_t r = 0; r < raw.rows(); ++r) {
        const float* row = raw.ptr<float>() + r * raw.row_stride();
        if (row[0] != x[0] || row[3] != x[3] || row[4] != x[4]) ++wrong;
        second.insert(row[1]);
        third.insert(row[2]);
        y.ptr<float>()[r] = 1.5f;
      }
    });
    m.model.use_energy(false);
    const auto values = drawn_values("emshap", m.space, m.model, f, {.draws = 64, .replicates = 8});
    CHECK(values->columns() == m.space.input_names());
    CHECK(values->modelled() == std::vector<bool>{true, true, true, false, true});
    CHECK(values->replicates() == 8);
    CoalitionValues out;
    TeamPool pool(1);
    const Tensor mask = Tensor::from<float>({1, 0, 0, 0, 1}, {1, 5});
    values->evaluate(pool, {m.raw.view().rows(50, 1), {}}, mask, out);
    CHECK(wrong == 0);
    CHECK(out.value.ptr<double>()[0] == 1.5);
    for (std::int64_t g = 0; g < 8; ++g) CHECK(out.deviation.ptr<double>()[g] == 0);
    const auto on_grid = [&](std::size_t t, const std::set<float>& drawn) {
      const std::vector<double>& grid = m.space.columns()[t].values;
      for (const float v : drawn)
        CHECK(std::any_of(grid.begin(), grid.end(), [&](double g) { return static_cast<float>(g) == v; }));
    };
    CHECK(second.size() > 5);
    CHECK(third.size() > 1);
    on_grid(1, second);
    on_grid(2, third);
  }

  TEST_CASE("a row that lacks a value is explained as if it were never known") {
    Mixed m;
    m.model.use_energy(false);
    const auto values = drawn_values("emshap", m.space, m.model, m.f, {.draws = 32});
    const Tensor masks = Tensor::from<float>({1, 1, 1, 1, 1, 0, 1, 1, 1, 1}, {2, 5});
    CoalitionValues out;
    TeamPool pool(1);
    values->evaluate(pool, {m.raw.view().rows(4, 1), {}}, masks, out);
    CHECK(out.value.ptr<double>()[0] == out.value.ptr<double>()[1]);
    CHECK(out.effective.ptr<double>()[0] == 32);
    Tensor bad = Tensor::from<float>({1, 1, 1, 1, std::numeric_limits<float>::quiet_NaN()}, {1, 5});
    const std::vector<std::int64_t> number = {77};
    CHECK_THROWS_WITH_AS(
        values->evaluate(pool, {bad, number}, masks, out),
        "row 77, column 'e': the value is missing, expected a finite number since the training "
        "data never lack it",
        DataError);
    bad.ptr<float>()[4] = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS(values->evaluate(pool, {bad, number}, masks, out), DataError);
    bad.ptr<float>()[4] = 0;
    bad.ptr<float>()[3] = 2;  // the constant column
    CoalitionValues lacking;
    values->evaluate(pool, {bad, number}, masks, out);
    bad.ptr<float>()[3] = std::numeric_limits<float>::quiet_NaN();
    values->evaluate(pool, {bad, number}, masks, lacking);
    for (std::int64_t c = 0; c < 2; ++c) CHECK(lacking.value.ptr<double>()[c] == out.value.ptr<double>()[c]);
  }

  TEST_CASE("a value beyond the energy's numbers is an error, not a value that is no number") {
    Mixed m;
    const CallablePredictor f(
        5, [](ConstTensorView raw, TensorView y) { std::fill_n(y.ptr<float>(), raw.rows(), 1.f); });
    const auto values = drawn_values("emshap", m.space, m.model, f, {.draws = 32});
    const std::vector<std::int64_t> number = {77};
    const Tensor row = Tensor::from<float>({.1f, .2f, 1, 2, -3e38f}, {1, 5});
    const Tensor mask = Tensor::from<float>({0, 0, 0, 1, 1}, {1, 5});
    CoalitionValues out;
    TeamPool pool(1);
    CHECK_THROWS_AS(values->evaluate(pool, {row, number}, mask, out), NumericalError);
  }

  TEST_CASE("the error by replicates is that of repetitions") {
    constexpr std::int64_t D = 3;
    const Tensor training = gaussian_rows(500, D, .5, 3);
    const FeatureSpace space = fit_space(training, standardised());
    const EmshapModel model(gaussian_proposal(D, .5), nullptr, false);
    const CallablePredictor f(D, [](ConstTensorView raw, TensorView y) {
      for (std::int64_t r = 0; r < raw.rows(); ++r) {
        const float* x = raw.ptr<float>() + r * D;
        y.ptr<float>()[r] = x[0] * x[1] + std::cos(x[2]) + x[2];
      }
    });
    const Tensor mask = Tensor::from<float>({0, 1, 0}, {1, 3});
    TeamPool pool(1);
    for (const ValueNoise noise : {ValueNoise::sobol, ValueNoise::independent}) {
      double sum = 0, squares = 0, reported = 0;
      constexpr int repetitions = 200;
      for (int i = 0; i < repetitions; ++i) {
        const auto values =
            drawn_values("gaussian", space, model, f,
                         {.draws = 128, .noise = noise, .seed = static_cast<std::uint64_t>(i)});
        CoalitionValues out;
        values->evaluate(pool, {training.view().rows(1, 1), {}}, mask, out);
        const double v = out.value.ptr<double>()[0];
        sum += v;
        squares += v * v;
        const std::int64_t G = values->replicates();
        for (std::int64_t g = 0; g < G; ++g) {
          const double d = out.deviation.ptr<double>()[g];
          reported += G == 1 ? d * d : d * d * 8 / 7;
        }
      }
      const double variance = squares / repetitions - sum / repetitions * sum / repetitions;
      CHECK(std::sqrt(reported / repetitions / variance) > .8);
      CHECK(std::sqrt(reported / repetitions / variance) < 1.25);
    }
  }

  TEST_CASE("independent noise is never shared, and one explicand keeps its own by its number") {
    constexpr std::int64_t D = 3;
    const Tensor training = gaussian_rows(200, D, .5, 3);
    const FeatureSpace space = fit_space(training, standardised());
    const EmshapModel model(gaussian_proposal(D, .5), nullptr, false);
    std::vector<float> drawn;
    const CallablePredictor f(D, [&](ConstTensorView raw, TensorView y) {
      for (std::int64_t r = 0; r < raw.rows(); ++r)
        drawn.push_back(y.ptr<float>()[r] = raw.ptr<float>()[r * D]);
    });
    const auto values = drawn_values("gaussian", space, model, f,
                                     {.draws = 2, .noise = ValueNoise::independent, .orders = 1});
    const Tensor twice = Tensor::from<float>({1, 0, 0, 1, 0, 0}, {2, 3});
    const Tensor masks = Tensor::from<float>({0, 0, 0, 0, 0, 1, 0, 1, 0}, {3, 3});
    TeamPool pool(1);
    CoalitionValues out;
    const std::vector<std::int64_t> numbers = {5, 6};
    values->evaluate(pool, {twice, numbers}, masks, out);
    CHECK(std::set<float>(drawn.begin(), drawn.end()).size() == 12);
    const double before = out.value.ptr<double>()[3];
    values->evaluate(pool, {twice.view().rows(0, 1), std::vector<std::int64_t>{6}}, masks, out);
    CHECK(out.value.ptr<double>()[0] == before);
  }

  TEST_CASE("shared noise: replicates are scrambles of their own, orders are permutations") {
    const SharedNoise noise = SharedNoise::make(6, {.draws = 64, .replicates = 8, .seed = 3}, false);
    CHECK(noise.uniforms.shape() == Shape{64, 6});
    REQUIRE(noise.order.size() == 8);
    std::set<std::vector<std::int64_t>> orders(noise.order.begin(), noise.order.end());
    CHECK(orders.size() == 4);
    CHECK(noise.order[0] == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5});
    for (std::int64_t g = 0; g < 8; ++g)
      for (std::int64_t c = 0; c < 6; ++c) {  // one point in each eighth
        std::set<int> cells;
        for (std::int64_t k = 0; k < 8; ++k)
          cells.insert(static_cast<int>(8 * noise.uniforms.ptr<float>()[(8 * g + k) * 6 + c]));
        CHECK(cells.size() == 8);
      }
    CHECK(SharedNoise::make(6, {.draws = 64}, true).order[3] == noise.order[0]);
    CHECK(SharedNoise::make(6, {.draws = 64, .replicates = 1}, false).order.size() == 1);
    CHECK_THROWS_AS(SharedNoise::make(6, {.draws = 64, .orders = 2}, true), ConfigError);
    CHECK_THROWS_AS(SharedNoise::make(6, {.draws = 62}, false), ConfigError);
    CHECK_THROWS_AS(SharedNoise::make(6, {.draws = 0}, false), ConfigError);
    CHECK_THROWS_AS(SharedNoise::make(6, {.draws = 4, .replicates = 2, .orders = 3}, false), ConfigError);
  }

  TEST_CASE("what does not fit is refused, and work can be stopped") {
    Mixed m;
    const CallablePredictor other = linear({1, 2});
    CHECK_THROWS_AS(drawn_values("emshap", m.space, m.model, other, {}), ConfigError);
    const auto values = drawn_values("emshap", m.space, m.model, m.f, {.draws = 16});
    CoalitionValues out;
    TeamPool pool(1);
    CHECK_THROWS_AS(values->evaluate(pool, {Tensor({1, 4}), {}}, all_masks(5), out), ShapeError);
    CHECK_THROWS_AS(values->evaluate(pool, {m.raw.view().rows(0, 1), {}}, all_masks(4), out), ShapeError);
    StopToken stop;
    stop.request_stop();
    CHECK_THROWS_AS(values->evaluate(pool, {m.raw.view().rows(0, 1), {}}, all_masks(5), out, &stop),
                    Interrupted);
    values->evaluate(pool, {m.raw.view().rows(0, 0), {}}, all_masks(5), out);
    CHECK(out.value.shape() == Shape{0, 32});
  }
}
