#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cuda/compare_op.h"
#include "emshap/ops/random_fill.h"
#include "math/launch_shape.h"
#include "math/scalar.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

const RandomKey key{42, RandomPurpose::test, 3, 5};

/// Floats from one number to another.
std::int64_t ulps(double a, double b) {
  const auto place = [](double x) {
    const std::int64_t bits = math::as_int(std::fabs(static_cast<float>(x)));
    return x < 0 ? -bits : bits;
  };
  return std::abs(place(a) - place(b));
}

std::vector<double> normals(Backend backend, Shape shape) {
  const auto ctx = make_context(backend);
  Tensor y(shape, DType::f32, device_of(backend));
  ops::fill_normal(*ctx, key, 0, 1, y);
  ctx->synchronize();
  return to_doubles(y);
}

void check_all(std::int64_t rows, std::int64_t cols) {
  const Shape shape{rows, cols};
  compare_bits(fmt::format("fill_uniform, {} x {}", rows, cols),
               [&](Side& s) { ops::fill_uniform(s.ctx(), key, -.3, 1.7, s.out("y", shape)); });
  compare_op(fmt::format("fill_normal, {} x {}", rows, cols),
             [&](Side& s) { ops::fill_normal(s.ctx(), key, .5, 2, s.out("y", shape)); }, {2e-5, 2e-6});
}

}  // namespace

TEST_CASE("small: uniform numbers are those of the CPU on every device, normal ones nearly") {
  for (const std::int64_t rows : {0, 1, 2, 33})
    for (const std::int64_t cols : {0, 1, 3, 4, 5, 8, 31, 63, 64, 65}) check_all(rows, cols);
}

TEST_CASE("large: uniform and normal numbers on every device") {
  for (const std::int64_t cols : sizes_around(4 * math::pointwise_threads)) check_all(3, cols);
}

// The formula's own error is up to 6 ulp, and mul_add rounds once or twice as the processor has it: a GPU as
// the levels with FMA, kernels that run on the processor as the level without.
TEST_CASE("standard normal numbers differ from those of a CPU level by 4 ulp at most") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const Shape shape{300, 333};
    const auto got = normals(backend, shape);
    std::int64_t nearest = std::numeric_limits<std::int64_t>::max();
    for (const Backend level : cpu_levels()) {
      const auto want = normals(level, shape);
      std::int64_t worst = 0;
      for (std::size_t i = 0; i < got.size(); ++i) worst = std::max(worst, ulps(got[i], want[i]));
      CHECK(worst <= 6);
      nearest = std::min(nearest, worst);
    }
    CHECK(nearest <= 4);
  }
}
