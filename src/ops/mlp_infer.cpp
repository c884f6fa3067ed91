#include "emshap/ops/mlp_infer.h"

#include "ops/checks.h"
#include "ops/dispatch.h"
#include "ops/mlp_infer_backend.h"

namespace emshap::ops {

void mlp_infer(Context& ctx, std::span<const MlpLayer> layers, Activation activation, ConstTensorView x,
               TensorView y) {
  constexpr const char* op = "mlp_infer";
  check::same_kind(op, ctx, {{"x", x}, {"y", y}});
  const auto count = static_cast<std::int64_t>(layers.size());
  if (count < 1 || count > mlp_most_layers)
    throw ShapeError(fmt::format("{}: there are {} layers, expected 1 to {}", op, count, mlp_most_layers));
  cuda::MlpStack stack{};
  std::int64_t width = x.cols();
  for (std::int64_t i = 0; i < count; ++i) {
    const MlpLayer& layer = layers[static_cast<std::size_t>(i)];
    check::same_kind(op, ctx, {{"x", x}, {"weight", layer.weight}, {"bias", layer.bias}});
    check::shape(op, {"weight", layer.weight}, Shape{width, layer.weight.cols()},
                 "the layer before has as many outputs");
    width = layer.weight.cols();
    check::vector(op, {"bias", layer.bias}, width, "there is one number an output");
    stack.layer[i] = {mat<float>(layer.weight), layer.bias.ptr<float>()};
  }
  stack.layers = static_cast<int>(count);
  check::shape(op, {"y", y}, Shape{x.rows(), width}, "there is one row for each of x");
  if (x.rows() == 0) return;
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH_CUDA(ctx, "mlp_infer runs on a GPU only; on the CPU layers go one by one",
                       mlp_infer(ctx, stack, activation, mat<float>(x), mat<float>(y)));
}

}  // namespace emshap::ops
