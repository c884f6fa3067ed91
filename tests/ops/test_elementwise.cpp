#include "emshap/ops/elementwise.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

namespace {
const auto apply = [](const Values& a, const Values& b, const auto& f) {
  Values y(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) y[i] = f(a[i], b[i]);
  return y;
};
}  // namespace

TEST_CASE("elementwise ops equal their formulas at every level, type, size and stride") {
  for (const Backend level : levels()) {
    Context ctx(level);
    CAPTURE(name_of(level));
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t rows : {0, 1, 2, 33, 129})
        for (const std::int64_t cols : column_sizes)
          for (const std::int64_t gap : {0, 5}) {
            CAPTURE(rows);
            CAPTURE(cols);
            const std::int64_t n = rows * cols;
            const Values av = random_values(n, 1), bv = random_values(n, 2),
                         zero(static_cast<std::size_t>(n), 0.0);
            const Matrix a(av, rows, cols, dtype, gap), b(bv, rows, cols, dtype, gap);
            Matrix y(rows, cols, dtype, gap);
            const double eps = tolerance(dtype, 3e-7, 1e-15);
            const auto check = [&](const Values& want) {
              check_close(y.values(), want, eps, eps);
              CHECK(y.gaps_intact());
            };
            ops::fill(ctx, 2.5, y);
            check(apply(av, bv, [](double, double) { return 2.5; }));
            ops::copy(ctx, a, y);
            check(av);
            ops::add(ctx, a, b, y);
            check(apply(av, bv, [](double p, double q) { return p + q; }));
            ops::multiply(ctx, a, b, y);
            check(apply(av, bv, [](double p, double q) { return p * q; }));
            ops::affine(ctx, a, -1.5, .25, y);
            check(apply(av, bv, [](double p, double) { return -1.5 * p + .25; }));
            ops::copy(ctx, b, y);
            ops::axpy(ctx, .5, a, y);
            check(apply(av, bv, [](double p, double q) { return q + .5 * p; }));
            Matrix scale(random_values(cols, 3), 1, cols, dtype),
                shift(random_values(cols, 4), 1, cols, dtype);
            ops::scale_shift_columns(ctx, a, scale.flat(), shift.flat(), y);
            Values want = av;
            for (std::size_t i = 0; i < want.size(); ++i) {
              const std::size_t c = i % static_cast<std::size_t>(cols);
              want[i] = want[i] * scale.values()[c] + shift.values()[c];
            }
            check(want);
          }
  }
}

TEST_CASE("elementwise outputs may be inputs") {
  for (const Backend level : levels()) {
    Context ctx(level);
    const Values av = random_values(7 * 33, 1), bv = random_values(7 * 33, 2);
    Matrix y(av, 7, 33, DType::f32);
    const Matrix b(bv, 7, 33, DType::f32);
    ops::add(ctx, y, b, y);
    check_close(y.values(), apply(av, bv, [](double p, double q) { return p + q; }), 1e-6, 1e-6);
    ops::multiply(ctx, y, y, y);
    check_close(y.values(), apply(av, bv, [](double p, double q) { return (p + q) * (p + q); }), 1e-6, 1e-6);
    ops::affine(ctx, y, 2, 1, y);
    check_close(y.values(), apply(av, bv, [](double p, double q) { return 2 * (p + q) * (p + q) + 1; }), 1e-6,
                1e-6);
  }
}

TEST_CASE("copy converts between float and double") {
  for (const Backend level : levels()) {
    Context ctx(level);
    const Values av = random_values(5 * 19, 1);
    const Matrix f(av, 5, 19, DType::f32, 3);
    Matrix d(5, 19, DType::f64, 2), g(5, 19, DType::f32);
    ops::copy(ctx, f, d);
    CHECK(d.values() == av);
    ops::copy(ctx, d, g);
    CHECK(g.values() == av);
  }
}

TEST_CASE("fill_shared fills a buffer that all members share") {
  for (const std::int64_t n : {0, 1, 15, 16, 17, 1000})
    for (const int threads : team_sizes) {
      TeamPool pool(threads);
      Matrix y(1, n, DType::f32);
      pool.run(64 * 7, [&](Context& ctx, const ShardPlan&) {
        ops::fill_shared(ctx, 3, y.flat());
        const Values seen = y.values();  // complete for every member once the op returns
        if (std::count(seen.begin(), seen.end(), 3.0) != n) throw NumericalError("not filled");
      });
      CHECK(y.values() == Values(static_cast<std::size_t>(n), 3.0));
    }
}

TEST_CASE("fill_shared waits for a member that still reads the buffer") {
  const Values before = random_values(1000, 1);
  Matrix y(before, 1, 1000, DType::f32);
  TeamPool pool(2);
  pool.run(128, [&](Context& ctx, const ShardPlan&) {
    if (ctx.team().rank() == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      if (y.values() != before) throw NumericalError("the buffer changed while a member read it");
    }
    ops::fill_shared(ctx, 3, y.flat());
  });
  CHECK(y.values() == Values(1000, 3.0));
}

TEST_CASE("elementwise ops name the argument that does not fit") {
  Context ctx;
  Matrix a(2, 3, DType::f32), b(2, 4, DType::f32), d(2, 3, DType::f64), strided(2, 3, DType::f32, 1);
  Tensor whole({2, 3}, DType::i32);
  CHECK_THROWS_WITH_AS(ops::add(ctx, a, b, a), "add: b has shape (2, 4), expected (2, 3) as a", ShapeError);
  CHECK_THROWS_WITH_AS(ops::multiply(ctx, a, a, b), "multiply: y has shape (2, 4), expected (2, 3) as a",
                       ShapeError);
  CHECK_THROWS_WITH_AS(ops::add(ctx, a, d, a), "add: b holds f64, expected f32 as a", DTypeError);
  CHECK_THROWS_WITH_AS(ops::scale_shift_columns(ctx, a, b, b, a),
                       "scale_shift_columns: scale has shape (2, 4), expected (3) because x has 3 columns",
                       ShapeError);
  CHECK_THROWS_WITH_AS(
      ops::fill_shared(ctx, 0, strided),
      "fill_shared: y has rows 4 elements apart, expected 3 because it is split among the members by "
      "ranges of elements",
      ShapeError);
  CHECK_THROWS_WITH_AS(ops::fill(ctx, 0, whole), "an op got a tensor of i32, expected f32 or f64",
                       DTypeError);
}

TEST_CASE("ops report their names to the trace") {
  Context ctx;
  std::string names;
  ctx.set_trace([&](const char* op) { names += std::string(op) + " "; });
  Matrix a(2, 3, DType::f32);
  ops::fill(ctx, 1, a);
  ops::axpy(ctx, 1, a, a);
  CHECK(names == "fill axpy ");
}
