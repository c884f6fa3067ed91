#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cuda/compare_op.h"
#include "emshap/ops/dropout.h"
#include "math/launch_shape.h"

using namespace emshap;
using namespace emshap::test;

namespace {

void check_all(std::int64_t rows, std::int64_t cols) {
  const Shape shape{rows, cols};
  const auto x = random_values(rows * cols, 1);
  for (const double p : {0., .1, .5, .99999}) {
    const RandomKey key{7, RandomPurpose::dropout, 5000, (std::uint64_t{1} << 33) + 2};
    const std::string at = fmt::format(" p = {}, {} x {}", p, rows, cols);
    compare_bits("forward" + at,
                 [&](Side& s) { ops::dropout_forward(s.ctx(), s.in(x, shape), p, key, s.out("y", shape)); });
    compare_bits("backward in place" + at, [&](Side& s) {
      const TensorView dx = s.inout("dx", x, shape);
      ops::dropout_backward(s.ctx(), dx, p, key, dx);
    });
  }
}

}  // namespace

TEST_CASE("small: dropout gives the bits of the CPU on every device") {
  for (const std::int64_t rows : {0, 1, 2, 33})
    for (const std::int64_t cols : {1, 4, 7, 8, 9, 12, 16, 31, 64, 65}) check_all(rows, cols);
}

TEST_CASE("large: dropout gives the bits of the CPU on every device") {
  for (const std::int64_t cols : sizes_around(8 * math::pointwise_threads)) check_all(3, cols);
  check_all(1025, 128);
}
