#pragma once
// How kernels over rows are cut into blocks: scattered rows, rows that threads keep in shared memory.
#include "math/launch_shape.h"

namespace emshap::math {

/// How `rows` rows with an index are added into a table of `table_rows` (ops::scatter_add_rows): in `slices`
/// of `slice_rows` rows, whose partial tables are then added in order. One slice when the table alone gives
/// enough warps (of 32 columns each); more for small tables, but never more partial rows than there are rows.
struct ScatterShape {
  std::int64_t slices, slice_rows;
};
inline constexpr std::int64_t scatter_enough_warps = 2048, scatter_least_slice = 256;
EMSHAP_HD constexpr ScatterShape scatter_shape(std::int64_t rows, std::int64_t table_rows,
                                               std::int64_t cols) {
  const std::int64_t warps = table_rows * ceil_div(cols, warp_threads);
  if (rows <= scatter_least_slice || warps == 0 || warps >= scatter_enough_warps) return {1, rows};
  std::int64_t slices = ceil_div(scatter_enough_warps, warps);
  const std::int64_t by_length = rows / scatter_least_slice, by_memory = rows / table_rows;
  if (slices > by_length) slices = by_length;
  if (slices > by_memory) slices = by_memory;
  if (slices <= 1) return {1, rows};
  const std::int64_t slice_rows = round_up(ceil_div(rows, slices), warp_threads);
  return {ceil_div(rows, slice_rows), slice_rows};
}

/// Rows that are read and written by whole blocks, one float of a line after another, and worked on by one
/// thread each, in a scratch row of `floats` floats (cuda/row_tile.cuh).
struct RowTileShape {
  int threads;          ///< of a block: the rows of a tile
  std::int64_t blocks;  ///< fewer than tiles where scratch rows lie in the workspace
  std::int64_t pitch;   ///< floats from one scratch row to the next: odd, so that 32 rows use all 32 banks
  std::int64_t shared;  ///< bytes of shared memory of a block; 0: scratch rows lie in the workspace
};
/// Shared memory that every GPU gives to a block without being asked, and the blocks that keep one busy.
inline constexpr std::int64_t row_tile_shared = 48 * 1024, row_tile_enough_blocks = 264,
                              row_tile_workspace_blocks = 528;
EMSHAP_HD constexpr RowTileShape row_tile_shape(std::int64_t rows, std::int64_t floats) {
  RowTileShape shape{128, 0, floats | 1, 0};
  while (shape.threads > warp_threads && (shape.threads * shape.pitch * 4 > row_tile_shared ||
                                          ceil_div(rows, shape.threads) < row_tile_enough_blocks))
    shape.threads /= 2;
  shape.blocks = ceil_div(rows, shape.threads);
  const std::int64_t bytes = shape.threads * shape.pitch * 4;
  if (bytes <= row_tile_shared)
    shape.shared = bytes;
  else if (shape.blocks > row_tile_workspace_blocks)
    shape.blocks = row_tile_workspace_blocks;
  return shape;
}

}  // namespace emshap::math
