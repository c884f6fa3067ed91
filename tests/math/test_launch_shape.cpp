#include <doctest/doctest.h>

#include <initializer_list>
#include <limits>

#include "math/base_shape.h"
#include "math/launch_shape.h"
#include "math/token_shape.h"

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

TEST_CASE("parts of token rows cover them, are few and hold whole windows") {
  CHECK(token_shape(0).parts == 0);
  constexpr std::int64_t windows = token_warps * token_window;
  for (const std::int64_t n : turn_over_sizes(windows * token_most_parts).size) {
    const TokenShape s = token_shape(n);
    CHECK(s.parts <= token_most_parts);
    CHECK(s.parts * s.part_rows >= n);
    CHECK((s.parts - 1) * s.part_rows <= n);
    CHECK(s.part_rows % windows == 0);
  }
}

TEST_CASE("the base's triangles go to global memory when a block has no room") {
  CHECK(triangle(1) + 1 == triangle(2) - 1);  // (1, 1) is the last entry before row 2
  CHECK(base_shape(0, 5, 1000).blocks == 0);
  CHECK(base_shape(5, 0, 1000).blocks == 0);
  for (const std::int64_t F : {1, 32, 33, 100, 250, 3000}) {
    const BaseShape s = base_shape(std::int64_t{1} << 40, F, 227 * 1024);
    CHECK(s.threads % warp_threads == 0);
    CHECK(s.shared_bytes <= 227 * 1024);
    CHECK(s.shared_bytes + s.triangle_bytes == 8 * (triangle(F) + base_vectors * F));
    CHECK(s.blocks >= 1);
    CHECK((s.triangle_bytes == 0 || s.blocks == 1 || s.blocks * s.triangle_bytes <= base_most_bytes));
  }
  CHECK(base_shape(7, 100, 227 * 1024).triangle_bytes == 0);
  CHECK(base_shape(7, 100, 40 * 1024).triangle_bytes == 8 * triangle(100));
  CHECK(base_shape(7, 100, 40 * 1024).blocks == 7);
}

TEST_CASE("chunks of rows cover a matrix without an empty one, and are few") {
  CHECK(column_shape(0, 5).chunks == 0);
  CHECK(column_shape(5, 0).tiles == 0);
  for (const std::int64_t cols : {1, 31, 32, 33, 1024, 32769, 1 << 20})
    for (const std::int64_t rows : {1, 63, 64, 65, 127, 1000, 65536, 65537, 1 << 30}) {
      const ColumnShape s = column_shape(rows, cols);
      CHECK(s.tiles * column_tile >= cols);
      CHECK((s.tiles - 1) * column_tile < cols);
      CHECK(s.chunks * s.chunk_rows >= rows);
      CHECK((s.chunks - 1) * s.chunk_rows < rows);
      CHECK(s.chunks <= 1024);
      CHECK((s.chunks == 1 || s.tiles * s.chunks <= 1024));
    }
}

TEST_CASE("reductions of rows: threads for the columns, blocks for the rows") {
  CHECK(threads_of_row(0) == 1);
  CHECK(threads_of_row(1) == 1);
  CHECK(threads_of_row(2) == 2);
  CHECK(threads_of_row(17) == 32);
  CHECK(threads_of_row(long_row) == 32);
  CHECK(threads_of_row(long_row + 1) == row_threads);
  CHECK(row_blocks(0, 5) == 0);
  CHECK(row_blocks(8, 32) == 1);
  CHECK(row_blocks(9, 32) == 2);
  CHECK(row_blocks(9, long_row + 1) == 9);
  CHECK(row_blocks(std::int64_t{1} << 50, 1) == row_most_blocks);
}
