#pragma once
// How the fused energy kernel lays out the shared memory of a block. Distances in floats.
#include <cstdint>

#include "math/launch_shape.h"

namespace emshap::math {

inline constexpr int energy_threads = 256;
inline constexpr int energy_most_draws = 64;
/// A chunk of weights: as many rows (inputs) and columns (outputs). A thread multiplies four draws with two
/// groups of four columns half a chunk apart.
inline constexpr int energy_chunk_rows = 32, energy_chunk_cols = 128;

struct EnergyTile {
  int draws;   ///< a multiple of 4; 0: does not fit
  int stride;  ///< between units: units one after another, draws side by side
  std::int64_t buffers[3], chunk, bytes;
};

constexpr EnergyTile energy_tile(std::int64_t features, std::int64_t units, std::int64_t count,
                                 std::int64_t limit) {
  constexpr int enough = 16;
  constexpr std::int64_t wanted_tiles = 132;
  int most = energy_most_draws;
  while (most > enough && ceil_div(count, most) < wanted_tiles) most /= 2;
  for (int draws = most; draws >= 4; draws /= 2) {
    EnergyTile t{};
    t.draws = draws;
    t.stride = draws + 4;
    const std::int64_t widest = features > units ? features : units;
    t.buffers[0] = 0;
    t.buffers[1] = units * t.stride;  // also holds x
    t.buffers[2] = t.buffers[1] + widest * t.stride;
    t.chunk = t.buffers[2] + units * t.stride;
    t.bytes = 4 * (t.chunk + energy_chunk_rows * energy_chunk_cols);
    if (t.bytes <= limit) return t;
  }
  return {};
}

}  // namespace emshap::math
