#include "emshap/models/power_predictor.h"

#include <algorithm>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/data/graph_writer.h"
#include "emshap/ops/elementwise.h"
#include "layers/scratch.h"

namespace emshap {
namespace {

/// y (B, 1) = mean over the columns of `each` (B, M).
void mean_of_members(Context& ctx, ConstTensorView each, TensorView y) {
  ops::copy(ctx, each.columns(0, 1), y);
  for (std::int64_t m = 1; m < each.cols(); ++m) ops::add(ctx, y, each.columns(m, 1), y);
  ops::affine(ctx, y, 1.0 / static_cast<double>(each.cols()), 0, y);
}

}  // namespace

PowerPredictor::PowerPredictor(const PowerPredictorOptions& o, DType dtype, Device device)
    : options_(o), store_(std::make_unique<ParameterStore>()) {
  if (o.features < 1)
    throw ConfigError(fmt::format("the power predictor has {} features, expected at least 1", o.features));
  if (o.residual_blocks < 0)
    throw ConfigError(
        fmt::format("the power predictor has {} residual blocks, expected 0 or more", o.residual_blocks));
  if (o.members < 1)
    throw ConfigError(fmt::format("the power predictor has {} members, expected at least 1", o.members));
  std::uint32_t dropout_layer = 0;
  for (int m = 0; m < o.members; ++m)
    members_.push_back(make_member(o.members == 1 ? "" : fmt::format("member{}.", m), dropout_layer));
  store_->allocate(dtype, device);
  for (Member& member : members_) {
    for (MlpBlock& block : member.hidden) block.initialise(o.seed);
    for (ResidualBlock& block : member.residual) block.initialise(o.seed);
    member.output->initialise(o.seed);
  }
}

PowerPredictor::Member PowerPredictor::make_member(const std::string& prefix, std::uint32_t& dropout_layer) {
  const PowerPredictorOptions& o = options_;
  Member member;
  std::int64_t inputs = o.features;
  for (std::size_t i = 0; i < o.hidden.size(); ++i) {
    const std::string name = fmt::format("{}hidden{}", prefix, i);
    member.hidden.emplace_back(*store_, name,
                               MlpBlockOptions{.inputs = inputs,
                                               .outputs = o.hidden[i],
                                               .batch_norm = o.batch_norm,
                                               .activation = o.activation,
                                               .dropout = o.dropout,
                                               .seed = o.seed,
                                               .dropout_layer = dropout_layer++});
    member.stages.push_back({false, member.hidden.size() - 1, o.hidden[i]});
    inputs = o.hidden[i];
    for (int r = 0; r < o.residual_blocks; ++r) {
      member.residual.emplace_back(*store_, fmt::format("{}.residual{}", name, r),
                                   ResidualBlockOptions{.features = inputs,
                                                        .batch_norm = o.batch_norm,
                                                        .activation = o.activation,
                                                        .dropout = o.dropout,
                                                        .seed = o.seed,
                                                        .dropout_layer = dropout_layer++});
      member.stages.push_back({true, member.residual.size() - 1, inputs});
    }
  }
  member.output.emplace(*store_, prefix + "output",
                        LinearOptions{.inputs = inputs, .outputs = 1, .init = Init::xavier_uniform});
  return member;
}

std::int64_t PowerPredictor::widest() const {
  std::int64_t width = 0;
  for (const Stage& s : members_.front().stages) width = std::max(width, s.width);
  return width;
}

void PowerPredictor::infer_member(Context& ctx, const Member& member, ConstTensorView x, TensorView y,
                                  TensorView buffer1, TensorView buffer2) const {
  const TensorView buffers[2] = {buffer1, buffer2};
  ConstTensorView h = x;
  int turn = 0;
  for (const Stage& s : member.stages) {
    const TensorView next = buffers[turn].columns(0, x.rows() * s.width).reshaped({x.rows(), s.width});
    if (s.residual)
      member.residual[s.index].infer(ctx, h, next);
    else
      member.hidden[s.index].infer(ctx, h, next);
    h = next;
    turn = 1 - turn;
  }
  member.output->infer(ctx, h, y);
}

void PowerPredictor::infer(Context& ctx, ConstTensorView x, TensorView y) const {
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t most = std::min(tile_rows, x.rows());
  const auto M = static_cast<std::int64_t>(members_.size());
  const TensorView buffer1 = scratch(ctx, {most * widest()}, x.dtype());
  const TensorView buffer2 = scratch(ctx, {most * widest()}, x.dtype());
  const TensorView outputs = scratch(ctx, {most, M}, x.dtype());
  for_row_tiles(x.rows(), [&](std::int64_t begin, std::int64_t count) {
    const ConstTensorView rows = x.rows(begin, count);
    const TensorView tile = y.rows(begin, count);
    if (M == 1) return infer_member(ctx, members_.front(), rows, tile, buffer1, buffer2);
    const TensorView each = outputs.rows(0, count);
    for (std::int64_t m = 0; m < M; ++m)
      infer_member(ctx, members_[static_cast<std::size_t>(m)], rows, each.columns(m, 1), buffer1, buffer2);
    mean_of_members(ctx, each, tile);
  });
}

void PowerPredictor::forward_member(Context& ctx, Member& member, ConstTensorView x, TensorView y,
                                    std::uint64_t step, MemberCache& cache) {
  cache.h.resize(member.stages.size());
  cache.hidden.resize(member.hidden.size());
  cache.residual.resize(member.residual.size());
  ConstTensorView h = x;
  for (std::size_t i = 0; i < member.stages.size(); ++i) {
    const Stage& s = member.stages[i];
    cache.h[i].ensure({x.rows(), s.width}, x.dtype(), ctx.device());
    if (s.residual) {
      cache.residual[s.index].step = step;
      member.residual[s.index].forward(ctx, h, cache.h[i], cache.residual[s.index]);
    } else {
      cache.hidden[s.index].step = step;
      member.hidden[s.index].forward(ctx, h, cache.h[i], cache.hidden[s.index]);
    }
    h = cache.h[i];
  }
  member.output->forward(ctx, h, y, cache.output);
}

void PowerPredictor::backward_member(Context& ctx, Member& member, const MemberCache& cache,
                                     ConstTensorView dy, TensorView dx) {
  const Workspace::Scope scope(ctx.workspace());
  const TensorView buffers[2] = {scratch(ctx, {dy.rows() * widest()}, dy.dtype()),
                                 scratch(ctx, {dy.rows() * widest()}, dy.dtype())};
  int turn = 0;
  const auto gradient_of =
      [&](std::size_t stages_before) {  // of the output of stage stages_before - 1, or of x
        if (stages_before == 0) return dx;
        const std::int64_t width = member.stages[stages_before - 1].width;
        turn = 1 - turn;
        return buffers[turn].columns(0, dy.rows() * width).reshaped({dy.rows(), width});
      };
  TensorView dh = gradient_of(member.stages.size());
  member.output->backward(ctx, cache.output, dy, dh);
  for (std::size_t i = member.stages.size(); i-- > 0;) {
    const Stage& s = member.stages[i];
    const TensorView next = gradient_of(i);
    if (s.residual)
      member.residual[s.index].backward(ctx, cache.residual[s.index], dh, next);
    else
      member.hidden[s.index].backward(ctx, cache.hidden[s.index], dh, next);
    dh = next;
  }
}

void PowerPredictor::forward_members(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) {
  cache.members.resize(members_.size());
  for (std::size_t m = 0; m < members_.size(); ++m)
    forward_member(ctx, members_[m], x, y.columns(static_cast<std::int64_t>(m), 1), cache.step,
                   cache.members[m]);
}

void PowerPredictor::backward_members(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) {
  const Workspace::Scope scope(ctx.workspace());
  const bool several = members_.size() > 1 && wanted(dx);
  const TensorView part = several ? scratch(ctx, {dx.rows(), dx.cols()}, dx.dtype()) : TensorView();
  for (std::size_t m = 0; m < members_.size(); ++m) {
    const ConstTensorView mine = dy.columns(static_cast<std::int64_t>(m), 1);
    backward_member(ctx, members_[m], cache.members[m], mine, m == 0 ? dx : part);
    if (several && m > 0) ops::add(ctx, dx, part, dx);
  }
}

void PowerPredictor::forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) {
  if (members_.size() == 1) return forward_members(ctx, x, y, cache);
  cache.outputs.ensure({x.rows(), static_cast<std::int64_t>(members_.size())}, x.dtype(), ctx.device());
  forward_members(ctx, x, cache.outputs, cache);
  mean_of_members(ctx, cache.outputs, y);
}

void PowerPredictor::backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) {
  const auto M = static_cast<std::int64_t>(members_.size());
  if (M == 1) return backward_members(ctx, cache, dy, dx);
  const Workspace::Scope scope(ctx.workspace());
  const TensorView each = scratch(ctx, {dy.rows(), M}, dy.dtype());
  for (std::int64_t m = 0; m < M; ++m)
    ops::affine(ctx, dy, 1.0 / static_cast<double>(M), 0, each.columns(m, 1));
  backward_members(ctx, cache, each, dx);
}

GraphValue PowerPredictor::to_onnx(GraphWriter& graph, const GraphValue& x) const {
  GraphValues outputs;
  for (const Member& member : members_) {
    GraphValue h = x;
    for (const Stage& s : member.stages)
      h = s.residual ? member.residual[s.index].to_onnx(graph, h) : member.hidden[s.index].to_onnx(graph, h);
    outputs.push_back(member.output->to_onnx(graph, h));
  }
  return outputs.size() == 1 ? outputs.front() : graph.op("Mean", outputs);
}

}  // namespace emshap
