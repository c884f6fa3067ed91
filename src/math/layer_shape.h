#pragma once
// Kernels that take a tile of rows through dense layers: threads, chunks of weights and rows of a tile.
#include <cstdint>

#include "math/launch_shape.h"

namespace emshap::math {

inline constexpr int layer_threads = 256;
inline constexpr int layer_most_draws = 64;
/// A chunk of weights: as many rows (inputs) and columns (outputs). A thread multiplies four rows of the tile
/// with two groups of four columns half a chunk apart.
inline constexpr int layer_chunk_rows = 32, layer_chunk_cols = 128;

/// Rows of a tile where shared memory allows: with few rows in all smaller tiles, so that every
/// multiprocessor has one.
constexpr int tile_draws(std::int64_t count) {
  constexpr int enough = 16;
  constexpr std::int64_t wanted_tiles = 132;
  int most = layer_most_draws;
  while (most > enough && ceil_div(count, most) < wanted_tiles) most /= 2;
  return most;
}

}  // namespace emshap::math
