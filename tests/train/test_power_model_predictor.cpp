// The fast way from raw rows to predictions against the model's own.
#include "emshap/train/power_model_predictor.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/memory.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "support/compare.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr std::int64_t D = 6, N = 300;

/// Columns: plain, far from 0, few values, constant, heavy-tailed, with missing values.
Tensor rows_of(std::uint64_t seed, bool missing) {
  Tensor raw({N, D});
  Generator random({.seed = seed});
  for (std::int64_t r = 0; r < N; ++r) {
    float* x = raw.ptr<float>() + r * D;
    x[0] = static_cast<float>(random.normal());
    x[1] = static_cast<float>(1e6 + 3 * random.normal());
    x[2] = static_cast<float>(random.below(3));
    x[3] = 4;
    x[4] = static_cast<float>(std::exp(2 * random.normal()));
    x[5] = missing && r % 7 == 3 ? std::numeric_limits<float>::quiet_NaN()
                                 : static_cast<float>(.01 * random.normal());
  }
  return raw;
}

Table table_of(const Tensor& raw) {
  std::vector<ColumnSpec> schema;
  for (std::int64_t c = 0; c < D; ++c)
    schema.push_back({std::string(1, static_cast<char>('a' + c)), ColumnType::f32, ColumnRole::feature});
  schema.push_back({"y", ColumnType::f32, ColumnRole::target});
  Table table(schema);
  for (std::int64_t r = 0; r < N; ++r) {
    for (std::int64_t c = 0; c < D; ++c) {
      const float value = raw.ptr<float>()[r * D + c];
      if (std::isnan(value))
        table.columns()[static_cast<std::size_t>(c)].push_missing();
      else
        table.columns()[static_cast<std::size_t>(c)].push_f32(value);
    }
    table.columns()[D].push_f32(200 + 30 * raw.ptr<float>()[r * D]);
  }
  return table;
}

PowerModel model_of(const Table& table, PowerPredictorOptions options, std::int64_t bins) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(N));
  std::iota(rows.begin(), rows.end(), 0);
  PowerModel m;
  m.scaler = Preprocessor::fit(table, rows, true, true, bins);
  options.features = m.scaler.features.outputs();
  m.network = std::make_unique<PowerPredictor>(options);
  m.target = "y";
  ParameterStore& store = m.network->store();
  std::uint64_t seed = 5;
  for (const ParameterStore::Entry& e : store.parameters()) {
    if (e.shape.rank() > 1) continue;
    std::vector<double> values = random_values(e.shape.elements(), ++seed, .4);
    if (e.name.ends_with("gamma"))
      for (double& v : values) v += 1;
    store.set(store.find(e.name), values);
  }
  for (const ParameterStore::Entry& e : store.buffers()) {
    std::vector<double> values = random_values(e.shape.elements(), ++seed, .4);
    if (e.name.ends_with("var"))
      for (double& v : values) v = .5 + v * v;
    store.set(store.find_buffer(e.name), values);
  }
  return m;
}

std::vector<float> numbers(const Tensor& y) {
  return {y.ptr<float>(), y.ptr<float>() + y.elements()};
}

}  // namespace

TEST_SUITE("power model predictor") {
  TEST_CASE("predictions are the model's, alone and in groups, with the same bits for any cut") {
    TeamPool pool(1);
    Context ctx;
    for (const std::int64_t bins : {0, 2, 16})
      for (const int members : {1, 3})
        for (const bool norm : {false, true})
          for (const Activation activation : {Activation::relu, Activation::gelu})
            for (const std::vector<std::int64_t>& hidden :
                 {std::vector<std::int64_t>{}, std::vector<std::int64_t>{33},
                  std::vector<std::int64_t>{40, 24}})
              for (const int residual : {0, 1}) {
                if (residual > 0 && bins != 2) continue;
                CAPTURE(bins);
                CAPTURE(members);
                CAPTURE(hidden.size());
                const Tensor raw = rows_of(1, true);
                const PowerModel m = model_of(table_of(raw),
                                              {.hidden = hidden,
                                               .activation = activation,
                                               .batch_norm = norm,
                                               .residual_blocks = residual,
                                               .members = members},
                                              bins);
                const PowerModelPredictor f(m);
                CHECK(f.inputs() == D);
                Tensor want({N, 1}), got({N, 1}), part({1, 1});
                m.predict(pool, raw, want);
                f.predict(ctx, raw, got);
                check_close("y", to_doubles(got), to_doubles(want), {2e-5, 2e-3});
                for (const std::int64_t r : {0, 3, 127, 128, 299}) {
                  f.predict(ctx, raw.view().rows(r, 1), part);
                  CHECK(part.ptr<float>()[0] == got.ptr<float>()[r]);
                }
                for (const std::int64_t group : {1, 5, 100, 150, 300}) {
                  Tensor completed = rows_of(2, false), same({N / group, D});
                  for (std::int64_t r = 0; r < N; ++r)
                    for (std::int64_t c = 0; c < D; ++c) {
                      const bool known = (r / group + c) % 3 == 0;
                      same.ptr<float>()[r / group * D + c] = known ? 1.f : 0.f;
                      if (known)
                        completed.ptr<float>()[r * D + c] = completed.ptr<float>()[r / group * group * D + c];
                    }
                  m.predict(pool, completed, want);
                  f.predict_groups(ctx, completed, group, same, got);
                  check_close("y", to_doubles(got), to_doubles(want), {2e-5, 2e-3});
                  Tensor last({group, 1});
                  f.predict_groups(ctx, completed.view().rows(N - group, group), group,
                                   same.view().rows(N / group - 1, 1), last);
                  CHECK(numbers(last) ==
                        std::vector<float>(got.ptr<float>() + N - group, got.ptr<float>() + N));
                }
              }
  }

  TEST_CASE("values far outside and on the edges of bins") {
    const Tensor raw = rows_of(1, false);
    const PowerModel m = model_of(table_of(raw), {.hidden = {16}}, 16);
    const PowerModelPredictor f(m);
    TeamPool pool(1);
    Context ctx;
    Tensor far({N, D}), want({N, 1}), got({N, 1});
    for (std::int64_t r = 0; r < N; ++r)
      for (std::int64_t c = 0; c < D; ++c)
        far.ptr<float>()[r * D + c] =
            raw.ptr<float>()[(r * (c + 3) % N) * D + c] * (r % 3 == 0 ? -20.f : 1.f);
    m.predict(pool, far, want);
    f.predict(ctx, far, got);
    check_close("y", to_doubles(got), to_doubles(want), {2e-4, 2e-3});
  }

  TEST_CASE("values beyond bounds are clipped as the model clips them") {
    const Tensor raw = rows_of(1, true);
    constexpr double infinite = std::numeric_limits<double>::infinity();
    const std::vector<double> low{-.5, 1e6 - 1, 0, -infinite, .5, -infinite},
        high{.7, 1e6 + 2, 1, infinite, infinite, .001};
    for (const std::int64_t bins : {0, 16}) {
      PowerModel m = model_of(table_of(raw), {.hidden = {16}}, bins);
      const PowerModelPredictor free(m);
      m.scaler.features.clip_inputs(low, high);
      const PowerModelPredictor f(m);
      TeamPool pool(1);
      Context ctx;
      Tensor at({N, D}), want({N, 1}), got({N, 1}), y({N, 1}), same({N / 5, D});
      for (std::int64_t i = 0; i < N * D; ++i) {
        const auto c = static_cast<std::size_t>(i % D);
        const float x = raw.ptr<float>()[i];
        at.ptr<float>()[i] =
            std::isnan(x) ? x : std::clamp(x, static_cast<float>(low[c]), static_cast<float>(high[c]));
        if (i < N / 5 * D) same.ptr<float>()[i] = 0;
      }
      m.predict(pool, raw, want);
      m.predict(pool, at, got);
      CHECK(numbers(got) == numbers(want));
      free.predict(ctx, at, y);
      f.predict(ctx, raw, got);
      CHECK(numbers(got) == numbers(y));
      check_close("y", to_doubles(got), to_doubles(want), {2e-5, 2e-3});
      f.predict_groups(ctx, raw, 5, same, got);
      check_close("y", to_doubles(got), to_doubles(want), {2e-5, 2e-3});
    }
  }

  TEST_CASE("a copy on a GPU predicts the same, with the same bits for any cut") {
    for (const Backend backend : backends()) {
      if (backend != Backend::cuda) continue;
      const auto there = make_context(backend);
      const Device device = there->device();
      Context ctx;
      for (const std::int64_t bins : {0, 16})
        for (const int members : {1, 3})
          for (const Activation activation : {Activation::relu, Activation::gelu})
            for (const bool clipped : {false, true}) {
              const Tensor raw = rows_of(1, false);
              PowerModel m = model_of(
                  table_of(raw), {.hidden = {40, 24}, .activation = activation, .members = members}, bins);
              constexpr double infinite = std::numeric_limits<double>::infinity();
              const std::vector<double> low{-.5, 1e6 - 1, 0, -infinite, .5, -infinite},
                  high{.7, 1e6 + 2, 1, infinite, infinite, .001};
              if (clipped) m.scaler.features.clip_inputs(low, high);
              const PowerModelPredictor f(m);
              // In rows of eight columns, the model's in another order.
              const std::vector<std::int64_t> from{7, 0, 3, 2, 6, 1};
              Tensor wide({N, 8}), want({N, 1});
              for (std::int64_t r = 0; r < N; ++r) {
                std::fill_n(wide.ptr<float>() + r * 8, 8, std::numeric_limits<float>::quiet_NaN());
                for (std::int64_t c = 0; c < D; ++c)
                  wide.ptr<float>()[r * 8 + from[static_cast<std::size_t>(c)]] = raw.ptr<float>()[r * D + c];
              }
              f.predict(ctx, raw, want);
              const auto copy = f.on_device(device), picking = f.on_device(device, from, 8);
              CHECK(copy->inputs() == D);
              CHECK(picking->inputs() == 8);
              const Tensor x = to_device(raw, device), x8 = to_device(wide, device);
              Tensor y({N, 1}, DType::f32, device), y8({N, 1}, DType::f32, device),
                  cut({N, 1}, DType::f32, device);
              copy->predict(*there, x, y);
              picking->predict(*there, x8, y8);
              for (const std::int64_t n : {1, 2, 17, 280}) {
                const std::int64_t begin = n == 1 ? 0 : n == 2 ? 1 : n == 17 ? 3 : 20;
                copy->predict(*there, x.view().rows(begin, n), cut.view().rows(begin, n));
              }
              check_close("y", to_doubles(y), to_doubles(want), {2e-5, 2e-3});
              check_same_bits("columns picked", to_doubles(y8), to_doubles(y));
              check_same_bits("cut", to_doubles(cut), to_doubles(y));
              copy->predict(*there, x.view().rows(0, 0), y.view().rows(0, 0));
            }
      const PowerModel residual = model_of(table_of(rows_of(1, false)), {.residual_blocks = 1}, 0);
      CHECK(PowerModelPredictor(residual).on_device(device) == nullptr);
    }
  }

  TEST_CASE("what is no number is refused, and what has other columns") {
    const Tensor raw = rows_of(1, false);
    const PowerModel m = model_of(table_of(raw), {}, 16);
    const PowerModelPredictor f(m);
    Context ctx;
    Tensor row = Tensor::from<float>({0, 1e6f, 1, 4, 1, std::numeric_limits<float>::quiet_NaN()}, {1, D}),
           y({1, 1});
    CHECK_THROWS_AS(f.predict(ctx, row, y), DataError);  // training never lacked it
    CHECK_THROWS_AS(f.predict(ctx, Tensor({1, D - 1}), y), ShapeError);
    CHECK_THROWS_AS(f.predict_groups(ctx, Tensor({3, D}), 2, Tensor({1, D}), Tensor({3, 1})), ShapeError);
    f.predict(ctx, Tensor({0, D}), Tensor({0, 1}));
  }
}
