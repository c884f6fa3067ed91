#include "emshap/ops/shard_gradients.h"

#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

TEST_CASE("slabs and losses are added in the order of the shards, for any team") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t rows : {0, 1, 64, 65, 1000, 5000})
        for (const std::int64_t n : {1, 15, 16, 17, 1000}) {
          CAPTURE(name_of(level));
          CAPTURE(rows);
          CAPTURE(n);
          const std::int64_t shards = ShardPlan::make(rows, 0, 1).total_shards;
          const Values slabs = random_values(shards * n, 1), losses = random_values(shards, 2),
                       start = random_values(n, 3);
          Values want = start;
          double loss = 0;
          for (std::int64_t s = 0; s < shards; ++s) {
            for (std::int64_t i = 0; i < n; ++i)
              want[static_cast<std::size_t>(i)] += slabs[static_cast<std::size_t>(s * n + i)];
            loss += losses[static_cast<std::size_t>(s)];
          }
          const Values got = check_same_bits_on_teams(level, [&](TeamPool& pool) {
            Matrix all(slabs, shards, n, dtype), gradient(start, 1, n, dtype);
            Matrix each(Values(losses), 1, shards, DType::f64), found(1, static_cast<std::int64_t>(8), dtype);
            int members = 0;
            pool.run(rows, [&](Context& ctx, const ShardPlan& plan) {
              const auto mine = all.view().rows(plan.first_shard, plan.local_shards);
              const auto my_losses =
                  each.view().columns(plan.first_shard, plan.local_shards).reshaped({plan.local_shards});
              const auto out = found.view().columns(ctx.team().rank(), 1).reshaped({1});
              ops::add_shard_gradients(ctx, mine, my_losses, gradient.flat(), out);
              if (ctx.team().rank() == 0) members = ctx.team().size();
            });
            Values result = gradient.values();
            for (int r = 1; r < members; ++r)
              CHECK(found.values()[static_cast<std::size_t>(r)] == found.values()[0]);
            result.push_back(found.values()[0]);
            return result;
          });
          want.push_back(loss);
          check_close(got, want, tolerance(dtype, 1e-5, 1e-13), tolerance(dtype, 1e-6, 1e-14));
        }
}
