#include <algorithm>

#include "emshap/core/context.h"

namespace emshap {
namespace {
constexpr std::int64_t most_shards = 32;  // bounds the memory and the sums of per-shard partials
}  // namespace

ShardPlan ShardPlan::make(std::int64_t rows, int rank, int size, std::int64_t quantum) {
  ShardPlan p;
  p.total_rows = rows;
  const std::int64_t even = (rows + most_shards - 1) / most_shards;
  p.shard_rows = std::max(quantum, (even + quantum - 1) / quantum * quantum);
  p.total_shards = (rows + p.shard_rows - 1) / p.shard_rows;
  p.first_shard = p.total_shards * rank / size;
  const std::int64_t end = p.total_shards * (rank + 1) / size;
  p.local_shards = end - p.first_shard;
  p.row_begin = std::min(p.first_shard * p.shard_rows, rows);
  p.local_rows = std::min(end * p.shard_rows, rows) - p.row_begin;
  return p;
}

std::int64_t ShardPlan::fine_quantum(std::int64_t rows) {
  constexpr std::int64_t least = 16;
  return std::clamp((rows / 4 + least - 1) / least * least, least, row_quantum);
}

ShardPlan ShardPlan::times(std::int64_t factor) const {
  ShardPlan p = *this;
  p.total_rows *= factor;
  p.shard_rows *= factor;
  p.row_begin *= factor;
  p.local_rows *= factor;
  return p;
}

}  // namespace emshap
