#pragma once
// How the fused kernel of a stack of layers lays out the shared memory of a block. Distances in floats.
#include <cstdint>

#include "math/layer_shape.h"

namespace emshap::math {

struct MlpTile {
  int draws;   ///< rows of the tile, a multiple of 4; 0: does not fit
  int stride;  ///< between units: units one after another, rows side by side
  std::int64_t buffers[2], chunk, bytes;
};

/// `even`, `odd`: the widest input of layers 0, 2, .. and of layers 1, 3, ..: layers read the two buffers in
/// turn.
constexpr MlpTile mlp_tile(std::int64_t even, std::int64_t odd, std::int64_t count, std::int64_t limit) {
  for (int draws = tile_draws(count); draws >= 4; draws /= 2) {
    MlpTile t{};
    t.draws = draws;
    t.stride = draws + 4;
    t.buffers[1] = even * t.stride;
    t.chunk = t.buffers[1] + odd * t.stride;
    t.bytes = 4 * (t.chunk + layer_chunk_rows * layer_chunk_cols);
    if (t.bytes <= limit) return t;
  }
  return {};
}

}  // namespace emshap::math
