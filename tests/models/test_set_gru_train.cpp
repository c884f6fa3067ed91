// Training of the set-GRU: the loss against its definition, gradients, threads, memory.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "emshap/core/error.h"
#include "models/set_gru_reference.h"
#include "models/set_gru_support.h"
#include "support/devices.h"
#include "support/gradient_check.h"

using namespace emshap;
using namespace emshap::test;

namespace {

const RandomKey key{.seed = 3, .purpose = RandomPurpose::masking, .step = 4};
const std::vector<std::int64_t> mixed{0, 3, 0, 0, 2};  // numeric and categorical features

std::vector<double> uniform_sizes(std::size_t F) {
  return std::vector<double>(F, 1.0 / static_cast<double>(F));
}

struct Step {
  double loss = 0;
  std::vector<double> gradient;
};

Step train(SetGru& model, TeamPool& pool, const SetGruRows& rows, const std::vector<double>& sizes,
           std::int64_t quantum = ShardPlan::row_quantum) {
  Step step;
  model.prepare(pool.threads(), rows.x.rows());
  pool.run(
      rows.x.rows(),
      [&](Context& ctx, const ShardPlan& plan) {
        model.store().clear_gradients(ctx);
        Tensor loss({1}, model.dtype());
        model.train(ctx, plan, rows.batch(plan), sizes, key, loss);
        if (ctx.team().rank() == 0) step.loss = to_doubles(loss)[0];
      },
      quantum);
  step.gradient = to_doubles(model.store().flat_gradients());
  return step;
}

/// The order that training draws for a row: Fisher-Yates on the values present.
std::vector<std::int64_t> order_of(const SetGruRows& rows, std::int64_t row) {
  const auto observed = to_doubles(rows.observed.view().rows(row, 1));
  std::vector<std::int64_t> order;
  for (std::size_t t = 0; t < observed.size(); ++t)
    if (observed[t] > 0) order.push_back(static_cast<std::int64_t>(t));
  Generator random(key, static_cast<std::uint64_t>(row));
  for (std::size_t i = order.size(); i-- > 1;) std::swap(order[i], order[random.below(i + 1)]);
  return order;
}

/// The loss by its definition, pair by pair.
double slow_loss(const SetGru& model, const SetGruRows& rows, const std::vector<double>& sizes) {
  const SetGruReference reference(model);
  const std::int64_t B = rows.x.rows(), F = rows.x.cols();
  double loss = 0;
  for (std::int64_t b = 0; b < B; ++b) {
    const auto order = order_of(rows, b);
    const auto x = to_doubles(rows.x.view().rows(b, 1));
    const std::int32_t* code = rows.code.ptr<std::int32_t>() + b * F;
    std::vector<std::int64_t> prefix;
    double c = 0, sum = 0;
    for (std::size_t a = 0; a < order.size(); ++a) {
      for (std::size_t j = a; j < order.size(); ++j)
        sum -= sizes[a] * reference.log_q(order[j], prefix, x.data(), code);
      c += sizes[a] * static_cast<double>(order.size() - a);
      prefix.push_back(order[a]);
    }
    if (c > 0) loss += sum / c / static_cast<double>(B);
  }
  return loss;
}

}  // namespace

TEST_CASE("set-GRU: the loss is the mean over prefixes and their unknown features") {
  const std::vector<double> skewed{.5, .1, .05, .3, .05}, single{0, 0, 1, 0, 0};
  for (const Backend level : cpu_levels()) {
    CAPTURE(std::string(to_string(level)));
    TeamPool pool(1, level);
    for (const auto& sizes : {uniform_sizes(5), skewed, single}) {
      SetGru model(set_gru_options(mixed), DType::f64);
      randomise(model.store(), 2);
      const SetGruRows rows = set_gru_rows(model.layout(), 9, DType::f64, sizes == single ? 0 : .3);
      const double want = slow_loss(model, rows, sizes);
      CHECK(train(model, pool, rows, sizes).loss == doctest::Approx(want).epsilon(1e-10));
    }
  }
}

TEST_CASE("set-GRU: gradient of the whole loss") {
  for (const double missing : {0.0, .3}) {
    TeamPool pool(1);
    SetGru model(set_gru_options(mixed), DType::f64);
    randomise(model.store(), 2);
    const SetGruRows rows = set_gru_rows(model.layout(), 4, DType::f64, missing);
    const auto sizes = uniform_sizes(5);
    const Step step = train(model, pool, rows, sizes);
    const TensorView values = model.store().flat_values();
    check_gradient("set-GRU", {values.ptr<double>(), static_cast<std::size_t>(values.elements())},
                   step.gradient, [&] { return train(model, pool, rows, sizes).loss; });
  }
}

TEST_CASE("set-GRU: sampled pairs have the gradient of their loss and the right expectation") {
  TeamPool pool(1);
  SetGruOptions o = set_gru_options(mixed);
  o.all_pairs_up_to = 2;
  o.sampled_pairs = 7;
  SetGru model(o, DType::f64);
  randomise(model.store(), 2);
  const SetGruRows rows = set_gru_rows(model.layout(), 4, DType::f64, .2);
  const std::vector<double> sizes{.4, .1, .1, .3, .1};
  const Step step = train(model, pool, rows, sizes);
  const TensorView values = model.store().flat_values();
  check_gradient("set-GRU", {values.ptr<double>(), static_cast<std::size_t>(values.elements())},
                 step.gradient, [&] { return train(model, pool, rows, sizes).loss; });
  o.sampled_pairs = 40000;
  SetGru many(o, DType::f64);
  many.store().copy_from(model.store());
  CHECK(train(many, pool, rows, sizes).loss == doctest::Approx(slow_loss(model, rows, sizes)).epsilon(.02));
}

TEST_CASE("set-GRU: a row's loss is the same wherever tiles and shards are cut") {
  TeamPool pool(1);
  SetGru model(set_gru_options(mixed), DType::f64);
  randomise(model.store(), 2);
  const auto sizes = uniform_sizes(5);
  for (const std::int64_t B : {1, 31, 32, 33, 65, 130}) {
    CAPTURE(B);
    const SetGruRows rows = set_gru_rows(model.layout(), B, DType::f64, .1);
    CHECK(train(model, pool, rows, sizes).loss ==
          doctest::Approx(slow_loss(model, rows, sizes)).epsilon(1e-10));
  }
}

TEST_CASE("set-GRU: the same bits for any number of threads") {
  for (const Backend level : cpu_levels())
    for (const DType dtype : {DType::f32, DType::f64}) {
      CAPTURE(std::string(to_string(level)));
      Step first;
      for (const int threads : {1, 2, 3, 7}) {
        TeamPool pool(threads, level);
        SetGru model(set_gru_options(mixed), dtype);
        const SetGruRows rows = set_gru_rows(model.layout(), 300, dtype, .1);
        const Step step = train(model, pool, rows, uniform_sizes(5), 16);
        if (threads == 1) first = step;
        CHECK(step.loss == first.loss);
        check_same_bits("gradient", step.gradient, first.gradient);
      }
    }
}

TEST_CASE("set-GRU: f32 agrees with f64") {
  for (const Backend level : cpu_levels()) {
    CAPTURE(std::string(to_string(level)));
    TeamPool pool(1, level);
    SetGru single(set_gru_options({0, 0, 4, 0, 0, 0, 0}, 33), DType::f32);
    SetGru exact(set_gru_options({0, 0, 4, 0, 0, 0, 0}, 33), DType::f64);
    exact.store().copy_from(single.store());
    const auto sizes = uniform_sizes(7);
    const Step a = train(single, pool, set_gru_rows(single.layout(), 70, DType::f32), sizes);
    const Step b = train(exact, pool, set_gru_rows(exact.layout(), 70, DType::f64), sizes);
    CHECK(a.loss == doctest::Approx(b.loss).epsilon(1e-5));
    check_close("gradient", a.gradient, b.gradient, {2e-5 * max_abs(b.gradient), 1e-4});
  }
}

TEST_CASE("set-GRU: gradients add up, and steps after the first allocate nothing") {
  TeamPool pool(2);
  SetGru model(set_gru_options(mixed), DType::f32);
  const SetGruRows rows = set_gru_rows(model.layout(), 150, DType::f32, .1);
  const auto sizes = uniform_sizes(5);
  const Step once = train(model, pool, rows, sizes);
  std::vector<Tensor> loss;
  for (int i = 0; i < 2; ++i) loss.emplace_back(Shape{1}, DType::f32);
  const std::int64_t before = allocation_count();
  pool.run(150, [&](Context& ctx, const ShardPlan& plan) {
    model.train(ctx, plan, rows.batch(plan), sizes, key, loss[static_cast<std::size_t>(ctx.team().rank())]);
  });
  CHECK(allocation_count() == before);
  auto twice = once.gradient;
  for (double& g : twice) g *= 2;
  check_close("gradient", to_doubles(model.store().flat_gradients()), twice, {1e-7, 1e-6});
}

TEST_CASE("set-GRU: one feature, no rows, rows without values") {
  TeamPool pool(2);
  for (const std::vector<std::int64_t>& categories : {std::vector<std::int64_t>{0}, {3}}) {
    SetGru model(set_gru_options(categories), DType::f64);
    randomise(model.store(), 2);
    const SetGruRows rows = set_gru_rows(model.layout(), 6, DType::f64);
    const std::vector<double> sizes{1};
    CHECK(train(model, pool, rows, sizes).loss ==
          doctest::Approx(slow_loss(model, rows, sizes)).epsilon(1e-12));
    CHECK(train(model, pool, set_gru_rows(model.layout(), 0, DType::f64), sizes).loss == 0);
    const Step none = train(model, pool, set_gru_rows(model.layout(), 6, DType::f64, 1.1), sizes);
    CHECK(none.loss == 0);
    CHECK(max_abs(none.gradient) == 0);
  }
}

TEST_CASE("set-GRU: what cannot be is refused") {
  SetGruOptions o = set_gru_options(mixed);
  o.hidden = 0;
  CHECK_THROWS_WITH_AS(
      SetGru{o}, "the set-GRU has 0 hidden units, an embedding of 3 and 2 components, expected at least 1",
      ConfigError);
  o = set_gru_options(mixed);
  o.base.mean.pop_back();
  CHECK_THROWS_WITH_AS(SetGru{o}, "the set-GRU has 5 features, but its Gaussian base 4", ConfigError);
  TeamPool pool(1);
  SetGru model(set_gru_options(mixed), DType::f64);
  CHECK_THROWS_AS(train(model, pool, set_gru_rows(model.layout(), 3, DType::f64), uniform_sizes(4)),
                  ShapeError);
  CHECK_THROWS_AS(train(model, pool, set_gru_rows(model.layout(), 3, DType::f32), uniform_sizes(5)),
                  DTypeError);
  SetGruRows rows = set_gru_rows(model.layout(), 3, DType::f64);
  rows.code = Tensor({0, 5}, DType::i32);
  CHECK_THROWS_AS(pool.run(3,
                           [&](Context& ctx, const ShardPlan& plan) {
                             Tensor loss({1}, DType::f64);
                             model.train(ctx, plan, rows.batch(), uniform_sizes(5), key, loss);
                           }),
                  ShapeError);
}
