#include "core/for_blocks.h"

#include <algorithm>
#include <atomic>

namespace emshap {

void for_blocks(TeamPool& pool, std::int64_t total, std::int64_t block,
                const std::function<void(Context&, std::int64_t, std::int64_t)>& work) {
  if (total <= 0) return;
  const std::int64_t blocks = (total + block - 1) / block;
  std::atomic<std::int64_t> next{0};
  // The team is only as large as there are blocks; which member does which does not matter to any result.
  pool.run(blocks * ShardPlan::row_quantum, [&](Context& ctx, const ShardPlan&) {
    Context local(ctx.backend());
    for (std::int64_t i = next++; i < blocks; i = next++)
      work(local, i * block, std::min(block, total - i * block));
  });
}

}  // namespace emshap
