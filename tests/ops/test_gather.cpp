#include "emshap/ops/gather.h"

#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

TEST_CASE("rows are gathered, put back and added in order") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t B : {0, 1, 2, 31, 33})
        for (const std::int64_t D : column_sizes)
          for (const std::int64_t gap : {0, 3}) {
            CAPTURE(name_of(level));
            CAPTURE(B);
            CAPTURE(D);
            Context ctx(level);
            constexpr std::int64_t N = 9;
            const Values table = random_values(N * D, 1), x = random_values(B * D, 2);
            std::vector<std::int32_t> index;
            for (std::int64_t b = 0; b < B; ++b) index.push_back(static_cast<std::int32_t>(b * b % N));
            Values gathered, added = table, last = table;
            for (std::size_t b = 0; b < index.size(); ++b)
              for (std::size_t d = 0; d < static_cast<std::size_t>(D); ++d) {
                const std::size_t to = static_cast<std::size_t>(index[b] * D) + d,
                                  from = b * static_cast<std::size_t>(D) + d;
                gathered.push_back(table[to]);
                last[to] = x[from];
                added[to] =
                    dtype == DType::f32
                        ? static_cast<double>(static_cast<float>(added[to]) + static_cast<float>(x[from]))
                        : added[to] + x[from];
              }
            const Tensor i = Tensor::from(index, {B});
            const Matrix rows(x, B, D, dtype, gap);
            Matrix from(table, N, D, dtype, gap), y(B, D, dtype, gap), put(table, N, D, dtype),
                sum(table, N, D, dtype, gap);
            ops::gather_rows(ctx, from, i, y);
            ops::scatter_rows(ctx, rows, i, put);
            ops::scatter_add_rows(ctx, rows, i, sum);
            CHECK(y.values() == gathered);
            CHECK(put.values() == last);
            CHECK(sum.values() == added);  // to the bit: the order is fixed
            CHECK(y.gaps_intact());
            CHECK(sum.gaps_intact());
          }
}

TEST_CASE("an index outside is refused") {
  Context ctx;
  Matrix table(3, 2, DType::f32), y(2, 2, DType::f32);
  const Tensor index = Tensor::from(std::vector<std::int32_t>{0, 3}, {2});
  CHECK_THROWS_WITH_AS(ops::gather_rows(ctx, table, index, y),
                       "gather_rows: index 1 is 3, expected 0 to 2 because table has 3 rows", ShapeError);
  CHECK_THROWS_AS(ops::scatter_add_rows(ctx, Matrix(2, 3, DType::f32), index, table), ShapeError);
}

TEST_CASE("lines of a table are summed with their factors") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t B : {0, 1, 5})
        for (const std::int64_t n : {0, 1, 7})
          for (const std::int64_t D : {1, 16, 33, 128, 200})
            for (const Activation activation : {Activation::identity, Activation::relu}) {
              CAPTURE(name_of(level));
              CAPTURE(D);
              Context ctx(level);
              constexpr std::int64_t N = 6;
              const Values table = random_values(N * 2 * D, 1), base = random_values(D, 2),
                           factor = random_values(B * n, 3);
              std::vector<std::int32_t> index;
              for (std::int64_t i = 0; i < B * n; ++i)
                index.push_back(static_cast<std::int32_t>((i * i + 3) % N));
              Values want;
              for (std::int64_t b = 0; b < B; ++b)
                for (std::int64_t d = 0; d < D; ++d) {
                  double sum = base[static_cast<std::size_t>(d)];
                  for (std::int64_t i = 0; i < n; ++i) {
                    const auto at = static_cast<std::size_t>(b * n + i);
                    const auto line = static_cast<std::size_t>(index[at] * 2 * D + d);
                    sum += table[line] + factor[at] * table[line + static_cast<std::size_t>(D)];
                  }
                  want.push_back(activation == Activation::relu ? std::max(sum, 0.) : sum);
                }
              Matrix y(B, D, dtype, 3);
              ops::sum_table_lines(ctx, Matrix(table, N, 2 * D, dtype), Tensor::from(index, {B, n}),
                                   Matrix(factor, B, n, dtype), Matrix(base, 1, D, dtype), activation, y);
              const double limit = dtype == DType::f32 ? 1e-5 : 1e-13;
              check_close(y.values(), want, limit, limit);
              CHECK(y.gaps_intact());
            }
  Context ctx;
  Matrix table(3, 4, DType::f32), y(1, 2, DType::f32), factor(1, 1, DType::f32);
  const Tensor base({2}), outside = Tensor::from(std::vector<std::int32_t>{3}, {1, 1});
  CHECK_THROWS_AS(ops::sum_table_lines(ctx, table, outside, factor, base, Activation::relu, y), ShapeError);
  const Tensor inside = Tensor::from(std::vector<std::int32_t>{2}, {1, 1});
  CHECK_THROWS_AS(ops::sum_table_lines(ctx, table, inside, factor, base, Activation::tanh, y), ConfigError);
  CHECK_THROWS_AS(ops::sum_table_lines(ctx, y, inside, factor, base, Activation::relu, y), ShapeError);
}
