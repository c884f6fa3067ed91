#pragma once
// The sum of squares of a buffer that all members of a team share, in double.
#include "cpu/shard_sum.h"

namespace emshap::cpu::EMSHAP_ISA {

/// Fixed blocks of 4096 elements, whatever the number of members; their sums are added in order by every
/// member.
template <class T>
EMSHAP_INLINE double sum_of_squares(Context& ctx, const T* x, std::int64_t n) {
  constexpr std::int64_t block = 4096;
  const Workspace::Scope scope(ctx.workspace());
  const Range own = member_range(ctx.team(), n, block);
  const std::int64_t blocks = (own.end - own.begin + block - 1) / block;
  double* partials = ctx.workspace().take<double>(blocks);
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t begin = own.begin + b * block;
    const std::int64_t count = own.end - begin < block ? own.end - begin : block;
    partials[b] = sum_in_double(count, [&](auto at) EMSHAP_INLINE_LAMBDA {
      const auto v = wide(at.load(x + begin));
      return v * v;
    });
  }
  ShardSums<double> sums(ctx, partials, blocks, 1);
  double total = 0;
  sums.store(0, 1, &total);
  sums.close();
  return total;
}

}  // namespace emshap::cpu::EMSHAP_ISA
