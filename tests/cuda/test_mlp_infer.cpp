// Layers in one kernel against plain sums in double.
#include "emshap/ops/mlp_infer.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "cuda/on_device.h"
#include "emshap/core/error.h"
#include "emshap/ops/activation.h"
#include "emshap/ops/linear.h"
#include "math/mlp_shape.h"
#include "support/compare.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// widths: of x, of each layer.
void check_layers(Backend backend, const std::vector<std::int64_t>& widths, std::int64_t B,
                  Activation activation) {
  const auto ctx = make_context(backend);
  OnDevice memory(ctx->device());
  Context cpu;
  const auto x = random_values(B * widths.front(), 1);
  Tensor h = make_tensor(x, {B, widths.front()}, DType::f64);
  std::vector<ops::MlpLayer> layers;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    const std::int64_t in = widths[i], out = widths[i + 1];
    const auto w = random_values(in * out, 2 + i, 1 / std::sqrt(static_cast<double>(in))),
               b = random_values(out, 20 + i, .3);
    Tensor next({B, out}, DType::f64);
    ops::linear_forward(cpu, h, make_tensor(w, {in, out}, DType::f64), make_tensor(b, {out}, DType::f64),
                        Activation::identity, next);
    if (i + 2 < widths.size()) ops::activation_forward(cpu, activation, next, next);
    h = std::move(next);
    layers.push_back(
        {memory.copy(make_tensor(w, {in, out}, DType::f32)), memory.copy(make_tensor(b, {out}, DType::f32))});
  }
  const ConstTensorView there = memory.copy(make_tensor(x, {B, widths.front()}, DType::f32));
  const TensorView wide = memory.make({B, widths.back() + 3});
  const TensorView y = wide.columns(2, widths.back()), again = memory.make({B, widths.back()});
  ops::mlp_infer(*ctx, layers, activation, there, y);
  const std::string what = fmt::format("{} rows, {}", B, fmt::join(widths, " - "));
  check_close(what, y, h, {2e-5, 2e-5});
  // Rows one by one: other tiles, the same bits.
  for (std::int64_t b = 0; b<B; b += B> 40 ? 29 : 1)
    ops::mlp_infer(*ctx, layers, activation, there.rows(b, 1), again.rows(b, 1));
  for (std::int64_t b = 0; b<B; b += B> 40 ? 29 : 1)
    check_same_bits(what, to_doubles(again.rows(b, 1)), to_doubles(y.rows(b, 1)));
}

}  // namespace

TEST_CASE("small: a row goes through all layers, and its bits do not depend on the other rows") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    for (const std::int64_t B : {0, 1, 3, 4, 16, 17, 65})
      check_layers(backend, {7, 13, 5, 1}, B, Activation::relu);
    for (const Activation activation : {Activation::gelu, Activation::tanh, Activation::leaky_relu})
      check_layers(backend, {31, 33, 2}, 9, activation);
    check_layers(backend, {20, 1}, 5, Activation::relu);
    check_layers(backend, {20, 4}, 5, Activation::relu);
    check_layers(backend, {20, 5}, 5, Activation::relu);
    check_layers(backend, {1, 129, 130, 127, 6}, 21, Activation::relu);
    check_layers(backend, {84, 128}, 40, Activation::identity);
    check_layers(backend, {40, 30, 20, 10, 1}, 6, Activation::relu);
  }
}

TEST_CASE("tiles of many rows") {
  for (const Backend backend : backends())
    if (backend == Backend::cuda) check_layers(backend, {5, 9, 1}, 64 * 132 + 3, Activation::relu);
}

TEST_CASE("tiles fit their shared memory, and buffers do not overlap") {
  for (const std::int64_t limit : {64 * 1024, 227 * 1024})
    for (const std::int64_t even : {1, 20, 300, 2000})
      for (const std::int64_t odd : {0, 13, 512})
        for (const std::int64_t n : {1, 64, 1 << 20}) {
          const math::MlpTile t = math::mlp_tile(even, odd, n, limit);
          if (t.draws == 0) continue;
          CHECK(t.bytes <= limit);
          CHECK(t.stride % 4 == 0);
          CHECK(t.buffers[1] - t.buffers[0] >= even * t.stride);
          CHECK(t.chunk - t.buffers[1] >= odd * t.stride);
          CHECK(t.bytes == 4 * (t.chunk + math::layer_chunk_rows * math::layer_chunk_cols));
        }
  CHECK(math::mlp_tile(128, 64, 1 << 20, 227 * 1024).draws == math::layer_most_draws);
  CHECK(math::mlp_tile(100000, 1, 10, 227 * 1024).draws == 0);
}

TEST_CASE("layers that do not fit each other, and a context of the CPU, are refused") {
  Context cpu;
  const Tensor x({2, 3}), w({3, 4}), b({4}), other({5, 4});
  Tensor y({2, 4});
  const ops::MlpLayer good{w, b}, bad{other, b};
  CHECK_THROWS_AS(ops::mlp_infer(cpu, {&good, 1}, Activation::relu, x, y), DeviceError);
  CHECK_THROWS_AS(ops::mlp_infer(cpu, {&bad, 1}, Activation::relu, x, y), ShapeError);
  CHECK_THROWS_AS(ops::mlp_infer(cpu, {&good, 0}, Activation::relu, x, y), ShapeError);
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    OnDevice memory(ctx->device());
    const std::int64_t wide = 20000;
    const ops::MlpLayer much{memory.make({wide, 1}), memory.make({1})};
    CHECK_THROWS_AS(
        ops::mlp_infer(*ctx, {&much, 1}, Activation::relu, memory.make({2, wide}), memory.make({2, 1})),
        DeviceError);
  }
}
