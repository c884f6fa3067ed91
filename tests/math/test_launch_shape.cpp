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

TEST_CASE("32-bit indices are used only where they cannot wrap") {
  const std::int64_t step = pointwise_threads * pointwise_most_blocks, wraps = std::int64_t{1} << 32;
  CHECK(narrow_count(0));
  CHECK(narrow_count(wraps - 1 - step));
  CHECK_FALSE(narrow_count(wraps - step));
}

TEST_CASE("sums over all elements: a second block adds what few enough first ones leave") {
  CHECK(total_blocks(0) == 0);
  CHECK(total_blocks(1) == 1);
  CHECK(total_blocks(8 * pointwise_threads) == 1);
  CHECK(total_blocks(8 * pointwise_threads + 1) == 2);
  CHECK(total_blocks(std::int64_t{1} << 60) == total_most_blocks);
}
