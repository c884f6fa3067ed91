#include "emshap/ops/random_fill.h"

#include <algorithm>

#include "math/philox.h"
#include "math/random_value.h"
#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

namespace {

const RandomKey key{4, RandomPurpose::test, 2, 9};

std::uint32_t word(std::int64_t row, std::int64_t column, bool second) {
  const auto block = static_cast<std::uint32_t>(column / 4) | (second ? math::second_word_blocks : 0);
  return math::PhiloxStream(key).row(static_cast<std::uint64_t>(row)).block(block).word[column % 4];
}

}  // namespace

TEST_CASE("random fills are functions of key, row and column at every level, size and stride") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t gap : {0, 3})
        for (const std::int64_t rows : {0, 1, 2, 33})
          for (const std::int64_t cols : {0, 1, 3, 15, 16, 17, 63, 64, 65, 130}) {
            Values uniform, normal;
            for (std::int64_t r = 0; r < rows; ++r)
              for (std::int64_t c = 0; c < cols; ++c) {
                const std::uint32_t a = word(r, c, false), b = word(r, c, true);
                if (dtype == DType::f32) {
                  uniform.push_back(static_cast<double>(math::uniform_from(a) * 3.f + -1.f));
                  normal.push_back(static_cast<double>(math::normal_from(a) * 2.f + 1.f));
                } else {
                  uniform.push_back(math::uniform_from(a, b) * 3. + -1.);
                  normal.push_back(math::normal_from(a, b) * 2. + 1.);
                }
              }
            Matrix u(rows, cols, dtype, gap), z(rows, cols, dtype, gap);
            ops::fill_uniform(ctx, key, -1, 2, u);
            ops::fill_normal(ctx, key, 1, 2, z);
            INFO(name_of(level) << ' ' << rows << 'x' << cols);
            CHECK(same_bits(u.values(), uniform));
            check_close(z.values(), normal, tolerance(dtype, 1e-6, 1e-14), tolerance(dtype, 1e-6, 1e-14));
            CHECK(u.gaps_intact());
            CHECK(z.gaps_intact());
          }
  }
}

TEST_CASE("random fills give the same bits for any number of threads") {
  const std::int64_t rows = 700, cols = 37;
  for (const Backend level : levels())
    check_same_bits_on_teams(level, [&](TeamPool& pool) {
      Matrix u(rows, cols, DType::f32), z(rows, cols, DType::f64);
      pool.run(rows, [&](Context& ctx, const ShardPlan& plan) {
        ops::fill_uniform(ctx, key, 0, 1, local(u, plan));
        ops::fill_normal(ctx, key, 0, 1, local(z, plan));
      });
      Values both = u.values();
      for (const double v : z.values()) both.push_back(v);
      return both;
    });
}

TEST_CASE("random fills follow their distributions") {
  Context ctx;
  Matrix u(1000, 200, DType::f32), z(1000, 200, DType::f32);
  ops::fill_uniform(ctx, key, 0, 1, u);
  ops::fill_normal(ctx, key, 0, 1, z);
  Values us = u.values(), zs = z.values();
  std::sort(us.begin(), us.end());
  std::sort(zs.begin(), zs.end());
  const double n = static_cast<double>(us.size());
  double distance_u = 0, distance_z = 0;  // Kolmogorov-Smirnov
  for (std::size_t i = 0; i < us.size(); ++i) {
    const double share = (static_cast<double>(i) + .5) / n;
    distance_u = std::max(distance_u, std::abs(us[i] - share));
    distance_z = std::max(distance_z, std::abs(.5 * std::erfc(-zs[i] / std::sqrt(2.)) - share));
  }
  CHECK(distance_u * std::sqrt(n) < 1.95);  // exceeded once in 1000
  CHECK(distance_z * std::sqrt(n) < 1.95);
}

TEST_CASE("random fill arguments are checked") {
  Context ctx;
  Matrix y(2, 2, DType::f32);
  CHECK_THROWS_AS(ops::fill_uniform(ctx, key, 2, 1, y), ConfigError);
  CHECK_THROWS_AS(ops::fill_uniform(ctx, key, 0, INFINITY, y), ConfigError);
  CHECK_THROWS_AS(ops::fill_normal(ctx, key, 0, -1, y), ConfigError);
  CHECK_THROWS_AS(ops::fill_normal(ctx, key, NAN, 1, y), ConfigError);
}
