#include "emshap/ops/dropout.h"

#include "math/philox.h"
#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

namespace {

const RandomKey key{42, RandomPurpose::dropout, 1, 3};

/// The documented mask: 16 bits of word (c % 8) / 2 of Philox block c / 8, low half first, against round(p
/// 65536).
bool kept(const RandomKey& k, double p, std::int64_t row, std::int64_t column) {
  const auto block = math::PhiloxStream(k)
                         .row(static_cast<std::uint64_t>(row))
                         .block(static_cast<std::uint32_t>(column / 8));
  const std::uint32_t half = block.word[column % 8 / 2] >> (column % 2 * 16) & 0xffff;
  return half >= static_cast<std::uint32_t>(std::lround(p * 65536));
}

}  // namespace

TEST_CASE("dropout keeps what the documented mask keeps, at every level, size and stride") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t gap : {0, 3})
        for (const std::int64_t rows : {0, 1, 2, 65})
          for (const std::int64_t cols : {0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 199})
            for (const double p : {0., .1, .5}) {
              const Values x = random_values(rows * cols, 1);
              Values want;
              for (std::int64_t r = 0; r < rows; ++r)
                for (std::int64_t c = 0; c < cols; ++c)
                  want.push_back(kept(key, p, r, c) ? x[static_cast<std::size_t>(r * cols + c)] / (1 - p)
                                                    : 0);
              const Matrix mx(x, rows, cols, dtype, gap);
              Matrix y(rows, cols, dtype, gap), dx(rows, cols, dtype, gap);
              ops::dropout_forward(ctx, mx, p, key, y);
              ops::dropout_backward(ctx, mx, p, key, dx);
              INFO(name_of(level) << ' ' << rows << 'x' << cols << " p " << p);
              check_close(y.values(), want, 1e-30, tolerance(dtype, 2e-7, 1e-15));
              CHECK(same_bits(y.values(), dx.values()));
              CHECK(y.gaps_intact());
            }
  }
}

TEST_CASE("dropout gives the same bits for any number of threads and in place") {
  const std::int64_t rows = 1000, cols = 70;
  const Values x = random_values(rows * cols, 2);
  for (const Backend level : levels()) {
    const Values first = check_same_bits_on_teams(level, [&](TeamPool& pool) {
      Matrix in(x, rows, cols, DType::f32), out(rows, cols, DType::f32);
      pool.run(rows, [&](Context& ctx, const ShardPlan& plan) {
        ops::dropout_forward(ctx, local(in, plan), .3, key, local(out, plan));
      });
      return out.values();
    });
    Context ctx(level);
    Matrix same(x, rows, cols, DType::f32);
    ops::dropout_forward(ctx, same, .3, key, same);
    CHECK(same_bits(same.values(), first));
  }
}

TEST_CASE("dropout keeps a share of 1 - p, and other keys keep other elements") {
  Context ctx;
  const std::int64_t rows = 2000, cols = 128;
  const Matrix ones(Values(static_cast<std::size_t>(rows * cols), 1.), rows, cols, DType::f32);
  const auto mask = [&](double p, const RandomKey& k) {
    Matrix y(rows, cols, DType::f32);
    ops::dropout_forward(ctx, ones, p, k, y);
    return y.values();
  };
  const double n = static_cast<double>(rows * cols);
  for (const double p : {.05, .1, .5, .9}) {
    double kept_count = 0, neighbours = 0;
    const Values m = mask(p, key);
    for (std::size_t i = 0; i < m.size(); ++i) {
      kept_count += m[i] != 0;
      neighbours += i > 0 && m[i] != 0 && m[i - 1] != 0;
    }
    CHECK(std::abs(kept_count / n - (1 - p)) < 5 * std::sqrt(p * (1 - p) / n));
    CHECK(std::abs(neighbours / n - (1 - p) * (1 - p)) < 8 * std::sqrt(p * (1 - p) / n));
  }
  RandomKey other_step = key, other_layer = key, other_seed = key;
  ++other_step.step;
  ++other_layer.layer;
  ++other_seed.seed;
  const Values m = mask(.5, key);
  for (const RandomKey& k : {other_step, other_layer, other_seed}) {
    const Values o = mask(.5, k);
    double equal = 0;
    for (std::size_t i = 0; i < m.size(); ++i) equal += m[i] == o[i];
    CHECK(std::abs(equal / n - .5) < .01);
  }
  CHECK(same_bits(mask(.5, key), m));
}

TEST_CASE("dropout arguments are checked") {
  Context ctx;
  Matrix x(2, 3, DType::f32), other(3, 3, DType::f32);
  CHECK_THROWS_AS(ops::dropout_forward(ctx, x, .1, key, other), ShapeError);
  for (const double p : {-.1, 1., static_cast<double>(NAN)})
    CHECK_THROWS_AS(ops::dropout_forward(ctx, x, p, key, x), ConfigError);
  CHECK_NOTHROW(ops::dropout_forward(ctx, x, .999999, key, x));
}
