#include "train/completions.h"

#include <algorithm>
#include <cstring>

#include "emshap/models/set_gru.h"
#include "emshap/ops/elementwise.h"
#include "layers/send.h"

namespace emshap {
namespace {

constexpr std::int64_t cpu_tile_rows = 16;  // that are completed at once

void copy_rows(const void* from, std::int64_t row_bytes, void* to, std::int64_t count) {
  std::memcpy(to, from, static_cast<std::size_t>(row_bytes * count));
}

}  // namespace

void Candidates::send(Context& ctx, Staging& staging, Candidates& there) const {
  staging.begin(ctx);
  const std::pair<const Tensor*, Tensor*> all[] = {
      {&x, &there.x}, {&log_q, &there.log_q}, {&mask, &there.mask}, {&context, &there.context}};
  ConstTensorView sent[std::size(all)];
  for (std::size_t i = 0; i < std::size(all); ++i)
    if (!all[i].first->empty()) sent[i] = staged(staging, *all[i].first);
  staging.send(ctx);
  for (std::size_t i = 0; i < std::size(all); ++i) {
    if (all[i].first->empty()) continue;
    all[i].second->ensure(sent[i].shape(), sent[i].dtype(), ctx.device());
    ops::copy(ctx, sent[i], *all[i].second);
  }
}

Completions::Completions(const Proposal& proposal, std::int64_t draws, bool absolute)
    : proposal_(proposal), draws_(draws), absolute_(absolute) {
  noise_.ensure({cpu_tile_rows * draws, 2 * proposal.layout().features()}, DType::f32);
}

void Completions::ensure(Candidates& c, std::int64_t rows) const {
  const std::int64_t features = proposal_.layout().features();
  c.x.ensure({rows * (1 + draws_), features}, DType::f32);
  if (absolute_) c.log_q.ensure({rows, 1 + draws_}, DType::f32);
  c.mask.ensure({rows, features}, DType::f32);
  c.context.ensure({rows, proposal_.context_width()}, DType::f32);
  c.unknown.ensure({rows}, DType::f32);
}

void Completions::find_target(ConstTensorView observed, ConstTensorView mask, float* unknown) {
  const std::int64_t n = mask.rows(), features = mask.cols();
  const float *there = observed.ptr<float>(), *known = mask.ptr<float>();
  target_.ensure({n, features}, DType::f32);
  float* target = target_.ptr<float>();
  for (std::int64_t i = 0; i < n; ++i) {
    float sum = 0;
    for (std::int64_t t = i * features; t < (i + 1) * features; ++t) {
      target[t] = there[t] > 0 && known[t] == 0 ? 1.F : 0.F;
      sum += target[t];
    }
    unknown[i] = sum;
  }
}

void Completions::log_densities(Context& ctx, const FeatureRows& rows, ConstTensorView mask, float* out) {
  const std::int64_t n = rows.x.rows();
  log_q_.assign(static_cast<std::size_t>(n), 0.0);
  proposal_.sequential(ctx, rows, mask, target_, conditionals_);
  add_log_q(ctx, proposal_, conditionals_, rows, target_, log_q_);
  for (std::int64_t i = 0; i < n; ++i) {
    out[i * (1 + draws_)] = static_cast<float>(log_q_[static_cast<std::size_t>(i)]);
    copy_rows(drawn_.log_q.ptr<float>() + i * draws_, sizeof(float), out + i * (1 + draws_) + 1, draws_);
  }
}

void Completions::complete_tile(Context& ctx, const FeatureRows& rows, ConstTensorView observed,
                                std::span<const std::int64_t> numbers, const RandomKey& key, Candidates& out,
                                std::int64_t first) {
  const ConstTensorView mask = out.mask.view().rows(first, rows.x.rows());
  const std::int64_t n = rows.x.rows(), features = mask.cols(), width = out.context.cols();
  noise_.ensure({n * draws_, features}, DType::f32);
  fill_draw_noise(ctx, DrawNoise::independent, key, numbers, 0, draws_, noise_);
  find_target(observed, mask, out.unknown.ptr<float>() + first);
  proposal_.draw(ctx, rows, mask, draws_, noise_, DrawMode::autoregressive, drawn_, target_);
  if (absolute_) log_densities(ctx, rows, mask, out.log_q.ptr<float>() + first * (1 + draws_));
  constexpr auto size = static_cast<std::int64_t>(sizeof(float));
  const float* there = observed.ptr<float>();
  for (std::int64_t i = 0; i < n; ++i) {
    float* x = out.x.ptr<float>() + (first + i) * (1 + draws_) * features;
    copy_rows(rows.x.ptr<float>() + i * features, features * size, x, 1);
    copy_rows(drawn_.x.ptr<float>() + i * draws_ * features, features * size, x + features, draws_);
    for (std::int64_t t = 0; t < features; ++t)
      if (there[i * features + t] == 0) x[t] = 0;  // as in its completions
    copy_rows(drawn_.context.ptr<float>() + i * width, width * size,
              out.context.ptr<float>() + (first + i) * width, 1);
  }
}

void Completions::complete(Context& ctx, const FeatureRows& rows, ConstTensorView observed,
                           std::span<const std::int64_t> numbers, const RandomKey& key, Candidates& out,
                           std::int64_t first) {
  const std::int64_t count = rows.x.rows();
  for (std::int64_t at = 0; at < count; at += cpu_tile_rows) {
    const std::int64_t n = std::min(cpu_tile_rows, count - at);
    const FeatureRows tile{.x = rows.x.rows(at, n),
                           .code = rows.code.elements() == 0 ? rows.code : rows.code.rows(at, n)};
    complete_tile(ctx, tile, observed.rows(at, n),
                  numbers.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(n)), key, out,
                  first + at);
  }
}

void Completions::complete_there(Context& ctx, Staging& staging, const FeatureRows& rows,
                                 ConstTensorView observed, std::span<const std::int64_t> numbers,
                                 const RandomKey& key, Candidates& here, Candidates& there) {
  const std::int64_t n = rows.x.rows(), features = rows.x.cols(), width = 1 + draws_;
  find_target(observed, here.mask, here.unknown.ptr<float>());
  shown_.ensure({n, features}, DType::f32);
  const float *x = rows.x.ptr<float>(), *seen = observed.ptr<float>();
  for (std::int64_t i = 0; i < n * features; ++i) shown_.ptr<float>()[i] = seen[i] == 0 ? 0.F : x[i];
  staging.begin(ctx);
  FeatureRows sent{.x = staged(staging, shown_), .code = {}};
  if (proposal_.layout().total_categories() > 0) sent.code = staged(staging, rows.code);
  const ConstTensorView mask = staged(staging, here.mask), target = staged(staging, target_);
  staging.send(ctx);

  noise_there_.ensure({n * draws_, features}, DType::f32, ctx.device());
  fill_draw_noise(ctx, DrawNoise::independent, key, numbers, 0, draws_, noise_there_);
  drawn_.log_q_wanted = absolute_;
  proposal_.draw(ctx, sent, mask, draws_, noise_there_, DrawMode::autoregressive, drawn_, target);
  there.x.ensure({n * width, features}, DType::f32, ctx.device());
  there.mask.ensure({n, features}, DType::f32, ctx.device());
  there.context.ensure({n, proposal_.context_width()}, DType::f32, ctx.device());
  const TensorView all = there.x.view().reshaped({n, width * features});
  ops::copy(ctx, sent.x, all.columns(0, features));
  ops::copy(ctx, drawn_.x.view().reshaped({n, draws_ * features}), all.columns(features, draws_ * features));
  ops::copy(ctx, mask, there.mask);
  ops::copy(ctx, drawn_.context, there.context);
  if (!absolute_) return;
  there.log_q.ensure({n, width}, DType::f32, ctx.device());
  own_log_q_.ensure({n}, DType::f32, ctx.device());
  dynamic_cast<const SetGru&>(proposal_).log_density(ctx, sent, mask, target, own_log_q_);
  ops::copy(ctx, own_log_q_.view().reshaped({n, 1}), there.log_q.view().columns(0, 1));
  ops::copy(ctx, drawn_.log_q.view().reshaped({n, draws_}), there.log_q.view().columns(1, draws_));
}

}  // namespace emshap
