#include "emshap/ops/energy_infer.h"

#include "ops/checks.h"
#include "ops/dispatch.h"
#include "ops/energy_infer_backend.h"

namespace emshap::ops {

bool fused_energy(const Context& ctx) {
  return ctx.backend() == Backend::cuda;
}

void energy_infer(Context& ctx, const EnergyWeights& w, ConstTensorView x, ConstTensorView shared,
                  TensorView energy) {
  constexpr const char* op = "energy_infer";
  check::same_kind(op, ctx,
                   {{"x", x},
                    {"shared", shared},
                    {"completion", w.completion},
                    {"output", w.output},
                    {"output_bias", w.output_bias},
                    {"energy", energy}});
  const std::int64_t B = shared.rows(), N = shared.cols(), F = w.completion.rows(), n = x.rows();
  constexpr const char* why = "shared has N columns";
  check::shape(op, {"completion", w.completion}, Shape{F, N}, why);
  check::shape(op, {"x", x}, Shape{n, F}, "completion has F rows");
  check::vector(op, {"energy", energy}, n, "x has as many rows");
  check::shape(op, {"output", w.output}, Shape{N, 1}, why);
  check::vector(op, {"output_bias", w.output_bias}, 1, "there is one energy");
  const auto layers = static_cast<std::int64_t>(w.layers.size());
  if (w.depth < 1 || layers % w.depth != 0 || layers > energy_most_layers)
    throw ShapeError(fmt::format("{}: {} layers in blocks of {}, expected whole blocks and at most {} layers",
                                 op, layers, w.depth, energy_most_layers));
  if (n == 0) return;
  if (B == 0 || n % B != 0)
    throw ShapeError(fmt::format("{}: x has {} rows, expected a multiple of the {} of shared", op, n, B));
  cuda::EnergyStack stack{};
  stack.completion = mat<float>(w.completion);
  for (std::int64_t i = 0; i < layers; ++i) {
    const EnergyLayer& layer = w.layers[static_cast<std::size_t>(i)];
    check::same_kind(op, ctx, {{"weight", layer.weight}, {"bias", layer.bias}});
    check::shape(op, {"weight", layer.weight}, Shape{N, N}, why);
    check::vector(op, {"bias", layer.bias}, N, why);
    stack.layer[i] = {mat<float>(layer.weight), layer.bias.ptr<float>()};
  }
  stack.layers = static_cast<int>(layers);
  stack.depth = w.depth;
  stack.output = mat<float>(w.output);
  stack.output_bias = w.output_bias.ptr<float>();
  stack.bound = static_cast<float>(w.bound);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH_CUDA(
      ctx, "energy_infer runs on a GPU only; on the CPU the network goes layer by layer",
      energy_infer(ctx, stack, w.activation, mat<float>(x), mat<float>(shared), energy.ptr<float>()));
}

}  // namespace emshap::ops
