#include "emshap/ops/optimizer.h"

#include <chrono>
#include <thread>

#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// Adam as its paper writes it, in double.
struct Reference {
  Values w, m, v;
  void step(const AdamOptions& o, int t, const Values& gradient, double scale, const Values& mask) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double decays = mask.empty() ? 1 : mask[i];
      double g = scale * gradient[i];
      if (!o.decoupled) g += o.weight_decay * decays * w[i];
      m[i] = o.beta1 * m[i] + (1 - o.beta1) * g;
      v[i] = o.beta2 * v[i] + (1 - o.beta2) * g * g;
      const double mhat = m[i] / (1 - std::pow(o.beta1, t)), vhat = v[i] / (1 - std::pow(o.beta2, t));
      if (o.decoupled) w[i] -= o.learning_rate * o.weight_decay * decays * w[i];
      w[i] -= o.learning_rate * mhat / (std::sqrt(vhat) + o.eps);
    }
  }
};

Values mask_values(std::int64_t n) {
  Values mask;
  for (std::int64_t i = 0; i < n; ++i) mask.push_back(i % 3 == 0 ? 0 : 1);
  return mask;
}

}  // namespace

TEST_CASE("ten steps of Adam and AdamW equal a double loop") {
  for (const Backend level : levels()) {
    Context ctx(level);
    CAPTURE(name_of(level));
    for (const DType dtype : {DType::f32, DType::f64})
      for (const bool decoupled : {false, true})
        for (const bool masked : {false, true})
          for (const std::int64_t n : {0, 1, 15, 16, 17, 100, 1000}) {
            CAPTURE(n);
            CAPTURE(decoupled);
            const AdamOptions options{
                .learning_rate = .01, .beta1 = .8, .weight_decay = .1, .decoupled = decoupled};
            const Values none(static_cast<std::size_t>(n), 0.0), mask = masked ? mask_values(n) : Values();
            Reference want{random_values(n, 1), none, none};
            Matrix w(want.w, 1, n, dtype), m(none, 1, n, dtype), v(none, 1, n, dtype),
                scale({.5}, 1, 1, dtype);
            Matrix mask_matrix(masked ? mask : none, 1, n, dtype);
            for (int t = 1; t <= 10; ++t) {
              const Values g = random_values(n, 100 + static_cast<std::uint64_t>(t), 0, .3);
              Matrix gradient(g, 1, n, dtype);
              ops::adam_step(ctx, options, t, gradient.flat(), scale.flat(),
                             masked ? mask_matrix.flat() : TensorView(), w.flat(), m.flat(), v.flat());
              want.step(options, t, g, .5, mask);
              CHECK(gradient.values() == g);
            }
            const double eps = tolerance(dtype, 2e-6, 1e-13);
            check_close(w.values(), want.w, eps, eps);
            check_close(m.values(), want.m, eps, eps);
            check_close(v.values(), want.v, eps, eps);
          }
  }
}

TEST_CASE("the norm is exact over large buffers and clips only above its limit") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const DType dtype : {DType::f32, DType::f64}) {
      const std::int64_t n = 100000;
      const Values g = random_values(n, 1);
      double sum = 0;
      for (const double x : g) sum += x * x;
      Matrix gradient(g, 1, n, dtype), norm(1, 1, dtype), scale(1, 1, dtype);
      const double length = std::sqrt(sum), eps = tolerance(dtype, 1e-6, 1e-12);
      ops::clip_scale(ctx, gradient.flat(), 1, norm.flat(), scale.flat());
      check_close(norm.values(), {length}, 0, tolerance(dtype, 1e-7, 1e-13));
      check_close(scale.values(), {1 / (length + 1e-6)}, 0, eps);
      ops::clip_scale(ctx, gradient.flat(), 2 * length, norm.flat(), scale.flat());
      CHECK(scale.values()[0] == 1);
      ops::clip_scale(ctx, gradient.flat(), 0, norm.flat(), scale.flat());
      CHECK(scale.values()[0] == 1);
      check_close(norm.values(), {length}, 0, eps);
      ops::clip_scale(ctx, gradient.flat().columns(0, 0).reshaped({0}), 1, norm.flat(), scale.flat());
      CHECK(norm.values()[0] == 0);
      CHECK(scale.values()[0] == 1);
    }
    Matrix large({1e30, 1e30}, 1, 2, DType::f32), norm(1, 1, DType::f32), scale(1, 1, DType::f32);
    ops::clip_scale(ctx, large.flat(), 1, norm.flat(), scale.flat());  // its squares overflow in float
    check_close(norm.values(), {std::sqrt(2.) * 1e30}, 0, 1e-6);
  }
}

TEST_CASE("non-finite gradients show in the norm and leave the weights alone") {
  for (const Backend level : levels())
    for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL})
      for (const double limit : {0., 1.}) {
        Context ctx(level);
        Values g = random_values(50, 1);
        g[33] = bad;
        const Values wv = random_values(50, 2), mv = random_values(50, 3), vv(50, .5);
        Matrix gradient(g, 1, 50, DType::f32), norm(1, 1, DType::f32), scale(1, 1, DType::f32);
        Matrix w(wv, 1, 50, DType::f32), m(mv, 1, 50, DType::f32), v(vv, 1, 50, DType::f32);
        ops::clip_scale(ctx, gradient.flat(), limit, norm.flat(), scale.flat());
        CHECK(!std::isfinite(norm.values()[0]));
        CHECK(scale.values()[0] == 0);
        ops::adam_step(ctx, {.weight_decay = .1}, 1, gradient.flat(), scale.flat(), TensorView(), w.flat(),
                       m.flat(), v.flat());
        CHECK(w.values() == wv);
        CHECK(m.values() == mv);
        CHECK(v.values() == vv);
      }
}

TEST_CASE("moments of a dead unit become zero, not denormal") {
  for (const Backend level : levels()) {
    Context ctx(level);
    Matrix w({1, 1}, 1, 2, DType::f32), m({1, -1}, 1, 2, DType::f32), v({1, 1}, 1, 2, DType::f32);
    Matrix gradient({0, 0}, 1, 2, DType::f32);
    for (int t = 1; t <= 1000; ++t)
      ops::adam_step(ctx, {.beta2 = .9}, t, gradient.flat(), TensorView(), TensorView(), w.flat(), m.flat(),
                     v.flat());
    CHECK(m.values() == Values{0, 0});
    CHECK(v.values() == Values{0, 0});
    CHECK(std::isfinite(w.values()[0]));
  }
}

TEST_CASE("the average follows the weights") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t n : {0, 1, 17, 100}) {
        const Values wv = random_values(n, 1);
        Values want = random_values(n, 2);
        Matrix w(wv, 1, n, dtype), average(want, 1, n, dtype);
        ops::ema_update(ctx, .9, w.flat(), average.flat());
        for (std::size_t i = 0; i < want.size(); ++i) want[i] = .9 * want[i] + .1 * wv[i];
        check_close(average.values(), want, 1e-7, 1e-6);
      }
  }
}

TEST_CASE("updates have the same bits on every team and are complete for every member") {
  for (const Backend level : levels())
    for (const std::int64_t n : {1, 16, 1000, 20000}) {
      CAPTURE(name_of(level));
      CAPTURE(n);
      const Values none(static_cast<std::size_t>(n), 0.0);
      Matrix gradient(random_values(n, 1), 1, n, DType::f32);
      check_same_bits_on_teams(level, [&](TeamPool& pool) {
        Matrix w(random_values(n, 2), 1, n, DType::f32), m(none, 1, n, DType::f32), v(none, 1, n, DType::f32),
            average(none, 1, n, DType::f32);
        pool.run(64 * 7, [&](Context& ctx, const ShardPlan&) {
          Matrix norm(1, 1, DType::f32), scale(1, 1, DType::f32);
          for (int t = 1; t <= 3; ++t) {
            ops::clip_scale(ctx, gradient.flat(), .5, norm.flat(), scale.flat());
            ops::adam_step(ctx, {.weight_decay = .01}, t, gradient.flat(), scale.flat(), TensorView(),
                           w.flat(), m.flat(), v.flat());
            const Values seen = w.values();
            ops::ema_update(ctx, .5, w.flat(), average.flat());
            if (seen != w.values()) throw NumericalError("weights changed after the step");
          }
        });
        Values all = w.values();
        for (const double x : average.values()) all.push_back(x);
        return all;
      });
    }
}

TEST_CASE("weights wait for a member that still reads them") {
  const std::int64_t n = 1000;
  const Values before = random_values(n, 2), none(static_cast<std::size_t>(n), 0.0);
  Matrix gradient(random_values(n, 1), 1, n, DType::f32), w(before, 1, n, DType::f32),
      m(none, 1, n, DType::f32), v(none, 1, n, DType::f32);
  TeamPool pool(2);
  pool.run(128, [&](Context& ctx, const ShardPlan&) {
    if (ctx.team().rank() == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      if (w.values() != before) throw NumericalError("weights changed while a member read them");
    }
    ops::adam_step(ctx, {}, 1, gradient.flat(), TensorView(), TensorView(), w.flat(), m.flat(), v.flat());
  });
  CHECK(w.values() != before);
}

TEST_CASE("the optimiser names what does not fit") {
  Context ctx;
  Matrix g(1, 5, DType::f32), w(1, 4, DType::f32), two_rows(2, 5, DType::f32), one(1, 1, DType::f32);
  const auto step = [&](const AdamOptions& o, std::int64_t t, TensorView weights) {
    ops::adam_step(ctx, o, t, g.flat(), TensorView(), TensorView(), weights, g.flat(), g.flat());
  };
  CHECK_THROWS_WITH_AS(step({}, 1, w.flat()),
                       "adam_step: w has shape (4), expected (5) because gradient has as many elements",
                       ShapeError);
  CHECK_THROWS_WITH_AS(step({}, 0, g.flat()), "adam_step: step is 0, expected 1 or more", ConfigError);
  CHECK_THROWS_WITH_AS(step({.beta1 = 1}, 1, g.flat()), "adam_step: beta1 is 1, expected 0 <= beta1 < 1",
                       ConfigError);
  CHECK_THROWS_WITH_AS(step({.eps = 0}, 1, g.flat()), "adam_step: eps is 0, expected more than 0",
                       ConfigError);
  CHECK_THROWS_WITH_AS(step({.learning_rate = std::nan("")}, 1, g.flat()),
                       "adam_step: learning_rate is nan, expected 0 or more", ConfigError);
  CHECK_THROWS_WITH_AS(ops::clip_scale(ctx, two_rows, 1, one.flat(), one.flat()),
                       "clip_scale: gradient has shape (2, 5), expected (10) because it is a flat buffer",
                       ShapeError);
  CHECK_THROWS_WITH_AS(ops::ema_update(ctx, .9, g.flat(), w.flat()),
                       "ema_update: average has shape (4), expected (5) because w has as many elements",
                       ShapeError);
}
