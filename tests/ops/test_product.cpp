#include "emshap/ops/product.h"

#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

TEST_CASE("products, column sums and transposes at every level, type, size and stride") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t M : {0, 1, 7, 33})
        for (const std::int64_t K : {0, 1, 15, 48})
          for (const std::int64_t N : {1, 15, 16, 17, 64, 70})
            for (const std::int64_t gap : {0, 5}) {
              CAPTURE(name_of(level));
              CAPTURE(M);
              CAPTURE(K);
              CAPTURE(N);
              Context ctx(level);
              const Values av = random_values(M * K, 1), bv = random_values(K * N, 2),
                           yv = random_values(M * N, 3);
              Values ab = yv, sums = random_values(N, 4), at(av.size()), at_b = random_values(K * N, 5);
              const Values start = at_b, sums_start = sums;
              const auto n = static_cast<std::size_t>(N), k = static_cast<std::size_t>(K),
                         m = static_cast<std::size_t>(M);
              for (std::size_t i = 0; i < m; ++i)
                for (std::size_t j = 0; j < k; ++j) {
                  at[j * m + i] = av[i * k + j];
                  for (std::size_t c = 0; c < n; ++c) {
                    ab[i * n + c] += av[i * k + j] * bv[j * n + c];
                    at_b[j * n + c] += av[i * k + j] * yv[i * n + c];
                  }
                }
              for (std::size_t i = 0; i < m; ++i)
                for (std::size_t c = 0; c < n; ++c) sums[c] += yv[i * n + c];
              const Matrix a(av, M, K, dtype, gap), b(bv, K, N, dtype, gap), x(yv, M, N, dtype, gap);
              Matrix y(yv, M, N, dtype, gap), w(start, K, N, dtype, gap), s(sums_start, 1, N, dtype),
                  t(K, M, dtype, gap);
              ops::add_product(ctx, a, b, y);
              ops::add_product_at(ctx, a, x, w);
              ops::add_column_sums(ctx, x, s.flat());
              ops::transpose(ctx, a, t);
              const double eps = tolerance(dtype, 2e-5, 1e-13);
              check_close(y.values(), ab, eps, eps);
              check_close(w.values(), at_b, eps, eps);
              check_close(s.values(), sums, eps, eps);
              CHECK(t.values() == at);
              CHECK(y.gaps_intact());
              CHECK(w.gaps_intact());
            }
}

TEST_CASE("operands that do not fit are refused") {
  Context ctx;
  Matrix a(2, 3, DType::f32), b(4, 5, DType::f32), y(2, 5, DType::f32);
  CHECK_THROWS_WITH_AS(ops::add_product(ctx, a, b, y),
                       "add_product: a has shape (2, 3), b (4, 5) and y (2, 5), which do not fit together",
                       ShapeError);
  CHECK_THROWS_AS(ops::transpose(ctx, a, y), ShapeError);
}
