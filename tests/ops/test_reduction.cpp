#include "emshap/ops/reduction.h"

#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

TEST_CASE("sums equal double references at every level, type, size and stride") {
  for (const Backend level : levels()) {
    Context ctx(level);
    CAPTURE(name_of(level));
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t rows : row_sizes)
        for (const std::int64_t cols : column_sizes)
          for (const std::int64_t gap : {0, 7}) {
            CAPTURE(rows);
            CAPTURE(cols);
            const Values xv = random_values(rows * cols, 1, .5);
            const Matrix x(xv, rows, cols, dtype, gap);
            Values by_column(static_cast<std::size_t>(cols)), by_row(static_cast<std::size_t>(rows));
            double total = 0;
            for (std::int64_t r = 0; r < rows; ++r)
              for (std::int64_t c = 0; c < cols; ++c) {
                const double v = xv[static_cast<std::size_t>(r * cols + c)];
                by_column[static_cast<std::size_t>(c)] += v;
                by_row[static_cast<std::size_t>(r)] += v;
                total += v;
              }
            Matrix columns(1, cols, dtype), each(1, rows, dtype), one(1, 1, dtype);
            const double eps = tolerance(dtype, 1e-6, 1e-14);
            ops::sum_over_rows(ctx, x, columns.flat());
            check_close(columns.values(), by_column, eps * std::sqrt(static_cast<double>(rows) + 1), eps);
            ops::sum_over_columns(ctx, x, each.flat());
            check_close(each.values(), by_row, eps, eps);
            ops::sum(ctx, x, one.flat());
            check_close(one.values(), {total}, eps, eps);
            CHECK(x.gaps_intact());
          }
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t n : {0, 1, 15, 17, 4095, 4096, 4097, 20000}) {
        CAPTURE(n);
        const Values v = random_values(n, 3);
        double want = 0;
        for (const double e : v) want += e * e;
        Matrix x(v, 1, n, dtype), one(1, 1, dtype);
        ops::sum_of_squares_shared(ctx, x.flat(), one.flat());
        check_close(one.values(), {want}, 0, tolerance(dtype, 1e-7, 1e-13));
      }
  }
}

TEST_CASE("long float sums keep their accuracy") {
  for (const Backend level : levels()) {
    Context ctx(level);
    const std::int64_t rows = 1 << 20;  // ones and tenths: naive float addition would lose 1e-2 of this sum
    const Matrix x(Values(static_cast<std::size_t>(rows), .1), rows, 1, DType::f32);
    Matrix out(1, 1, DType::f32);
    ops::sum_over_rows(ctx, x, out.flat());
    check_close(out.values(), {static_cast<double>(rows) * static_cast<double>(.1f)}, 0, 1e-5);
    ops::sum(ctx, x, out.flat());
    check_close(out.values(), {static_cast<double>(rows) * static_cast<double>(.1f)}, 0, 1e-7);
  }
}

TEST_CASE("sums have the same bits on every team, for every member") {
  for (const Backend level : levels())
    for (const std::int64_t rows : {0, 1, 64, 65, 640, 2049})
      for (const std::int64_t cols : {1, 17, 100}) {
        CAPTURE(name_of(level));
        CAPTURE(rows);
        Matrix x(random_values(rows * cols, 5), rows, cols, DType::f32, 3);
        check_same_bits_on_teams(level, [&](TeamPool& pool) {
          std::vector<Values> of_member(static_cast<std::size_t>(pool.threads()));
          for (int repeat = 0; repeat < 3; ++repeat)  // partials of one op must not disturb the next
            pool.run(rows, [&](Context& ctx, const ShardPlan& plan) {
              Matrix columns(1, cols, DType::f32), one(1, 1, DType::f32), squares(1, 1, DType::f32);
              Matrix flat(random_values(10000, 6), 1, 10000, DType::f32);
              ops::sum_over_rows(ctx, local(x, plan), columns.flat());
              ops::sum(ctx, local(x, plan), one.flat());
              ops::sum_of_squares_shared(ctx, flat.flat(), squares.flat());
              Values& mine = of_member[static_cast<std::size_t>(ctx.team().rank())] = columns.values();
              mine.push_back(one.values()[0]);
              mine.push_back(squares.values()[0]);
            });
          for (const Values& v : of_member)
            if (!v.empty()) CHECK(same_bits(v, of_member[0]));
          return of_member[0];
        });
      }
}

TEST_CASE("sums allocate nothing after the second call") {
  for (const Backend level : levels()) {
    Context ctx(level);
    const Matrix x(random_values(2049 * 100, 1), 2049, 100, DType::f32);
    Matrix columns(1, 100, DType::f32), one(1, 1, DType::f32);
    std::int64_t before = 0;
    for (int i = 0; i < 4; ++i) {
      if (i == 2) before = allocation_count();
      ops::sum_over_rows(ctx, x, columns.flat());
      ops::sum(ctx, x, one.flat());
    }
    CHECK(allocation_count() == before);
  }
}

TEST_CASE("sums name the argument that does not fit") {
  Context ctx;
  Matrix x(2, 3, DType::f32, 1), out(1, 4, DType::f32);
  CHECK_THROWS_WITH_AS(ops::sum_over_rows(ctx, x, out.flat()),
                       "sum_over_rows: out has shape (4), expected (3) because x has 3 columns", ShapeError);
  CHECK_THROWS_WITH_AS(
      ops::sum_over_columns(ctx, x, out.flat()),
      "sum_over_columns: out has shape (4), expected (2) because it gets one sum for each row of x",
      ShapeError);
  CHECK_THROWS_WITH_AS(ops::sum(ctx, x, out.flat()),
                       "sum: out has shape (4), expected (1) because it gets one sum", ShapeError);
  CHECK_THROWS_WITH_AS(
      ops::sum_of_squares_shared(ctx, x, out.flat()),
      "sum_of_squares_shared: x has rows 4 elements apart, expected 3 because it is summed in fixed "
      "blocks of elements",
      ShapeError);
}

TEST_CASE("log-sum-exp of rows and its gradient") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t rows : {0, 1, 3})
        for (const std::int64_t cols : {1, 3, 15, 16, 17, 33, 100})
          for (const double shift : {0.0, 300.0, -300.0}) {
            CAPTURE(name_of(level));
            CAPTURE(cols);
            CAPTURE(shift);
            Context ctx(level);
            const Values xv = random_values(rows * cols, 1, shift, 3), up = random_values(rows, 2);
            const Matrix x(xv, rows, cols, dtype, 4);
            Values want, gradient;
            for (std::int64_t r = 0; r < rows; ++r) {
              double sum = 0;
              for (std::int64_t c = 0; c < cols; ++c)
                sum += std::exp(xv[static_cast<std::size_t>(r * cols + c)] - shift);
              want.push_back(shift + std::log(sum));
              for (std::int64_t c = 0; c < cols; ++c)
                gradient.push_back(up[static_cast<std::size_t>(r)] *
                                   std::exp(xv[static_cast<std::size_t>(r * cols + c)] - want.back()));
            }
            Matrix out(1, rows, dtype), dout(up, 1, rows, dtype), dx(rows, cols, dtype, 1);
            ops::log_sum_exp(ctx, x, out.flat());
            check_close(out.values(), want, tolerance(dtype, 1e-6, 1e-14), tolerance(dtype, 1e-6, 1e-14));
            ops::log_sum_exp_backward(ctx, x, out.flat(), dout.flat(), dx);
            check_close(dx.values(), gradient, tolerance(dtype, 1e-4, 1e-12), tolerance(dtype, 1e-4, 1e-12));
            CHECK(dx.gaps_intact());
          }
}

TEST_CASE("log-sum-exp: infinities and nan") {
  const double inf = INFINITY;
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64}) {
      Context ctx(level);
      const Matrix x(Values{-inf, -inf, 0, -inf, inf, 1, NAN, 1}, 4, 2, dtype);
      Matrix out(1, 4, dtype);
      ops::log_sum_exp(ctx, x, out.flat());
      const Values got = out.values();
      CHECK(got[0] == -inf);
      CHECK(got[1] == 0);
      CHECK(got[2] == inf);
      CHECK(std::isnan(got[3]));
      Matrix nothing(1, 2, dtype);
      ops::log_sum_exp(ctx, Matrix(2, 0, dtype), nothing.flat());
      CHECK(nothing.values() == Values{-inf, -inf});
    }
}
