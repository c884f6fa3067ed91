#include "emshap/ops/normalization.h"

#include "emshap/ops/dropout.h"
#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr double eps = 1e-5, momentum = .1;

double activate(Activation a, double z) {
  switch (a) {
    case Activation::relu:
      return z > 0 ? z : 0;
    case Activation::leaky_relu:
      return z > 0 ? z : .01 * z;
    case Activation::tanh:
      return std::tanh(z);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-z));
    default:
      return z;
  }
}

double slope(Activation a, double z) {
  const double y = activate(a, z);
  switch (a) {
    case Activation::relu:
      return z > 0 ? 1 : 0;
    case Activation::leaky_relu:
      return z > 0 ? 1 : .01;
    case Activation::tanh:
      return 1 - y * y;
    case Activation::sigmoid:
      return y * (1 - y);
    default:
      return 1;
  }
}

/// Batch norm in double, column by column, two passes; `keep` multiplies after the activation (empty: ones).
struct Reference {
  std::int64_t rows, cols;
  Values x, gamma, beta;
  Activation activation = Activation::identity;
  Values keep;
  Values y, mean, var, rstd;

  std::size_t at(std::int64_t r, std::int64_t c) const { return static_cast<std::size_t>(r * cols + c); }
  double factor(std::size_t i) const { return keep.empty() ? 1 : keep[i]; }

  void forward() {
    y.assign(x.size(), 0);
    mean.assign(static_cast<std::size_t>(cols), 0), var = rstd = mean;
    for (std::int64_t c = 0; c < cols; ++c) {
      const auto k = static_cast<std::size_t>(c);
      for (std::int64_t r = 0; r < rows; ++r) mean[k] += x[at(r, c)] / static_cast<double>(rows);
      for (std::int64_t r = 0; r < rows; ++r)
        var[k] += std::pow(x[at(r, c)] - mean[k], 2) / static_cast<double>(rows);
      rstd[k] = 1 / std::sqrt(var[k] + eps);
      for (std::int64_t r = 0; r < rows; ++r)
        y[at(r, c)] =
            factor(at(r, c)) * activate(activation, gamma[k] * (x[at(r, c)] - mean[k]) * rstd[k] + beta[k]);
    }
  }
  void backward(const Values& dy, Values& dx, Values& dgamma, Values& dbeta) const {
    dx.assign(x.size(), 0);
    dgamma.assign(gamma.size(), 0), dbeta = dgamma;
    for (std::int64_t c = 0; c < cols; ++c) {
      const auto k = static_cast<std::size_t>(c);
      const auto xhat = [&](std::int64_t r) { return (x[at(r, c)] - mean[k]) * rstd[k]; };
      const auto dz = [&](std::int64_t r) {
        return dy[at(r, c)] * factor(at(r, c)) * slope(activation, gamma[k] * xhat(r) + beta[k]);
      };
      for (std::int64_t r = 0; r < rows; ++r) dbeta[k] += dz(r), dgamma[k] += dz(r) * xhat(r);
      const double n = static_cast<double>(rows);
      for (std::int64_t r = 0; r < rows; ++r)
        dx[at(r, c)] = gamma[k] * rstd[k] * (dz(r) - dbeta[k] / n - xhat(r) * dgamma[k] / n);
    }
  }
};

/// Everything one op call reads and writes.
struct Case {
  Matrix x, gamma, beta, running_mean, running_var, y, mean, rstd, dy, dx, dgamma, dbeta;
  Case(const Reference& r, DType dtype, std::int64_t gap = 0)
      : x(r.x, r.rows, r.cols, dtype, gap),
        gamma(r.gamma, 1, r.cols, dtype),
        beta(r.beta, 1, r.cols, dtype),
        running_mean(Values(r.gamma.size(), .25), 1, r.cols, dtype),
        running_var(Values(r.gamma.size(), 2.), 1, r.cols, dtype),
        y(r.rows, r.cols, dtype, gap),
        mean(1, r.cols, dtype),
        rstd(1, r.cols, dtype),
        dy(random_values(r.rows * r.cols, 77), r.rows, r.cols, dtype, gap),
        dx(r.rows, r.cols, dtype, gap),
        dgamma(Values(r.gamma.size(), 1.), 1, r.cols, dtype),
        dbeta(Values(r.gamma.size(), -1.), 1, r.cols, dtype) {}
  void forward(Context& ctx, const ops::NormEpilogue& e) {
    ops::batch_norm_forward(ctx, x, gamma.flat(), beta.flat(), eps, momentum, running_mean.flat(),
                            running_var.flat(), e, y, mean.flat(), rstd.flat());
  }
  void backward(Context& ctx, const ops::NormEpilogue& e) {
    ops::batch_norm_backward(ctx, dy, x, e.activation == Activation::identity ? ConstTensorView() : y.view(),
                             gamma.flat(), mean.flat(), rstd.flat(), e, dx, dgamma.flat(), dbeta.flat());
  }
};

Reference make(std::int64_t rows, std::int64_t cols, double offset = 1.5, double spread = 2) {
  Reference r{rows,
              cols,
              random_values(rows * cols, 1, offset, spread),
              random_values(cols, 2, 1, .3),
              random_values(cols, 3, .2, .5),
              Activation::identity,
              {},
              {},
              {},
              {},
              {}};
  return r;
}

}  // namespace

TEST_CASE("batch norm equals a double reference at every level, type, size and stride") {
  for (const Backend level : levels()) {
    Context ctx(level);
    CAPTURE(name_of(level));
    for (const DType dtype : {DType::f32, DType::f64})
      for (const Activation activation : {Activation::identity, Activation::relu, Activation::leaky_relu,
                                          Activation::tanh, Activation::sigmoid})
        for (const std::int64_t rows : row_sizes) {
          if (rows == 0 || (rows > 100 && activation > Activation::relu)) continue;
          for (const std::int64_t cols : column_sizes)
            for (const std::int64_t gap : {0, 3}) {
              if (rows > 1000 && gap != 0) continue;
              CAPTURE(rows);
              CAPTURE(cols);
              Reference want = make(rows, cols);
              want.activation = activation;
              want.forward();
              Case got(want, dtype, gap);
              const ops::NormEpilogue epilogue{.activation = activation};
              got.forward(ctx, epilogue);
              const double tol = tolerance(dtype, rows == 2 ? 1e-4 : 5e-6, 1e-11);
              check_close(got.y.values(), want.y, tol, tol);
              check_close(got.mean.values(), want.mean, tol, tol);
              check_close(got.rstd.values(), want.rstd, tol, tol);
              Values running_mean, running_var;
              const double n = static_cast<double>(rows);
              for (std::size_t c = 0; c < want.mean.size(); ++c) {
                running_mean.push_back(.9 * .25 + .1 * want.mean[c]);
                running_var.push_back(rows == 1 ? 2 : .9 * 2 + .1 * want.var[c] * n / (n - 1));
              }
              check_close(got.running_mean.values(), running_mean, tol, tol);
              check_close(got.running_var.values(), running_var, tol, tol);

              Values dx, dgamma, dbeta;
              want.backward(got.dy.values(), dx, dgamma, dbeta);
              for (double& v : dgamma) v += 1;  // gradients of parameters accumulate
              for (double& v : dbeta) v -= 1;
              got.backward(ctx, epilogue);
              // With one or two rows dx is a difference of equal numbers times a large rstd.
              const double scale = rows <= 2 ? 1000 : 1;
              check_close(got.dx.values(), dx, scale * tol, tol);
              check_close(got.dgamma.values(), dgamma, tol * std::sqrt(n) * scale, tol);
              check_close(got.dbeta.values(), dbeta, tol * std::sqrt(n), tol);
              CHECK((got.y.gaps_intact() && got.dx.gaps_intact() && got.x.gaps_intact()));

              const Values dx_before = got.dx.values();
              ops::batch_norm_backward(ctx, got.dy, got.x, got.y, got.gamma.flat(), got.mean.flat(),
                                       got.rstd.flat(), epilogue, got.dy, got.dgamma.flat(),
                                       got.dbeta.flat());
              CHECK(same_bits(got.dy.values(), dx_before));  // dx may be dy
            }
        }
  }
}

TEST_CASE("batch norm gradients equal central differences") {
  for (const Backend level : levels())
    for (const Activation activation : {Activation::identity, Activation::relu, Activation::leaky_relu,
                                        Activation::tanh, Activation::sigmoid}) {
      Context ctx(level);
      Reference r = make(7, 3);
      r.activation = activation;
      Case c(r, DType::f64);
      const ops::NormEpilogue epilogue{.activation = activation};
      const Values weights = c.dy.values();
      const auto objective = [&] {  // sum of dy * y
        Case probe(r, DType::f64);
        probe.forward(ctx, epilogue);
        double sum = 0;
        const Values y = probe.y.values();
        for (std::size_t i = 0; i < y.size(); ++i) sum += weights[i] * y[i];
        return sum;
      };
      const auto differences = [&](Values& parameter) {
        Values slopes;
        for (double& v : parameter) {
          const double kept = v, h = 1e-6;
          v = kept + h;
          const double up = objective();
          v = kept - h;
          slopes.push_back((up - objective()) / (2 * h));
          v = kept;
        }
        return slopes;
      };
      c.forward(ctx, epilogue);
      c.backward(ctx, epilogue);
      check_close(c.dx.values(), differences(r.x), 1e-7, 1e-7);
      Values dgamma = c.dgamma.values(), dbeta = c.dbeta.values();
      for (double& v : dgamma) v -= 1;
      for (double& v : dbeta) v += 1;
      check_close(dgamma, differences(r.gamma), 1e-7, 1e-7);
      check_close(dbeta, differences(r.beta), 1e-7, 1e-7);
    }
}

TEST_CASE("fused dropout drops what the dropout op drops, and its gradient follows the mask") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t rows : {1, 33, 129})
        for (const std::int64_t cols : {3, 16, 64, 100, 128}) {
          CAPTURE(name_of(level));
          CAPTURE(rows);
          CAPTURE(cols);
          Context ctx(level);
          const ops::NormEpilogue epilogue{.activation = Activation::relu,
                                           .dropout = .25f,
                                           .key = {.seed = 5, .purpose = RandomPurpose::dropout, .step = 9}};
          Reference want = make(rows, cols);
          want.activation = Activation::relu;
          Matrix ones(Values(want.x.size(), 1.), rows, cols, dtype);
          ops::dropout_forward(ctx, ones, .25, epilogue.key, ones);
          want.keep = ones.values();
          want.forward();
          Case got(want, dtype);
          got.forward(ctx, epilogue);
          const double tol = tolerance(dtype, 1e-5, 1e-11);
          check_close(got.y.values(), want.y, tol, tol);
          Values dx, dgamma, dbeta;
          want.backward(got.dy.values(), dx, dgamma, dbeta);
          for (double& v : dgamma) v += 1;
          for (double& v : dbeta) v -= 1;
          got.backward(ctx, epilogue);
          check_close(got.dx.values(), dx, tol * (rows == 1 ? 1000 : 1), tol);
          check_close(got.dgamma.values(), dgamma, tol * std::sqrt(static_cast<double>(rows)), tol);
          check_close(got.dbeta.values(), dbeta, tol * std::sqrt(static_cast<double>(rows)), tol);
        }
}

TEST_CASE("batch norm has the same bits on every team") {
  for (const Backend level : levels())
    for (const std::int64_t rows : {0, 1, 65, 640, 2049})
      for (const std::int64_t cols : {1, 17, 64, 100}) {
        CAPTURE(name_of(level));
        CAPTURE(rows);
        const ops::NormEpilogue epilogue{.activation = Activation::relu,
                                         .dropout = .1f,
                                         .key = {.seed = 5, .purpose = RandomPurpose::dropout}};
        const Reference r = make(rows, cols);
        check_same_bits_on_teams(level, [&](TeamPool& pool) {
          Case c(r, DType::f32);
          for (int step = 0; step < 2; ++step)
            pool.run(rows, [&](Context& ctx, const ShardPlan& plan) {
              Matrix mean(1, cols, DType::f32), rstd(1, cols, DType::f32);
              ops::batch_norm_forward(ctx, local(c.x, plan), c.gamma.flat(), c.beta.flat(), eps, momentum,
                                      c.running_mean.flat(), c.running_var.flat(), epilogue, local(c.y, plan),
                                      mean.flat(), rstd.flat());
              const Values running = c.running_var.values();  // complete for every member
              ops::batch_norm_backward(ctx, local(c.dy, plan), local(c.x, plan), local(c.y, plan),
                                       c.gamma.flat(), mean.flat(), rstd.flat(), epilogue, local(c.dx, plan),
                                       c.dgamma.flat(), c.dbeta.flat());
              if (running != c.running_var.values())
                throw NumericalError("running variance changed after the op");
            });
          Values all;
          for (const Matrix* m : {&c.y, &c.dx, &c.running_mean, &c.running_var, &c.dgamma, &c.dbeta})
            for (const double v : m->values()) all.push_back(v);
          return all;
        });
      }
}

TEST_CASE("a large mean does not spoil the variance") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t rows : {33, 64, 2049}) {
        CAPTURE(name_of(level));
        Context ctx(level);
        Reference want =
            make(rows, 5, 1e6, 10);  // floats near 1e6 lie 1/16 apart; the values are exact in both
        want.forward();
        Case got(want, dtype);
        got.forward(ctx, {});
        check_close(got.y.values(), want.y, tolerance(dtype, 1e-5, 1e-9), 1e-5);
        check_close(got.rstd.values(), want.rstd, 0, tolerance(dtype, 1e-5, 1e-10));
      }
}

TEST_CASE("rows in order of size, where later blocks lie far from the first, keep their variance") {
  for (const Backend level : levels()) {
    Context ctx(level);
    Reference want = make(4096, 1);
    for (std::size_t i = 0; i < want.x.size(); ++i) want.x[i] = static_cast<double>(i);
    want.forward();
    Case got(want, DType::f32);
    got.forward(ctx, {});
    check_close(got.rstd.values(), want.rstd, 0, 1e-6);
    check_close(got.mean.values(), want.mean, 0, 1e-6);
  }
}

TEST_CASE("no rows change nothing, one row normalises to beta, constant columns stay finite") {
  for (const Backend level : levels()) {
    Context ctx(level);
    Case none(make(0, 4), DType::f32);
    const Values mean = none.mean.values();
    none.forward(ctx, {});
    none.backward(ctx, {});
    CHECK(none.running_mean.values() == Values(4, .25));
    CHECK(none.running_var.values() == Values(4, 2.));
    CHECK(none.mean.values() == mean);
    CHECK(none.dgamma.values() == Values(4, 1.));

    Case one(make(1, 4), DType::f32);
    one.forward(ctx, {});
    one.backward(ctx, {});
    CHECK(one.y.values() == one.beta.values());
    CHECK(one.running_var.values() == Values(4, 2.));
    check_close(one.dx.values(), Values(4, 0.), 1e-4, 0);

    Reference constant = make(100, 2);
    constant.x.assign(200, 3.7);
    Case flat(constant, DType::f32);
    flat.forward(ctx, {});
    flat.backward(ctx, {});
    check_close(flat.rstd.values(), Values(2, 1 / std::sqrt(eps)), 0, 1e-5);
    for (const double v : flat.dx.values()) CHECK(std::isfinite(v));
  }
}

TEST_CASE("inference uses the running statistics") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const DType dtype : {DType::f32, DType::f64})
      for (const Activation activation :
           {Activation::identity, Activation::relu, Activation::tanh, Activation::sigmoid})
        for (const std::int64_t rows : {0, 1, 33, 129})
          for (const std::int64_t cols : {1, 17, 100}) {
            const Reference r = make(rows, cols);
            Case c(r, dtype, 2);
            ops::batch_norm_infer(ctx, c.x, c.gamma.flat(), c.beta.flat(), eps, c.running_mean.flat(),
                                  c.running_var.flat(), activation, c.y);
            Values want = r.x;
            for (std::size_t i = 0; i < want.size(); ++i) {
              const std::size_t k = i % static_cast<std::size_t>(cols);
              want[i] = activate(activation, r.gamma[k] * (want[i] - .25) / std::sqrt(2 + eps) + r.beta[k]);
            }
            const double tol = tolerance(dtype, 1e-6, 1e-14);
            check_close(c.y.values(), want, tol, tol);
          }
  }
}

TEST_CASE("batch norm passes NaN on") {
  for (const Backend level : levels()) {
    Context ctx(level);
    Reference r = make(40, 3);
    r.x[50] = std::nan("");  // column 2
    Case c(r, DType::f32);
    c.forward(ctx, {.activation = Activation::relu});
    CHECK(std::isnan(c.y.values()[2]));
    CHECK(std::isnan(c.running_var.values()[2]));
    CHECK(std::isfinite(c.y.values()[1]));
  }
}

TEST_CASE("batch norm allocates nothing after the second call") {
  Context ctx;
  Case c(make(300, 64), DType::f32);
  const ops::NormEpilogue epilogue{.activation = Activation::relu, .dropout = .1f, .key = {}};
  std::int64_t before = 0;
  for (int i = 0; i < 4; ++i) {
    if (i == 2) before = allocation_count();
    c.forward(ctx, epilogue);
    c.backward(ctx, epilogue);
  }
  CHECK(allocation_count() == before);
}

TEST_CASE("batch norm names what does not fit") {
  Context ctx;
  Case c(make(4, 3), DType::f32);
  Matrix four(1, 4, DType::f32);
  const auto forward = [&](TensorView gamma, double e, double m, const ops::NormEpilogue& epilogue) {
    ops::batch_norm_forward(ctx, c.x, gamma, c.beta.flat(), e, m, c.running_mean.flat(), c.running_var.flat(),
                            epilogue, c.y, c.mean.flat(), c.rstd.flat());
  };
  CHECK_THROWS_WITH_AS(forward(four.flat(), eps, .1, {}),
                       "batch_norm_forward: gamma has shape (4), expected (3) because x has 3 columns",
                       ShapeError);
  CHECK_THROWS_WITH_AS(forward(c.gamma.flat(), 0, .1, {}),
                       "batch_norm_forward: eps is 0, expected more than 0", ConfigError);
  CHECK_THROWS_WITH_AS(forward(c.gamma.flat(), eps, 2, {}),
                       "batch_norm_forward: momentum is 2, expected 0 to 1", ConfigError);
  CHECK_THROWS_WITH_AS(
      forward(c.gamma.flat(), eps, .1, {.activation = Activation::gelu}),
      "batch_norm_forward: activation gelu has no derivative from its output, expected identity, "
      "relu, leaky_relu, tanh or sigmoid",
      ConfigError);
  CHECK_THROWS_WITH_AS(
      forward(c.gamma.flat(), eps, .1, {.activation = Activation::tanh, .dropout = .1f, .key = {}}),
      "batch_norm_forward: dropout follows tanh, expected relu", ConfigError);
  CHECK_THROWS_WITH_AS(
      forward(c.gamma.flat(), eps, .1, {.activation = Activation::relu, .dropout = 1, .key = {}}),
      "batch_norm_forward: dropout is 1, expected 0 <= p < 1", ConfigError);
  CHECK_THROWS_WITH_AS(ops::batch_norm_backward(
                           ctx, c.dy, c.x, ConstTensorView(), c.gamma.flat(), c.mean.flat(), c.rstd.flat(),
                           {.activation = Activation::relu}, c.dx, c.dgamma.flat(), c.dbeta.flat()),
                       "batch_norm_backward: y has shape (0), expected (4, 3) as dy", ShapeError);
}
