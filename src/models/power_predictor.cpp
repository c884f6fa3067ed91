#include "emshap/models/power_predictor.h"

#include <algorithm>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/data/graph_writer.h"
#include "layers/scratch.h"

namespace emshap {

PowerPredictor::PowerPredictor(const PowerPredictorOptions& o, DType dtype, Device device)
    : options_(o), store_(std::make_unique<ParameterStore>()) {
  if (o.features < 1)
    throw ConfigError(fmt::format("the power predictor has {} features, expected at least 1", o.features));
  if (o.residual_blocks < 0)
    throw ConfigError(
        fmt::format("the power predictor has {} residual blocks, expected 0 or more", o.residual_blocks));
  std::int64_t inputs = o.features;
  std::uint32_t dropout_layer = 0;
  for (std::size_t i = 0; i < o.hidden.size(); ++i) {
    const std::string name = fmt::format("hidden{}", i);
    hidden_.emplace_back(*store_, name,
                         MlpBlockOptions{.inputs = inputs,
                                         .outputs = o.hidden[i],
                                         .batch_norm = o.batch_norm,
                                         .activation = o.activation,
                                         .dropout = o.dropout,
                                         .seed = o.seed,
                                         .dropout_layer = dropout_layer++});
    stages_.push_back({false, hidden_.size() - 1, o.hidden[i]});
    inputs = o.hidden[i];
    for (int r = 0; r < o.residual_blocks; ++r) {
      residual_.emplace_back(*store_, fmt::format("{}.residual{}", name, r),
                             ResidualBlockOptions{.features = inputs,
                                                  .batch_norm = o.batch_norm,
                                                  .activation = o.activation,
                                                  .dropout = o.dropout,
                                                  .seed = o.seed,
                                                  .dropout_layer = dropout_layer++});
      stages_.push_back({true, residual_.size() - 1, inputs});
    }
  }
  output_.emplace(*store_, "output",
                  LinearOptions{.inputs = inputs, .outputs = 1, .init = Init::xavier_uniform});
  store_->allocate(dtype, device);
  for (MlpBlock& block : hidden_) block.initialise(o.seed);
  for (ResidualBlock& block : residual_) block.initialise(o.seed);
  output_->initialise(o.seed);
}

void PowerPredictor::infer(Context& ctx, ConstTensorView x, TensorView y) const {
  const Workspace::Scope scope(ctx.workspace());
  std::int64_t widest = 0;
  for (const Stage& s : stages_) widest = std::max(widest, s.width);
  const std::int64_t most = std::min(tile_rows, x.rows());
  const TensorView buffers[2] = {scratch(ctx, {most * widest}, x.dtype()),
                                 scratch(ctx, {most * widest}, x.dtype())};
  for_row_tiles(x.rows(), [&](std::int64_t begin, std::int64_t count) {
    ConstTensorView h = x.rows(begin, count);
    int turn = 0;
    for (const Stage& s : stages_) {
      const TensorView next = buffers[turn].columns(0, count * s.width).reshaped({count, s.width});
      if (s.residual)
        residual_[s.index].infer(ctx, h, next);
      else
        hidden_[s.index].infer(ctx, h, next);
      h = next;
      turn = 1 - turn;
    }
    output_->infer(ctx, h, y.rows(begin, count));
  });
}

void PowerPredictor::forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) {
  cache.h.resize(stages_.size());
  cache.hidden.resize(hidden_.size());
  cache.residual.resize(residual_.size());
  ConstTensorView h = x;
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    const Stage& s = stages_[i];
    cache.h[i].ensure({x.rows(), s.width}, x.dtype(), ctx.device());
    if (s.residual) {
      cache.residual[s.index].step = cache.step;
      residual_[s.index].forward(ctx, h, cache.h[i], cache.residual[s.index]);
    } else {
      cache.hidden[s.index].step = cache.step;
      hidden_[s.index].forward(ctx, h, cache.h[i], cache.hidden[s.index]);
    }
    h = cache.h[i];
  }
  output_->forward(ctx, h, y, cache.output);
}

void PowerPredictor::backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) {
  const Workspace::Scope scope(ctx.workspace());
  std::int64_t widest = 0;
  for (const Stage& s : stages_) widest = std::max(widest, s.width);
  const TensorView buffers[2] = {scratch(ctx, {dy.rows() * widest}, dy.dtype()),
                                 scratch(ctx, {dy.rows() * widest}, dy.dtype())};
  int turn = 0;
  const auto gradient_of =
      [&](std::size_t stages_before) {  // of the output of stage stages_before - 1, or of x
        if (stages_before == 0) return dx;
        const std::int64_t width = stages_[stages_before - 1].width;
        turn = 1 - turn;
        return buffers[turn].columns(0, dy.rows() * width).reshaped({dy.rows(), width});
      };
  TensorView dh = gradient_of(stages_.size());
  output_->backward(ctx, cache.output, dy, dh);
  for (std::size_t i = stages_.size(); i-- > 0;) {
    const Stage& s = stages_[i];
    const TensorView next = gradient_of(i);
    if (s.residual)
      residual_[s.index].backward(ctx, cache.residual[s.index], dh, next);
    else
      hidden_[s.index].backward(ctx, cache.hidden[s.index], dh, next);
    dh = next;
  }
}

GraphValue PowerPredictor::to_onnx(GraphWriter& graph, const GraphValue& x) const {
  GraphValue h = x;
  for (const Stage& s : stages_)
    h = s.residual ? residual_[s.index].to_onnx(graph, h) : hidden_[s.index].to_onnx(graph, h);
  return output_->to_onnx(graph, h);
}

}  // namespace emshap
