#include <doctest/doctest.h>

#include <limits>

#include "math/launch_shape.h"

using namespace emshap::math;

TEST_CASE("ceil_div and round_up at their edges") {
  CHECK(ceil_div(0, 7) == 0);
  CHECK(ceil_div(1, 7) == 1);
  CHECK(ceil_div(7, 7) == 1);
  CHECK(ceil_div(8, 7) == 2);
  CHECK(ceil_div(std::numeric_limits<std::int64_t>::max(), 1) == std::numeric_limits<std::int64_t>::max());
  CHECK(ceil_div(std::numeric_limits<std::int64_t>::max(), 2) == (std::int64_t{1} << 62));
  CHECK(round_up(65, 64) == 128);
}

TEST_CASE("pointwise kernels get enough blocks, and none for no elements") {
  CHECK(pointwise_blocks(0) == 0);
  for (const std::int64_t n : turn_over_sizes(pointwise_threads).size) {
    CHECK(pointwise_blocks(n) * pointwise_threads >= n);
    CHECK((pointwise_blocks(n) - 1) * pointwise_threads < n);
  }
  CHECK(pointwise_blocks(std::int64_t{1} << 60) == pointwise_most_blocks);
}
