#pragma once
// Loops over columns in groups of packs: a group's sums stay in registers while the rows go by, and its packs
// hide each other's latency. Also the sums in double that losses and norms use.
#include "core/mat.h"
#include "cpu/lanes.h"

namespace emshap::cpu::EMSHAP_ISA {

/// `packs` whole packs from column c on; pack(g) addresses the g-th.
template <class T, int count>
struct WholeGroup {
  static constexpr int packs = count;
  std::int64_t c;
  EMSHAP_INLINE WholePack<T> pack(int g) const { return {c + g * native_lanes<T>}; }
};
/// The columns at the end that fill no whole pack.
template <class T>
struct PartialGroup {
  static constexpr int packs = 1;
  std::int64_t c;
  int count;
  EMSHAP_INLINE PartialPack<T> pack(int) const { return {c, count}; }
};

/// body(group) for columns [begin, end): groups of G packs, then of one, then a partial one.
template <class T, int G, class Body>
EMSHAP_INLINE void for_each_column_group(std::int64_t begin, std::int64_t end, const Body& body) {
  constexpr std::int64_t lanes = native_lanes<T>;
  std::int64_t c = begin;
  for (; c + G * lanes <= end; c += G * lanes) body(WholeGroup<T, G>{c});
  for (; c + lanes <= end; c += lanes) body(WholeGroup<T, 1>{c});
  if (c < end) body(PartialGroup<T>{c, static_cast<int>(end - c)});
}

inline constexpr std::int64_t row_block = 32;  ///< at 128 floats a row half of an L1 cache

/// Rows [begin, end) of a group of columns.
template <class Group>
struct Tile : Group {
  std::int64_t begin;
  std::int64_t end;
};

/// body(tile) for every block of rows and, within it, every group of columns.
template <class T, int G, class Body>
EMSHAP_INLINE void for_each_tile(std::int64_t rows, std::int64_t cols, const Body& body) {
  for (std::int64_t begin = 0; begin < rows; begin += row_block) {
    const std::int64_t end = begin + row_block < rows ? begin + row_block : rows;
    for_each_column_group<T, G>(0, cols, [&](auto group) EMSHAP_INLINE_LAMBDA {
      body(Tile<decltype(group)>{group, begin, end});
    });
  }
}

/// out[c] = sum of column c, rows in order within blocks of row_block rows, blocks in order.
template <class T>
EMSHAP_INLINE void column_sums(Mat<const T> x, T* out) {
  for (std::int64_t c = 0; c < x.cols; ++c) out[c] = T(0);
  for_each_tile<T, 4>(x.rows, x.cols, [&](auto tile) EMSHAP_INLINE_LAMBDA {
    NativePack<T> sum[tile.packs];
    for (std::int64_t r = tile.begin; r < tile.end; ++r) {
#pragma GCC unroll 4
      for (int g = 0; g < tile.packs; ++g) sum[g] += tile.pack(g).load(x.row(r));
    }
#pragma GCC unroll 4
    for (int g = 0; g < tile.packs; ++g) tile.pack(g).store(out, tile.pack(g).load(out) + sum[g]);
  });
}

/// Sum of term(at) over n elements, in double whatever the element type: `at.load(p)` gives a pack of p's
/// elements, wide(at.load(p)) the same in double. Lanes beyond n read as zero and must give a zero term.
template <class Term>
EMSHAP_INLINE double sum_in_double(std::int64_t n, const Term& term) {
  NativePack<double> sum[4];
  for_each_column_group<double, 4>(0, n, [&](auto group) EMSHAP_INLINE_LAMBDA {
#pragma GCC unroll 4
    for (int g = 0; g < group.packs; ++g) sum[g] += term(group.pack(g));
  });
  return horizontal_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

template <class T, int N>
EMSHAP_INLINE math::Pack<double, N> wide(math::Pack<T, N> a) {
  return math::convert<double>(a);
}

}  // namespace emshap::cpu::EMSHAP_ISA
