// Products of the models' shapes, forward and backward, and batch normalisation with its epilogue.
#include <array>

#include "emshap/ops/linear.h"
#include "emshap/ops/normalization.h"
#include "emshap/ops/product.h"
#include "op_case.h"

using namespace emshap;
using namespace emshap::bench;

namespace {

void add_products(std::int64_t m, std::int64_t k, std::int64_t n) {
  const std::string at = "/" + std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n);
  const double flop = 2. * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n);
  const Work work{f32_bytes(m * k + k * n + m * n), flop};
  add_op("linear_relu" + at, work, [=](Context& ctx, Operands& o) {
    const auto x = o.in({m, k}), w = o.in({k, n}), bias = o.in({n}), y = o.out({m, n});
    return [=, &ctx] { ops::linear_forward(ctx, x, w, bias, Activation::relu, y); };
  });
  add_op("linear_backward_input" + at, work, [=](Context& ctx, Operands& o) {
    const auto dy = o.in({m, n}), w = o.in({k, n}), dx = o.out({m, k});
    return [=, &ctx] { ops::linear_backward_input(ctx, dy, w, dx); };
  });
  add_op("linear_backward_params" + at, work, [=](Context& ctx, Operands& o) {
    const auto x = o.in({m, k}), dy = o.in({m, n}), dw = o.out({k, n}), db = o.out({n});
    return [=, &ctx] { ops::linear_backward_params(ctx, x, dy, dw, db); };
  });
  add_op("add_product" + at, work + Work{f32_bytes(m * n), 0}, [=](Context& ctx, Operands& o) {
    const auto x = o.in({m, k}), w = o.in({k, n}), y = o.out({m, n});
    return [=, &ctx] { ops::add_product(ctx, x, w, y); };
  });
  add_op("add_product_at" + at, work, [=](Context& ctx, Operands& o) {
    const auto x = o.in({m, k}), dy = o.in({m, n}), dw = o.out({k, n});
    return [=, &ctx] { ops::add_product_at(ctx, x, dy, dw); };
  });
}

void add_batch_norm(std::int64_t b, std::int64_t f) {
  const std::string at = "/" + std::to_string(b) + "x" + std::to_string(f);
  const ops::NormEpilogue epilogue{.activation = Activation::relu, .dropout = .1f, .key = {.seed = 5}};
  // x must be read twice: for the statistics and to be normalised.
  add_op("batch_norm_forward" + at, {f32_bytes(3 * b * f), 0}, [=](Context& ctx, Operands& o) {
    const auto x = o.in({b, f}), gamma = o.in({f}, .5, 1.5), beta = o.in({f}), mean = o.out({f}),
               rstd = o.out({f}), running_mean = o.out({f}), running_var = o.inout({f}, .5, 1.5),
               y = o.out({b, f});
    return [=, &ctx] {
      ops::batch_norm_forward(ctx, x, gamma, beta, 1e-5, .1, running_mean, running_var, epilogue, y, mean,
                              rstd);
    };
  });
  add_op("batch_norm_backward" + at, {f32_bytes(7 * b * f), 0}, [=](Context& ctx, Operands& o) {
    const auto dy = o.in({b, f}), x = o.in({b, f}), y = o.in({b, f}), gamma = o.in({f}, .5, 1.5),
               mean = o.in({f}), rstd = o.in({f}, .5, 1.5), dx = o.out({b, f}), dgamma = o.out({f}),
               dbeta = o.out({f});
    return [=, &ctx] {
      ops::batch_norm_backward(ctx, dy, x, y, gamma, mean, rstd, epilogue, dx, dgamma, dbeta);
    };
  });
  add_op("batch_norm_infer" + at, {f32_bytes(2 * b * f), 0}, [=](Context& ctx, Operands& o) {
    const auto x = o.in({b, f}), gamma = o.in({f}), beta = o.in({f}), mean = o.in({f}),
               var = o.in({f}, .5, 1.5), y = o.out({b, f});
    return [=, &ctx] { ops::batch_norm_infer(ctx, x, gamma, beta, 1e-5, mean, var, Activation::relu, y); };
  });
}

}  // namespace

int main(int argc, char** argv) {
  for (const auto& s : {std::array{256, 128, 64},
                        {4096, 20, 128},
                        {4096, 128, 64},
                        {4096, 128, 128},
                        {65536, 64, 192},
                        {69632, 128, 128}})
    add_products(rows(s[0]), s[1], s[2]);
  for (const std::int64_t b : {256, 4096, 65536}) add_batch_norm(rows(b), 128);
  return run_gpu_benchmarks(argc, argv);
}
