// The energy network in one kernel against its layers on the CPU in double.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cuda/set_gru_device.h"
#include "emshap/models/energy_network.h"
#include "emshap/ops/energy_infer.h"
#include "math/energy_shape.h"
#include "support/layer_harness.h"

using namespace emshap;
using namespace emshap::test;

namespace {

void check_network(Backend backend, const EnergyNetworkOptions& o, std::int64_t B, std::int64_t R) {
  const auto ctx = make_context(backend);
  OnDevice memory(ctx->device());
  EnergyNetwork here(o, DType::f64), there(o, DType::f32, ctx->device());
  randomise(there.store(), 3);
  here.store().copy_from(there.store());
  const std::int64_t F = o.features, H = o.context;
  const auto x = random_values(B * R * F, 4), context = random_values(B * H, 5, .5);
  auto mask = random_values(B * F, 6);
  for (double& m : mask) m = m > 0;
  Context cpu;
  Tensor expected({B * R}, DType::f64);
  here.infer(cpu, make_tensor(x, {B * R, F}, DType::f64), make_tensor(mask, {B, F}, DType::f64),
             make_tensor(context, {B, H}, DType::f64), expected);
  const auto sent = [&](const std::vector<double>& v, Shape shape) {
    return memory.copy(make_tensor(v, shape, DType::f32));
  };
  const TensorView got = memory.make({B * R}), again = memory.make({B * R});
  const ConstTensorView xd = sent(x, {B * R, F}), md = sent(mask, {B, F}), cd = sent(context, {B, H});
  there.infer(*ctx, xd, md, cd, got);
  there.infer(*ctx, xd, md, cd, again);
  const std::string what =
      fmt::format("{} rows of {}, {} units, {} blocks of {}", B, R, o.hidden, o.blocks, o.depth);
  check_close(what, got, expected, {2e-5, 2e-5});
  check_same_bits(what, to_doubles(again), to_doubles(got));
}

}  // namespace

TEST_CASE("small: energies on the GPU are those of the layers") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    EnergyNetworkOptions o{.features = 5, .context = 6, .hidden = 13};
    for (const std::int64_t R : {1, 15, 16, 17, 65}) check_network(backend, o, 3, R);
    check_network(backend, o, 0, 4);
    for (const int depth : {1, 2, 3, 4}) {
      o.depth = depth;
      o.form = depth % 2 == 1 ? EnergyForm::absolute : EnergyForm::residual;
      o.activation = depth > 2 ? Activation::gelu : Activation::relu;
      check_network(backend, o, 2, 9);
    }
    o.blocks = 0;
    check_network(backend, o, 2, 9);
    check_network(backend, {.features = 40, .context = 64, .hidden = 128}, 5, 21);
    check_network(backend, {.features = 150, .context = 3, .hidden = 130}, 1, 7);
  }
}

TEST_CASE("energy tiles fit their shared memory, and buffers do not overlap") {
  for (const std::int64_t limit : {64 * 1024, 227 * 1024})
    for (const std::int64_t F : {1, 20, 300})
      for (const std::int64_t N : {1, 13, 128, 512})
        for (const std::int64_t n : {1, 64, 1 << 20}) {
          const math::EnergyTile t = math::energy_tile(F, N, n, limit);
          if (t.draws == 0) continue;
          CHECK(t.bytes <= limit);
          CHECK(t.stride % 4 == 0);
          CHECK(t.buffers[1] >= N * t.stride);
          CHECK(t.buffers[2] - t.buffers[1] >= std::max(F, N) * t.stride);
          CHECK(t.chunk - t.buffers[2] >= N * t.stride);
          CHECK(t.bytes == 4 * (t.chunk + math::layer_chunk_rows * math::layer_chunk_cols));
        }
  CHECK(math::energy_tile(20, 128, 1 << 20, 227 * 1024).draws == math::layer_most_draws);
  CHECK(math::energy_tile(20, 100000, 10, 227 * 1024).draws == 0);
}
