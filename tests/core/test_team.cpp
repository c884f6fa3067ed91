#include <doctest/doctest.h>

#include <atomic>
#include <numeric>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/error.h"

using namespace emshap;

TEST_CASE("shard plans cover every row once and do not depend on the team") {
  for (const std::int64_t quantum : {64, 16})
    for (const std::int64_t rows : {0, 1, 63, 64, 65, 256, 2048, 2049, 4096, 100000}) {
      const ShardPlan whole = ShardPlan::make(rows, 0, 1, quantum);
      CHECK(whole.shard_rows % quantum == 0);
      CHECK(whole.total_shards <= 32);
      for (const int size : {1, 2, 3, 7}) {
        std::int64_t next_row = 0, next_shard = 0;
        for (int rank = 0; rank < size; ++rank) {
          const ShardPlan p = ShardPlan::make(rows, rank, size, quantum);
          CHECK(p.shard_rows == whole.shard_rows);
          CHECK(p.total_shards == whole.total_shards);
          CHECK(p.row_begin == next_row);
          CHECK(p.first_shard == next_shard);
          std::int64_t local = 0;
          for (std::int64_t i = 0; i < p.local_shards; ++i) {
            const Shard s = p.shard(i);
            CHECK(s.begin == local);
            CHECK(s.rows > 0);
            local += s.rows;
          }
          CHECK(local == p.local_rows);
          next_row += p.local_rows;
          next_shard += p.local_shards;
        }
        CHECK(next_row == rows);
        CHECK(next_shard == whole.total_shards);
      }
    }
}

TEST_CASE("a finer quantum lets more members share a small batch") {
  for (const auto& [rows, shards] : {std::pair<std::int64_t, std::int64_t>{0, 0},
                                     {1, 1},
                                     {16, 1},
                                     {32, 2},
                                     {64, 4},
                                     {128, 4},
                                     {200, 4},
                                     {256, 4},
                                     {4096, 32}}) {
    CAPTURE(rows);
    CHECK(ShardPlan::make(rows, 0, 1, ShardPlan::fine_quantum(rows)).total_shards == shards);
  }
  TeamPool pool(2);
  std::atomic<int> members = 0;
  const auto count = [&](Context& ctx, const ShardPlan&) { members = ctx.team().size(); };
  pool.run(32, count);
  CHECK(members == 1);
  pool.run(32, count, 16);
  CHECK(members == 2);
}

TEST_CASE("members exchange pointers and see each other's writes") {
  for (const int threads : {1, 2, 3, 7}) {
    TeamPool pool(threads);
    for (int repeat = 0; repeat < 200; ++repeat) {
      std::vector<std::int64_t> sums(7, 0);
      pool.run(64 * 7, [&](Context& ctx, const ShardPlan& plan) {
        for (int round = 0; round < 3; ++round) {
          std::int64_t mine = plan.row_begin + round;
          const auto slots = ctx.team().exchange(&mine);
          std::int64_t sum = 0;
          for (void* p : slots) sum += *static_cast<std::int64_t*>(p);
          sums[static_cast<std::size_t>(ctx.team().rank())] += sum;
          ctx.team().barrier();
        }
      });
      std::int64_t expected = 0;  // over the rounds, first row of each member + round
      for (int r = 0; r < threads; ++r)
        expected += 3 * ShardPlan::make(64 * 7, r, threads).row_begin + 0 + 1 + 2;
      for (int r = 0; r < threads; ++r) CHECK(sums[static_cast<std::size_t>(r)] == expected);
    }
  }
}

TEST_CASE("an exception of one member reaches the caller and the pool stays usable") {
  TeamPool pool(3);
  for (int bad = 0; bad < 3; ++bad) {
    CHECK_THROWS_WITH_AS(pool.run(64 * 3,
                                  [&](Context& ctx, const ShardPlan&) {
                                    if (ctx.team().rank() == bad) throw DataError("row 7 is bad");
                                    ctx.team().barrier();
                                    ctx.team().barrier();
                                  }),
                         "row 7 is bad", DataError);
  }
  std::atomic<int> ran{0};
  pool.run(64 * 3, [&](Context& ctx, const ShardPlan&) {
    ctx.team().barrier();
    ++ran;
  });
  CHECK(ran == 3);
}

TEST_CASE("no more members than shards take part") {
  TeamPool pool(7);
  std::atomic<int> ran{0};
  pool.run(65, [&](Context& ctx, const ShardPlan&) {
    CHECK(ctx.team().size() == 2);
    ++ran;
  });
  CHECK(ran == 2);
  pool.run(0, [&](Context&, const ShardPlan& plan) { CHECK(plan.local_rows == 0); });
}
