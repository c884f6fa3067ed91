#include "emshap/ops/draw_noise.h"

#include <algorithm>

#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

namespace {

const RandomKey key{.seed = 7, .purpose = RandomPurpose::test, .step = 3};

Values noise(Context& ctx, DrawNoise kind, const std::vector<std::int64_t>& numbers, std::int64_t first,
             std::int64_t draws, std::int64_t cols, DType dtype = DType::f32, std::int64_t gap = 0) {
  Matrix y(static_cast<std::int64_t>(numbers.size()) * draws, cols, dtype, gap);
  ops::fill_draw_noise(ctx, kind, key, numbers, first, draws, y);
  CHECK(y.gaps_intact());
  return y.values();
}

}  // namespace

TEST_CASE("the numbers of a row and draw do not depend on how rows and draws are cut, nor on the level") {
  for (const DrawNoise kind : {DrawNoise::independent, DrawNoise::sobol})
    for (const std::int64_t cols : {2, 7, 42, 256, 300})
      for (const DType dtype : {DType::f32, DType::f64}) {
        Context own;
        const Values all = noise(own, kind, {5, 0, 123456789}, 0, 33, cols, dtype);
        CHECK(std::all_of(all.begin(), all.end(), [](double u) { return u > 0 && u < 1; }));
        for (const Backend level : levels()) {
          Context ctx(level);
          CHECK(same_bits(noise(ctx, kind, {5, 0, 123456789}, 0, 33, cols, dtype, 3), all));
          const Values part = noise(ctx, kind, {0}, 10, 5, cols, dtype);
          const auto at = all.begin() + (33 + 10) * cols;
          CHECK(same_bits(part, Values(at, at + 5 * cols)));
        }
        if (dtype == DType::f64) {  // floats are the doubles with fewer digits
          const Values floats = noise(own, kind, {5, 0, 123456789}, 0, 33, cols);
          for (std::size_t i = 0; i < all.size(); ++i) CHECK(std::abs(all[i] - floats[i]) < 0x1p-22);
        }
      }
}

TEST_CASE("rows differ, columns are uniform, and Sobol points fill intervals evenly") {
  Context ctx;
  const std::int64_t K = 256, cols = 42;
  for (const DrawNoise kind : {DrawNoise::independent, DrawNoise::sobol}) {
    const Values u = noise(ctx, kind, {0, 1}, 0, K, cols);
    double covariance = 0;
    for (std::int64_t c = 0; c < cols; ++c) {
      double sum = 0, product = 0;
      std::vector<int> cell(K);
      for (std::int64_t k = 0; k < K; ++k) {
        const double a = u[static_cast<std::size_t>(k * cols + c)];
        const double b = u[static_cast<std::size_t>((K + k) * cols + c)];
        sum += a;
        product += (a - .5) * (b - .5);
        ++cell[static_cast<std::size_t>(a * static_cast<double>(K))];
      }
      CHECK(std::abs(sum / K - .5) < .08);
      covariance += product / K / cols;
      // Two scrambles of one point set go together or apart in a column, by chance.
      if (kind == DrawNoise::independent) CHECK(std::abs(product / K) < .03);
      const bool even = std::all_of(cell.begin(), cell.end(), [](int n) { return n == 1; });
      CHECK(even == (kind == DrawNoise::sobol));
    }
    CHECK(std::abs(covariance) < .03);
  }
}

TEST_CASE("sizes 0 and numbers that do not fit") {
  Context ctx;
  CHECK(noise(ctx, DrawNoise::sobol, {}, 0, 5, 4).empty());
  CHECK(noise(ctx, DrawNoise::independent, {1, 2}, 0, 0, 4).empty());
  Matrix y(10, 4, DType::f32);
  const std::vector<std::int64_t> numbers{0, 1};
  CHECK_THROWS_AS(ops::fill_draw_noise(ctx, DrawNoise::sobol, key, numbers, 0, 4, y), ShapeError);
  CHECK_THROWS_AS(ops::fill_draw_noise(ctx, DrawNoise::sobol, key, numbers, 1 << 28, 5, y), ConfigError);
}
