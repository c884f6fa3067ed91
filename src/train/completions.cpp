#include "train/completions.h"

#include <algorithm>
#include <cstring>

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

}  // namespace emshap
