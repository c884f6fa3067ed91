// Ops that one pass over memory bounds: elementwise, activation, dropout, random fills, reductions, losses,
// Adam.
#include "emshap/ops/activation.h"
#include "emshap/ops/dropout.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/loss.h"
#include "emshap/ops/optimizer.h"
#include "emshap/ops/random_fill.h"
#include "emshap/ops/reduction.h"
#include "op_case.h"

using namespace emshap;
using namespace emshap::bench;

namespace {

void add_pointwise(std::int64_t b, std::int64_t f) {
  const std::string at = "/" + std::to_string(b) + "x" + std::to_string(f);
  const std::int64_t n = b * f;
  const RandomKey key{.seed = 7};
  add_op("axpy" + at, {f32_bytes(3 * n), 2. * static_cast<double>(n)}, [=](Context& ctx, Operands& o) {
    const auto x = o.in({b, f}), y = o.inout({b, f});
    return [=, &ctx] { ops::axpy(ctx, 1e-3, x, y); };
  });
  add_op("relu" + at, {f32_bytes(2 * n), static_cast<double>(n)}, [=](Context& ctx, Operands& o) {
    const auto x = o.in({b, f}), y = o.out({b, f});
    return [=, &ctx] { ops::activation_forward(ctx, Activation::relu, x, y); };
  });
  add_op("gelu" + at, {f32_bytes(2 * n), 0}, [=](Context& ctx, Operands& o) {
    const auto x = o.in({b, f}, -4, 4), y = o.out({b, f});
    return [=, &ctx] { ops::activation_forward(ctx, Activation::gelu, x, y); };
  });
  add_op("gelu_backward" + at, {f32_bytes(3 * n), 0}, [=](Context& ctx, Operands& o) {
    const auto x = o.in({b, f}, -4, 4), dy = o.in({b, f}), dx = o.out({b, f});
    return [=, &ctx] { ops::activation_backward(ctx, Activation::gelu, x, {}, dy, dx); };
  });
  add_op("dropout" + at, {f32_bytes(2 * n), 0}, [=](Context& ctx, Operands& o) {
    const auto x = o.in({b, f}), y = o.out({b, f});
    return [=, &ctx] { ops::dropout_forward(ctx, x, .1, key, y); };
  });
  add_op("fill_uniform" + at, {f32_bytes(n), 0}, [=](Context& ctx, Operands& o) {
    const auto y = o.out({b, f});
    return [=, &ctx] { ops::fill_uniform(ctx, key, 0, 1, y); };
  });
  add_op("fill_normal" + at, {f32_bytes(n), 0}, [=](Context& ctx, Operands& o) {
    const auto y = o.out({b, f});
    return [=, &ctx] { ops::fill_normal(ctx, key, 0, 1, y); };
  });
  add_op("sum_over_rows" + at, {f32_bytes(n), static_cast<double>(n)}, [=](Context& ctx, Operands& o) {
    const auto x = o.in({b, f}), y = o.out({f});
    return [=, &ctx] { ops::sum_over_rows(ctx, x, y); };
  });
  add_op("sum_over_columns" + at, {f32_bytes(n + b), static_cast<double>(n)}, [=](Context& ctx, Operands& o) {
    const auto x = o.in({b, f}), y = o.out({b});
    return [=, &ctx] { ops::sum_over_columns(ctx, x, y); };
  });
  add_op("log_sum_exp" + at, {f32_bytes(n + b), 0}, [=](Context& ctx, Operands& o) {
    const auto x = o.in({b, f}, -4, 4), y = o.out({b});
    return [=, &ctx] { ops::log_sum_exp(ctx, x, y); };
  });
}

void add_flat(std::int64_t n) {
  const std::string at = "/" + std::to_string(n);
  add_op("adam" + at, {f32_bytes(7 * n), 0}, [=](Context& ctx, Operands& o) {
    const auto g = o.in({n}), w = o.inout({n}), m = o.inout({n}), v = o.inout({n}, 0, 1);
    return [=, &ctx] { ops::adam_step(ctx, {}, 3, g, {}, {}, w, m, v); };
  });
  add_op("clip_scale" + at, {f32_bytes(n), 2. * static_cast<double>(n)}, [=](Context& ctx, Operands& o) {
    const auto g = o.in({n}), norm = o.out({1}), scale = o.out({1});
    return [=, &ctx] { ops::clip_scale(ctx, g, 5, norm, scale); };
  });
  add_op("ema" + at, {f32_bytes(3 * n), 0}, [=](Context& ctx, Operands& o) {
    const auto w = o.in({n}), average = o.inout({n});
    return [=, &ctx] { ops::ema_update(ctx, .99, w, average); };
  });
}

}  // namespace

int main(int argc, char** argv) {
  add_pointwise(rows(4096), 64);
  add_pointwise(rows(4096), 128);
  add_pointwise(rows(1 << 17), 128);
  for (const std::int64_t n : {12'000, 150'000, 16'000'000}) add_flat(on_processor() ? n % 9'973 : n);
  for (const std::int64_t b : {4096, 1 << 20}) {
    const std::int64_t n = rows(b);
    add_op("mse/" + std::to_string(n), {f32_bytes(3 * n), 0}, [=](Context& ctx, Operands& o) {
      const auto p = o.in({n, 1}), t = o.in({n, 1}), loss = o.out({1}), dp = o.out({n, 1});
      return [=, &ctx] { ops::loss_forward(ctx, Loss::mse, 1, p, t, loss, dp); };
    });
  }
  return run_gpu_benchmarks(argc, argv);
}
