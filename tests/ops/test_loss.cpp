#include "emshap/ops/loss.h"

#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

namespace {

double reference(Loss kind, double delta, const Values& p, const Values& t) {
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double d = p[i] - t[i], a = std::abs(d);
    if (kind == Loss::mse) sum += d * d;
    if (kind == Loss::huber) sum += a <= delta ? d * d / 2 : delta * (a - delta / 2);
  }
  return p.empty() ? 0 : sum / static_cast<double>(p.size());
}

}  // namespace

TEST_CASE("losses equal double references at every level, type, size and stride") {
  for (const Backend level : levels()) {
    Context ctx(level);
    CAPTURE(name_of(level));
    for (const DType dtype : {DType::f32, DType::f64})
      for (const Loss kind : {Loss::mse, Loss::huber})
        for (const std::int64_t rows : row_sizes)
          for (const std::int64_t cols : {1, 3, 17})
            for (const std::int64_t gap : {0, 2}) {
              CAPTURE(rows);
              CAPTURE(cols);
              const Values pv = random_values(rows * cols, 1, 2), tv = random_values(rows * cols, 2, 2, 1.5);
              const Matrix p(pv, rows, cols, dtype, gap), t(tv, rows, cols, dtype, gap);
              Matrix loss(1, 1, dtype), gradient(rows, cols, dtype, gap);
              ops::loss_forward(ctx, kind, .7, p, t, loss.flat(), gradient);
              const double eps = tolerance(dtype, 3e-7, 1e-13);
              check_close(loss.values(), {reference(kind, .7, pv, tv)}, 0, eps);
              Values want;
              for (std::size_t i = 0; i < pv.size(); ++i) {
                const double d = pv[i] - tv[i];
                want.push_back((kind == Loss::mse ? 2 * d : std::min(.7, std::max(-.7, d))) /
                               static_cast<double>(rows * cols));
              }
              check_close(gradient.values(), want, 0, eps);
              CHECK(gradient.gaps_intact());

              Matrix alone(1, 1, dtype);
              ops::loss_forward(ctx, kind, .7, p, t, alone.flat(), TensorView());
              CHECK(same_bits(alone.values(), loss.values()));
            }
  }
}

TEST_CASE("loss gradients equal central differences") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const Loss kind : {Loss::mse, Loss::huber}) {
      const std::int64_t rows = 9, cols = 2;
      const Values tv = random_values(rows * cols, 2);
      Values pv = random_values(rows * cols, 1);
      const Matrix t(tv, rows, cols, DType::f64);
      Matrix loss(1, 1, DType::f64), gradient(rows, cols, DType::f64);
      const auto loss_at = [&](const Values& at) {
        ops::loss_forward(ctx, kind, .5, Matrix(at, rows, cols, DType::f64), t, loss.flat(), TensorView());
        return loss.values()[0];
      };
      ops::loss_forward(ctx, kind, .5, Matrix(pv, rows, cols, DType::f64), t, loss.flat(), gradient);
      Values numeric;
      for (double& x : pv) {
        const double kept = x, h = 1e-5;
        x = kept + h;
        const double up = loss_at(pv);
        x = kept - h;
        numeric.push_back((up - loss_at(pv)) / (2 * h));
        x = kept;
      }
      check_close(gradient.values(), numeric, 1e-9, 1e-7);
    }
  }
}

TEST_CASE("losses have the same bits on every team, and every member sees the mean of the batch") {
  for (const Backend level : levels())
    for (const std::int64_t rows : {0, 1, 64, 65, 640, 2049}) {
      CAPTURE(name_of(level));
      CAPTURE(rows);
      Matrix p(random_values(rows, 1), rows, 1, DType::f32), t(random_values(rows, 2), rows, 1, DType::f32);
      check_same_bits_on_teams(level, [&](TeamPool& pool) {
        Matrix gradient(rows, 1, DType::f32);
        std::vector<Values> of_member(static_cast<std::size_t>(pool.threads()));
        pool.run(rows, [&](Context& ctx, const ShardPlan& plan) {
          Matrix loss(1, 1, DType::f32);
          for (int repeat = 0; repeat < 3; ++repeat)
            ops::loss_forward(ctx, Loss::huber, 1, local(p, plan), local(t, plan), loss.flat(),
                              local(gradient, plan));
          of_member[static_cast<std::size_t>(ctx.team().rank())] = loss.values();
        });
        for (const Values& v : of_member)
          if (!v.empty()) CHECK(same_bits(v, of_member[0]));
        Values all = gradient.values();
        all.push_back(of_member[0].at(0));
        return all;
      });
    }
}

TEST_CASE("a loss that is not a number is passed on") {
  for (const Backend level : levels())
    for (const Loss kind : {Loss::mse, Loss::huber}) {
      Context ctx(level);
      Matrix p(Values{1, std::nan(""), 3}, 3, 1, DType::f32), t(Values{1, 2, 3}, 3, 1, DType::f32);
      Matrix loss(1, 1, DType::f32), gradient(3, 1, DType::f32);
      ops::loss_forward(ctx, kind, 1, p, t, loss.flat(), gradient);
      CHECK(std::isnan(loss.values()[0]));
      CHECK(std::isnan(gradient.values()[1]));  // a finite slope would hide it from the gradient norm
      CHECK(std::isfinite(gradient.values()[2]));
    }
}

TEST_CASE("losses allocate nothing after the second call") {
  Context ctx;
  Matrix p(random_values(500, 1), 500, 1, DType::f32), loss(1, 1, DType::f32), gradient(500, 1, DType::f32);
  std::int64_t before = 0;
  for (int i = 0; i < 4; ++i) {
    if (i == 2) before = allocation_count();
    ops::loss_forward(ctx, Loss::mse, 0, p, p, loss.flat(), gradient);
  }
  CHECK(allocation_count() == before);
}

TEST_CASE("losses name what does not fit") {
  Context ctx;
  Matrix p(4, 1, DType::f32), t(3, 1, DType::f32), loss(1, 1, DType::f32), two(1, 2, DType::f32);
  CHECK_THROWS_WITH_AS(ops::loss_forward(ctx, Loss::mse, 1, p, t, loss.flat(), TensorView()),
                       "loss_forward: target has shape (3, 1), expected (4, 1) as prediction", ShapeError);
  CHECK_THROWS_WITH_AS(ops::loss_forward(ctx, Loss::mse, 1, p, p, two.flat(), TensorView()),
                       "loss_forward: loss has shape (2), expected (1) because it gets one mean", ShapeError);
  CHECK_THROWS_WITH_AS(ops::loss_forward(ctx, Loss::mse, 1, p, p, loss.flat(), t.view()),
                       "loss_forward: dprediction has shape (3, 1), expected (4, 1) as prediction",
                       ShapeError);
  CHECK_THROWS_WITH_AS(ops::loss_forward(ctx, Loss::huber, 0, p, p, loss.flat(), TensorView()),
                       "loss_forward: delta is 0, expected more than 0 for the Huber loss", ConfigError);
  CHECK_THROWS_WITH_AS(parse_loss("mae"), "loss 'mae' is not known, expected mse or huber", ConfigError);
  CHECK(parse_loss(to_string(Loss::huber)) == Loss::huber);
  CHECK(parse_loss(to_string(Loss::mse)) == Loss::mse);
}
