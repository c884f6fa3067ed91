#pragma once
// Mean and sum of squared deviations (M2) of every column, in one pass that stays accurate when the mean is
// large against the spread: deviations are taken from the mean so far, block by block, and blocks are merged
// by Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
#include "cpu/shard_sum.h"

namespace emshap::cpu::EMSHAP_ISA {

/// Column moments of one shard: mean = base + offset, kept apart so that a large mean does not round the
/// offset away.
template <class T>
struct ColumnMoments {
  T* base;
  T* offset;
  T* m2;
  static EMSHAP_INLINE ColumnMoments at(T* memory, std::int64_t cols) {
    return {memory, memory + cols, memory + 2 * cols};
  }
  static constexpr std::int64_t arrays = 3;
};

template <class T>
EMSHAP_INLINE void column_moments(Mat<const T> x, ColumnMoments<T> out) {
  using V = NativePack<T>;
  constexpr std::int64_t leading = 8;  // rows whose mean is the base
  for_each_tile<T, 4>(x.rows, x.cols, [&](auto tile) EMSHAP_INLINE_LAMBDA {
    const T before = static_cast<T>(tile.begin), count = static_cast<T>(tile.end - tile.begin);
    const V by_count(T(1) / count), share(count / (before + count)),
        spread(before * (count / (before + count)));

    constexpr int packs = tile.packs;
    V centre[packs], sum[packs], squares[packs];
    if (tile.begin == 0) {
      const std::int64_t rows = x.rows < leading ? x.rows : leading;
      for (std::int64_t r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int g = 0; g < packs; ++g) centre[g] += tile.pack(g).load(x.row(r));
      }
#pragma GCC unroll 4
      for (int g = 0; g < packs; ++g) {
        const auto at = tile.pack(g);
        centre[g] *= V(T(1) / static_cast<T>(rows));
        at.store(out.base, centre[g]);
        at.store(out.offset, V(T(0)));
        at.store(out.m2, V(T(0)));
      }
    } else {
#pragma GCC unroll 4
      for (int g = 0; g < packs; ++g) centre[g] = tile.pack(g).load(out.base) + tile.pack(g).load(out.offset);
    }
    for (std::int64_t r = tile.begin; r < tile.end; ++r) {
#pragma GCC unroll 4
      for (int g = 0; g < packs; ++g) {
        const V d = tile.pack(g).load(x.row(r)) - centre[g];
        sum[g] += d;
        squares[g] = mul_add(d, d, squares[g]);
      }
    }
#pragma GCC unroll 4
    for (int g = 0; g < packs; ++g) {
      const auto at = tile.pack(g);
      const V offset = at.load(out.offset), shift = sum[g] * by_count;
      // The block's mean against the mean so far, free of the rounding of base + offset.
      const V delta = ((centre[g] - at.load(out.base)) - offset) + shift;
      at.store(out.offset, mul_add(delta, share, offset));
      const V m2 = at.load(out.m2) + math::max(V(T(0)), squares[g] - sum[g] * shift);
      at.store(out.m2, mul_add(delta * delta, spread, m2));
    }
  });
}

/// Mean and biased variance of every column from the moments of all shards, merged in shard order, in double.
template <class T>
EMSHAP_INLINE void merge_moments(const ShardSums<T>& sums, const ShardPlan& plan, std::int64_t cols,
                                 double* mean, double* variance) {
  using V = NativePack<double>;
  for_each_column_group<double, 2>(0, cols, [&](auto group) EMSHAP_INLINE_LAMBDA {
    V centre[group.packs], m2[group.packs];
    double before = 0;
    sums.for_each([&](const T* partial) EMSHAP_INLINE_LAMBDA {
      const double left = static_cast<double>(plan.total_rows) - before;
      const double count =
          left < static_cast<double>(plan.shard_rows) ? left : static_cast<double>(plan.shard_rows);
      const V share(count / (before + count)), spread(before * (count / (before + count)));
#pragma GCC unroll 2
      for (int g = 0; g < group.packs; ++g) {
        const auto at = group.pack(g);
        const V delta = wide(at.load(partial)) + wide(at.load(partial + cols)) - centre[g];
        centre[g] = mul_add(delta, share, centre[g]);
        m2[g] = mul_add(delta * delta, spread, m2[g] + wide(at.load(partial + 2 * cols)));
      }
      before += count;
    });
#pragma GCC unroll 2
    for (int g = 0; g < group.packs; ++g) {
      group.pack(g).store(mean, centre[g]);
      group.pack(g).store(variance, m2[g] * V(1 / static_cast<double>(plan.total_rows)));
    }
  });
}

}  // namespace emshap::cpu::EMSHAP_ISA
