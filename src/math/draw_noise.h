#pragma once
// Where the numbers of ops::fill_draw_noise stand in a row's Philox stream: those of draw k, block b of four,
// in block k * blocks + b, the low words of doubles in the same with the top bit set besides.
#include <cstdint>

namespace emshap::math {

/// Scrambles of the Sobol dimensions, four a block, from this block on.
inline constexpr std::uint32_t scramble_blocks = 0x40000000u;

}  // namespace emshap::math
