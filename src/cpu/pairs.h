#pragma once
// Blocks of pairs for ops/density.h: lane i of a pack belongs to pair first + i, so that the formulas of
// src/math run on whole packs. Rows of a matrix are turned into lanes in registers.
#include "core/mat.h"
#include "cpu/transpose.h"
#include "emshap/core/context.h"

namespace emshap::cpu::EMSHAP_ISA {

/// One number a pair: without gaps, or a column of a matrix.
template <class T>
struct PairNumbers {
  T* data;
  std::int64_t stride;
  EMSHAP_INLINE explicit PairNumbers(const Mat<T>& m) : data(m.data), stride(m.contiguous() ? 1 : m.stride) {}
  EMSHAP_INLINE T& at(std::int64_t p) const { return data[p * stride]; }
};

/// `count` pairs from `first` on, 1 <= count <= lanes; lanes beyond hold 0.
template <class T>
struct PairBlock {
  using V = NativePack<T>;
  static constexpr int lanes = native_lanes<T>;
  std::int64_t first;
  int count;

  template <class U>
  EMSHAP_INLINE V load(const PairNumbers<U>& numbers) const {
    if (count == lanes && numbers.stride == 1) return V::load(numbers.data + first);
    T values[lanes] = {};
    for (int i = 0; i < count; ++i) values[i] = static_cast<T>(numbers.at(first + i));
    return V::load(values);
  }
  EMSHAP_INLINE void store(const PairNumbers<T>& numbers, V v) const {
    if (count == lanes && numbers.stride == 1) return v.store(numbers.data + first);
    T values[lanes];
    v.store(values);
    for (int i = 0; i < count; ++i) numbers.at(first + i) = values[i];
  }
  /// out[j], lane i = entry j of the row of pair first + i; `share` pairs in sequence share a row.
  EMSHAP_INLINE void load_rows(const Mat<const T>& m, std::int64_t share, V* out) const {
    for (std::int64_t j = 0; j < m.cols; j += lanes) {
      const int width = static_cast<int>(m.cols - j < lanes ? m.cols - j : lanes);
      V block[lanes];
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) {
        if (i >= count) continue;
        const T* row = m.row(share == 1 ? first + i : (first + i) / share) + j;
        block[i] = width == lanes ? V::load(row) : V::load_partial(row, width);
      }
      transpose_registers<T, lanes / 2>(block);
#pragma GCC unroll 16
      for (int k = 0; k < lanes; ++k)
        if (k < width) out[j + k] = block[k];
    }
  }
  EMSHAP_INLINE void store_rows(const Mat<T>& m, const V* in) const {
    for (std::int64_t j = 0; j < m.cols; j += lanes) {
      const int width = static_cast<int>(m.cols - j < lanes ? m.cols - j : lanes);
      V block[lanes];
#pragma GCC unroll 16
      for (int k = 0; k < lanes; ++k)
        if (k < width) block[k] = in[j + k];
      transpose_registers<T, lanes / 2>(block);
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) {
        if (i >= count) continue;
        T* row = m.row(first + i) + j;
        if (width == lanes)
          block[i].store(row);
        else
          block[i].store_partial(row, width);
      }
    }
  }
};

/// body(block) for all pairs.
template <class T, class Body>
EMSHAP_INLINE void for_each_pair_block(std::int64_t pairs, const Body& body) {
  constexpr int lanes = native_lanes<T>;
  for (std::int64_t p = 0; p < pairs; p += lanes)
    body(PairBlock<T>{p, static_cast<int>(pairs - p < lanes ? pairs - p : lanes)});
}

/// Packs that live as long as the caller's Workspace::Scope.
template <class T>
EMSHAP_INLINE NativePack<T>* take_packs(Context& ctx, std::int64_t count) {
  const auto bytes = count * static_cast<std::int64_t>(sizeof(NativePack<T>));
  return static_cast<NativePack<T>*>(ctx.workspace().take_bytes(bytes));
}

}  // namespace emshap::cpu::EMSHAP_ISA
