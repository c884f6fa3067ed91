#pragma once
// Blocks of pairs for ops/density.h: lane i of a pack belongs to pair first + i, so that the formulas of
// src/math run on whole packs. Rows of a matrix are turned into lanes through a small buffer.
#include "core/mat.h"
#include "cpu/lanes.h"
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
  EMSHAP_INLINE void load_rows(const Mat<const T>& m, std::int64_t share, T* buffer, V* out) const {
    for (int i = 0; i < count; ++i) {
      const T* row = m.row(share == 1 ? first + i : (first + i) / share);
      for (std::int64_t j = 0; j < m.cols; ++j) buffer[j * lanes + i] = row[j];
    }
    for (int i = count; i < lanes; ++i)
      for (std::int64_t j = 0; j < m.cols; ++j) buffer[j * lanes + i] = T(0);
    for (std::int64_t j = 0; j < m.cols; ++j) out[j] = V::load(buffer + j * lanes);
  }
  EMSHAP_INLINE void store_rows(const Mat<T>& m, T* buffer, const V* in) const {
    for (std::int64_t j = 0; j < m.cols; ++j) in[j].store(buffer + j * lanes);
    for (int i = 0; i < count; ++i) {
      T* row = m.row(first + i);
      for (std::int64_t j = 0; j < m.cols; ++j) row[j] = buffer[j * lanes + i];
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
template <class T>
EMSHAP_INLINE T* take_buffer(Context& ctx, std::int64_t columns) {
  return ctx.workspace().template take<T>(columns * native_lanes<T>);
}

}  // namespace emshap::cpu::EMSHAP_ISA
