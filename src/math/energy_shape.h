#pragma once
// How the fused energy kernel lays out the shared memory of a block. Distances in floats.
#include <cstdint>

#include "math/layer_shape.h"

namespace emshap::math {

struct EnergyTile {
  int draws;   ///< a multiple of 4; 0: does not fit
  int stride;  ///< between units: units one after another, draws side by side
  std::int64_t buffers[3], chunk, bytes;
};

constexpr EnergyTile energy_tile(std::int64_t features, std::int64_t units, std::int64_t count,
                                 std::int64_t limit) {
  for (int draws = tile_draws(count); draws >= 4; draws /= 2) {
    EnergyTile t{};
    t.draws = draws;
    t.stride = draws + 4;
    const std::int64_t widest = features > units ? features : units;
    t.buffers[0] = 0;
    t.buffers[1] = units * t.stride;  // also holds x
    t.buffers[2] = t.buffers[1] + widest * t.stride;
    t.chunk = t.buffers[2] + units * t.stride;
    t.bytes = 4 * (t.chunk + layer_chunk_rows * layer_chunk_cols);
    if (t.bytes <= limit) return t;
  }
  return {};
}

}  // namespace emshap::math
