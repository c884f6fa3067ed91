#pragma once
// Sums over all rows of a team's batch. Each member has filled one partial of n values per local shard; the
// partials of all members are added in shard order, so that the bits do not depend on the number of threads.
//
//   T* partials = ctx.workspace().take<T>(plan.local_shards * n);   // one row of n values per local shard
//   ShardSums<T> sums(ctx, partials, plan.local_shards, n);         // collective: waits for all members
//   sums.add(own.begin, own.end, dw);     // own = member_range(ctx.team(), n): a shared output, each column
//   once sums.store(0, n, private_totals);     // and/or all columns into a buffer of this member
//   sums.close();                         // collective: partials may be reused, shared outputs are visible
#include <cstdint>

#include "core/mat.h"
#include "cpu/columns.h"
#include "emshap/core/context.h"

namespace emshap::cpu::EMSHAP_ISA {

/// The rows of a shard.
template <class T>
EMSHAP_INLINE Mat<T> rows_of(const Mat<T>& m, const Shard& s) {
  return {m.row(s.begin), s.rows, m.cols, m.stride};
}

struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// The part of `count` elements that this member owns, cut at multiples of `quantum` elements (16 floats fill
/// a cache line, so that members do not write to the same one).
EMSHAP_INLINE Range member_range(const Team& team, std::int64_t count, std::int64_t quantum = 16) {
  const std::int64_t pieces = (count + quantum - 1) / quantum;
  const std::int64_t begin = pieces * team.rank() / team.size() * quantum;
  const std::int64_t end = pieces * (team.rank() + 1) / team.size() * quantum;
  return {begin < count ? begin : count, end < count ? end : count};
}

template <class T>
class ShardSums {
 public:
  /// Publishes this member's `shards` x `n` partials, which must lie in the workspace (not on the stack:
  /// another member may still read them while an exception unwinds this one). Members without rows pass no
  /// shards.
  EMSHAP_INLINE ShardSums(Context& ctx, const T* partials, std::int64_t shards, std::int64_t n)
      : team_(ctx.team()), n_(n) {
    Published* mine = ctx.workspace().take<Published>(1);
    *mine = {partials, shards};
    slots_ = team_.exchange(mine).data();
  }

  /// out[c] = sum of column c, begin <= c < end.
  EMSHAP_INLINE void store(std::int64_t begin, std::int64_t end, T* out) const {
    sum<false>(begin, end, out);
  }
  /// out[c] += sum of column c, begin <= c < end.
  EMSHAP_INLINE void add(std::int64_t begin, std::int64_t end, T* out) const { sum<true>(begin, end, out); }

  /// visit(partial) for every shard in order; `partial` points to its n values.
  template <class Visit>
  EMSHAP_INLINE void for_each(const Visit& visit) const {
    for (int r = 0; r < team_.size(); ++r) {
      const Published& p = *static_cast<const Published*>(slots_[r]);
      for (std::int64_t s = 0; s < p.shards; ++s) visit(p.partials + s * n_);
    }
  }

  EMSHAP_INLINE void close() { team_.barrier(); }

 private:
  struct Published {
    const T* partials;
    std::int64_t shards;
  };
  template <bool accumulate>
  EMSHAP_INLINE void sum(std::int64_t begin, std::int64_t end, T* out) const {
    for_each_column_group<T, 4>(begin, end, [&](auto group) EMSHAP_INLINE_LAMBDA {
      NativePack<T> total[group.packs];
      for_each([&](const T* partial) EMSHAP_INLINE_LAMBDA {
#pragma GCC unroll 4
        for (int g = 0; g < group.packs; ++g) total[g] += group.pack(g).load(partial);
      });
#pragma GCC unroll 4
      for (int g = 0; g < group.packs; ++g) {
        const auto at = group.pack(g);
        at.store(out, accumulate ? at.load(out) + total[g] : total[g]);
      }
    });
  }

  Team& team_;
  void* const* slots_;
  std::int64_t n_;
};

}  // namespace emshap::cpu::EMSHAP_ISA
