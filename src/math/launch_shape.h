#pragma once
// How much work goes to one block of a kernel or one step of a loop, as plain numbers, so that tests on a
// machine without a GPU can take the sizes at which loops turn over.
#include <cstdint>

#include "math/host_device.h"

namespace emshap::math {

/// a / b rounded up; a >= 0, b > 0, and no overflow near the largest a.
EMSHAP_HD constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return a / b + (a % b != 0);
}
EMSHAP_HD constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) {
  return ceil_div(a, b) * b;
}

inline constexpr int warp_threads = 32;

/// Threads of a block of pointwise kernels, and the most blocks: beyond, threads loop with the stride of the
/// grid.
inline constexpr int pointwise_threads = 256;
inline constexpr std::int64_t pointwise_most_blocks = 8192;

/// Blocks of a pointwise kernel over `elements`.
EMSHAP_HD constexpr std::int64_t pointwise_blocks(std::int64_t elements) {
  const std::int64_t blocks = ceil_div(elements, pointwise_threads);
  return blocks < pointwise_most_blocks ? blocks : pointwise_most_blocks;
}

/// Whether 32-bit unsigned indices run over `elements` with the stride of a pointwise grid.
EMSHAP_HD constexpr bool narrow_count(std::int64_t elements) {
  return elements <= 0xffffffffll - pointwise_threads * pointwise_most_blocks;
}

/// Blocks of the first of two kernels that add up `elements` terms: one block adds up their sums. At least 8
/// terms a thread, and at most 8 blocks for each of 128 multiprocessors.
inline constexpr std::int64_t total_most_blocks = 1024;
EMSHAP_HD constexpr std::int64_t total_blocks(std::int64_t elements) {
  const std::int64_t blocks = ceil_div(elements, 8 * pointwise_threads);
  return blocks < total_most_blocks ? blocks : total_most_blocks;
}

/// How kernels that reduce columns cut a matrix: a block has a tile of 32 columns, one for each lane, and one
/// chunk of rows, shared by its 8 warps; a thread keeps 8 loads under way. Chunks are long enough for that
/// and few enough to be reduced by one block, and depend on the extents only.
inline constexpr int column_tile = warp_threads, column_warps = 8, column_loads = 8;
inline constexpr int column_threads = column_tile * column_warps;
struct ColumnShape {
  std::int64_t tiles = 0, chunks = 0, chunk_rows = 0;
};
EMSHAP_HD constexpr ColumnShape column_shape(std::int64_t rows, std::int64_t cols) {
  constexpr std::int64_t step = column_warps * column_loads, most_blocks = 1024;
  const std::int64_t tiles = ceil_div(cols, column_tile);
  if (rows == 0 || tiles == 0) return {};
  const std::int64_t most_chunks = tiles < most_blocks ? most_blocks / tiles : 1;
  const std::int64_t chunk_rows = round_up(ceil_div(rows, most_chunks), step);
  return {tiles, ceil_div(rows, chunk_rows), chunk_rows};
}

/// Rows and columns of the square tiles of a transposition, and the most of them above one another in a
/// grid.
inline constexpr int transpose_tile = 32, transpose_warps = 8;
inline constexpr std::int64_t most_blocks_y = 65535;

/// Threads that share a row where rows are reduced: enough for its columns, so that short rows fill a warp,
/// and a whole block for long rows, of which there may be few.
inline constexpr int row_threads = 256;
inline constexpr std::int64_t row_most_blocks = 65536, long_row = 2048;
EMSHAP_HD constexpr int threads_of_row(std::int64_t cols) {
  if (cols > long_row) return row_threads;
  int threads = 1;
  while (threads < warp_threads && threads < cols) threads *= 2;
  return threads;
}
/// Blocks of such a kernel; beyond, blocks loop.
EMSHAP_HD constexpr std::int64_t row_blocks(std::int64_t rows, std::int64_t cols) {
  const std::int64_t blocks = ceil_div(rows, row_threads / threads_of_row(cols));
  return blocks < row_most_blocks ? blocks : row_most_blocks;
}

/// Sizes where a loop over blocks of `block` turns over: 0, 1, 2, a warp and its neighbours, a block and its
/// neighbours.
struct TurnOverSizes {
  std::int64_t size[10];
};
constexpr TurnOverSizes turn_over_sizes(std::int64_t block) {
  return {{0, 1, 2, warp_threads - 1, warp_threads, warp_threads + 1, block - 1, block, block + 1,
           3 * block + 7}};
}

}  // namespace emshap::math
