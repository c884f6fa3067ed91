#pragma once
// How the fused set-GRU kernel lays out its weights and the shared memory of a block. Distances in floats.
#include <cstdint>

#include "math/launch_shape.h"

namespace emshap::math {

inline constexpr int sampler_threads = 256;
/// Draws and units that one thread multiplies at once, and what both are padded to.
inline constexpr int sampler_quad = 4;
inline constexpr int sampler_most_draws = 64;
/// Streaming multiprocessors that should get a tile before tiles are made as large as they can be.
inline constexpr std::int64_t sampler_wanted_tiles = 132;

struct SamplerSizes {
  std::int64_t features, hidden, components, categories, widest;
};

/// Where weights stand once their rows are padded to whole quads (with zeros): first those that every step
/// reads, which a block copies to its shared memory, then tables of which a step reads a row.
struct SamplerWeights {
  std::int64_t units;    ///< H padded
  std::int64_t outputs;  ///< 3 C padded
  std::int64_t weight_hh, bias_hh, state, hidden, mixture, mixture_bias, moments;
  std::int64_t every_step;  ///< their total
  std::int64_t feature, wa, wb, start;
  std::int64_t total;
};
constexpr SamplerWeights sampler_weights(const SamplerSizes& s) {
  SamplerWeights w{};
  w.units = round_up(s.hidden, sampler_quad);
  w.outputs = round_up(3 * s.components, sampler_quad);
  std::int64_t end = 0;
  const auto take = [&end](std::int64_t floats) {
    const std::int64_t begin = end;
    end += floats;
    return begin;
  };
  w.weight_hh = take(s.hidden * 3 * w.units);
  w.bias_hh = take(3 * w.units);
  w.state = take(s.hidden * w.units);
  w.hidden = take(s.hidden * w.units);
  w.mixture = take(s.hidden * w.outputs);
  w.mixture_bias = take(w.outputs);
  w.moments = take(2 * w.units);
  w.every_step = end;
  w.feature = take(s.features * w.units);
  w.wa = take(s.features * 3 * w.units);
  w.wb = take((s.features + s.categories) * 3 * w.units);
  w.start = take(w.units);
  w.total = end;
  return w;
}

/// Shared memory of a block that carries `draws` draws (or rows).
struct SamplerTile {
  int draws;            ///< a multiple of a quad
  bool shared_weights;  ///< else read through the L2 cache
  int stride;           ///< between units of a state: states lie unit by unit, draws side by side
  int mean_stride;      ///< between draws: odd, so that threads of neighbouring draws use different banks
  int head_stride;      ///< the same for head and work area
  int head_width;       ///< of the head; the work area (4 C) follows
  std::int64_t states[3], means, heads, numbers;
  std::int64_t bytes;
};
inline constexpr int sampler_numbers = 10;  ///< per draw: row, position and the like

constexpr SamplerTile sampler_tile_of(const SamplerSizes& s, int draws, bool shared_weights) {
  const SamplerWeights w = sampler_weights(s);
  SamplerTile t{};
  t.draws = draws;
  t.shared_weights = shared_weights;
  t.stride = draws + sampler_quad;
  t.mean_stride = static_cast<int>(s.features | 1);
  const std::int64_t width = 3 * s.components > s.widest ? 3 * s.components : s.widest;
  t.head_width = static_cast<int>(width);
  t.head_stride = static_cast<int>((width + 4 * s.components) | 1);
  std::int64_t end = shared_weights ? w.every_step : 0;
  for (std::int64_t& state : t.states) {
    state = end;
    end += w.units * t.stride;
  }
  t.means = end;
  end += std::int64_t{draws} * t.mean_stride;
  t.heads = end;
  end += std::int64_t{draws} * t.head_stride;
  t.numbers = end;
  end += std::int64_t{draws} * sampler_numbers;
  t.bytes = end * 4;
  return t;
}

/// The tile for `count` draws in `limit` bytes of shared memory; draws == 0 when none fits. Large tiles with
/// the weights beside them read least; few draws are spread over the processors. Results do not depend on it.
constexpr SamplerTile sampler_tile(const SamplerSizes& s, std::int64_t count, std::int64_t limit) {
  constexpr int enough = 16;  // draws that are worth a copy of the weights
  int most = sampler_most_draws;
  while (most > enough && ceil_div(count, most) < sampler_wanted_tiles) most /= 2;
  for (int draws = most; draws >= enough; draws /= 2) {
    const SamplerTile t = sampler_tile_of(s, draws, true);
    if (t.bytes <= limit) return t;
  }
  for (int draws = most; draws >= sampler_quad; draws /= 2) {
    const SamplerTile t = sampler_tile_of(s, draws, false);
    if (t.bytes <= limit) return t;
  }
  return {};
}

}  // namespace emshap::math
