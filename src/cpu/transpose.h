#pragma once
// Transposition of W x W blocks in registers, W the lanes of a native pack.
#include "cpu/lanes.h"

namespace emshap::cpu::EMSHAP_ISA {

/// One butterfly of a W x W transposition in registers: rows i and i + half exchange their off-diagonal
/// blocks.
template <class T, int half>
EMSHAP_INLINE void exchange_blocks(NativePack<T>* rows) {
  constexpr int W = native_lanes<T>;
  typename math::Mask<T, W>::Vec low, high;
#pragma GCC unroll 16
  for (int j = 0; j < W; ++j) {
    const bool second = (j & half) != 0;
    low[j] = second ? W + j - half : j;
    high[j] = second ? W + j : j + half;
  }
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) {
    if ((i & half) != 0) continue;
    const auto a = rows[i].v, b = rows[i + half].v;
    rows[i].v = __builtin_shuffle(a, b, low);
    rows[i + half].v = __builtin_shuffle(a, b, high);
  }
}

template <class T, int half>
EMSHAP_INLINE void transpose_registers(NativePack<T>* rows) {
  if constexpr (half > 0) {
    exchange_blocks<T, half>(rows);
    transpose_registers<T, half / 2>(rows);
  }
}

}  // namespace emshap::cpu::EMSHAP_ISA
