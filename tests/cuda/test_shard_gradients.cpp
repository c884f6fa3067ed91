#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cuda/compare_op.h"
#include "emshap/ops/shard_gradients.h"
#include "math/launch_shape.h"

using namespace emshap;
using namespace emshap::test;

namespace {

void check_all(std::int64_t shards, std::int64_t n) {
  const auto slabs = random_values(shards * n, 1), gradient = random_values(n, 2),
             losses = random_values(shards, 3);
  // Slabs lie without gaps, in f32 also on the CPU, so that both sides add the same numbers in the same
  // order.
  compare_bits(fmt::format("add_shard_gradients, {} x {}", shards, n), [&](Side& s) {
    TensorView flat = s.in(slabs, {shards * n});
    const TensorView sheet(flat.data(), {shards, n}, flat.dtype(), flat.device(), n);
    ops::add_shard_gradients(s.ctx(), sheet, s.wide(losses, {shards}), s.inout("gradient", gradient, {n}),
                             s.out("loss", {1}));
  });
}

}  // namespace

TEST_CASE("small: shards are added in order on every device, bit for bit") {
  for (const std::int64_t shards : {0, 1, 2, 32})
    for (const std::int64_t n : {1, 31, 33}) check_all(shards, n);
}

TEST_CASE("large: shards are added in order on every device") {
  for (const std::int64_t n : sizes_around(math::pointwise_threads)) check_all(5, n);
}
