#include "train/energy_task.h"

#include <algorithm>
#include <cstring>

#include "emshap/ops/reduction.h"
#include "emshap/train/checkpoint.h"

namespace emshap {
namespace {

constexpr std::int64_t tile_rows = 16;       // rows that are completed at once
constexpr std::int64_t inference_rows = 64;  // held-out rows whose candidates get their energy at once
constexpr double score_share = .999;         // larger scores of draws are clipped in the absolute form

void copy_rows(const void* from, std::int64_t row_bytes, void* to, std::int64_t count) {
  std::memcpy(to, from, static_cast<std::size_t>(row_bytes * count));
}

}  // namespace

EnergyTask::EnergyTask(EmshapModel& model, std::string proposal_name, const FeatureSpace& space,
                       const Tensor& raw, const HeldOutPairs& held_out, EnergyLoss loss, std::int64_t draws,
                       std::uint64_t seed)
    : model_(model),
      proposal_name_(std::move(proposal_name)),
      space_(space),
      raw_(raw),
      held_out_(held_out),
      loss_(loss),
      draws_(draws),
      seed_(seed),
      absolute_(model.energy()->options().form == EnergyForm::absolute) {}

void EnergyTask::save(CheckpointWriter& checkpoint) const {
  checkpoint.add(proposal_section, proposal_name_);
}

void EnergyTask::ensure(Candidates& c, std::int64_t rows) const {
  const std::int64_t features = space_.features();
  c.x.ensure({rows * (1 + draws_), features}, DType::f32);
  if (absolute_) c.log_q.ensure({rows, 1 + draws_}, DType::f32);
  c.mask.ensure({rows, features}, DType::f32);
  c.context.ensure({rows, model_.proposal().context_width()}, DType::f32);
  c.unknown.ensure({rows}, DType::f32);
}

Context& EnergyTask::local(Context& ctx, Member& m) const {
  if (!m.local) m.local = std::make_unique<Context>(ctx.backend());
  return *m.local;
}

void EnergyTask::prepare(int members, std::int64_t largest_batch) {
  members_ = std::vector<Member>(static_cast<std::size_t>(members));
  for (Member& m : members_) {
    m.batch.reserve(space_, largest_batch);
    ensure(m.candidates, largest_batch);
    const std::int64_t most = std::max(largest_batch, held_out_.count());
    m.energy.ensure({most, 1 + draws_}, DType::f32);
    for (Tensor* t : {&m.scores, &m.dscores}) t->ensure({most, 1 + draws_}, DType::f32);
    for (Tensor* t : {&m.summary, &m.statistics}) t->ensure({most, 3}, DType::f32);
    m.noise.ensure({tile_rows * draws_, 2 * space_.features()}, DType::f32);
    m.limit.ensure({1}, DType::f32);
    m.loss.ensure({3}, DType::f32);
    m.totals.ensure({3}, DType::f32);
  }
}

void EnergyTask::log_densities(Context& ctx, Member& m, const FeatureRows& rows, ConstTensorView mask,
                               float* out) const {
  const Proposal& proposal = model_.proposal();
  const std::int64_t n = rows.x.rows();
  m.log_q.assign(static_cast<std::size_t>(n), 0.0);
  proposal.sequential(ctx, rows, mask, m.target, m.conditionals);
  add_log_q(ctx, proposal, m.conditionals, rows, m.target, m.log_q);
  for (std::int64_t i = 0; i < n; ++i) {
    out[i * (1 + draws_)] = static_cast<float>(m.log_q[static_cast<std::size_t>(i)]);
    copy_rows(m.draws.log_q.ptr<float>() + i * draws_, sizeof(float), out + i * (1 + draws_) + 1, draws_);
  }
}

void EnergyTask::complete_tile(Context& ctx, Member& m, const FeatureRows& rows, ConstTensorView observed,
                               std::span<const std::int64_t> numbers, const RandomKey& key, Candidates& out,
                               std::int64_t first) const {
  const std::int64_t n = rows.x.rows(), features = space_.features(), width = out.context.cols();
  const ConstTensorView mask = out.mask.view().rows(first, n);
  m.noise.ensure({n * draws_, features}, DType::f32);
  fill_draw_noise(ctx, DrawNoise::independent, key, numbers, 0, draws_, m.noise);
  const float *there = observed.ptr<float>(), *known = mask.ptr<float>();
  m.target.ensure({n, features}, DType::f32);
  for (std::int64_t i = 0; i < n * features; ++i)
    m.target.ptr<float>()[i] = there[i] > 0 && known[i] == 0 ? 1.F : 0.F;
  model_.proposal().draw(ctx, rows, mask, draws_, m.noise, DrawMode::autoregressive, m.draws, m.target);
  if (absolute_) log_densities(ctx, m, rows, mask, out.log_q.ptr<float>() + first * (1 + draws_));
  constexpr auto size = static_cast<std::int64_t>(sizeof(float));
  for (std::int64_t i = 0; i < n; ++i) {
    float* x = out.x.ptr<float>() + (first + i) * (1 + draws_) * features;
    copy_rows(rows.x.ptr<float>() + i * features, features * size, x, 1);
    copy_rows(m.draws.x.ptr<float>() + i * draws_ * features, features * size, x + features, draws_);
    float unknown = 0;
    for (std::int64_t t = 0; t < features; ++t) {
      if (there[i * features + t] == 0) x[t] = 0;  // as in its completions
      unknown += m.target.ptr<float>()[i * features + t];
    }
    out.unknown.ptr<float>()[first + i] = unknown;
    copy_rows(m.draws.context.ptr<float>() + i * width, width * size,
              out.context.ptr<float>() + (first + i) * width, 1);
  }
}

void EnergyTask::complete(Context& ctx, Member& m, const FeatureRows& rows, ConstTensorView observed,
                          std::span<const std::int64_t> numbers, const RandomKey& key, Candidates& out,
                          std::int64_t first) const {
  Context& alone = local(ctx, m);
  const std::int64_t count = rows.x.rows();
  for (std::int64_t at = 0; at < count; at += tile_rows) {
    const std::int64_t n = std::min(tile_rows, count - at);
    const FeatureRows tile{.x = rows.x.rows(at, n),
                           .code = rows.code.elements() == 0 ? rows.code : rows.code.rows(at, n)};
    complete_tile(alone, m, tile, observed.rows(at, n),
                  numbers.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(n)), key, out,
                  first + at);
  }
}

void EnergyTask::measure(Context& ctx, Member& m, const Candidates& c, std::int64_t first, std::int64_t count,
                         TensorView terms) const {
  const std::int64_t width = 1 + draws_;
  m.scores.ensure({count, width}, DType::f32);
  m.dscores.ensure({count, width}, DType::f32);
  m.summary.ensure({count, 3}, DType::f32);
  m.statistics.ensure({count, 3}, DType::f32);
  const float* energy = m.energy.ptr<float>();
  const float* log_q = absolute_ ? c.log_q.ptr<float>() + first * width : nullptr;
  float* scores = m.scores.ptr<float>();
  for (std::int64_t i = 0; i < count * width; ++i)
    scores[i] = -energy[i] - (log_q != nullptr ? log_q[i] : 0.F);
  ops::importance_weights(ctx, m.scores.view().columns(1, draws_), TensorView(), m.summary);
  for (std::int64_t i = 0; i < count; ++i) {
    const float* s = m.summary.ptr<float>() + i * 3;
    float* to = m.statistics.ptr<float>() + i * 3;
    to[0] = s[1] / static_cast<float>(draws_);
    to[1] = scores[i * width] - s[0];
    to[2] = c.unknown.ptr<float>()[first + i];
  }
  ops::sum_over_rows(ctx, m.statistics, m.totals);
  TensorView limit;
  if (absolute_) {
    ops::score_limit(ctx, score_share, m.scores, m.limit);
    limit = m.limit;
  }
  ops::energy_loss(ctx, loss_, m.scores, limit, terms.columns(0, 1).reshaped({1}), m.dscores);
  const float* totals = m.totals.ptr<float>();
  const auto rows = static_cast<float>(ctx.plan(count).total_rows);
  terms.ptr<float>()[1] = totals[0] / rows;
  terms.ptr<float>()[2] = totals[1] / std::max(1.F, totals[2]);
}

void EnergyTask::step(Context& ctx, const ShardPlan& plan, const StepInfo& info, TensorView terms) {
  Member& m = members_[static_cast<std::size_t>(ctx.team().rank())];
  const auto key = [&](RandomPurpose purpose) {
    return emshap_key(info.seed, purpose, EmshapStream::energy, info.step);
  };
  const std::int64_t rows = plan.local_rows;
  m.batch.fill(space_, raw_, info.rows, key(RandomPurpose::dequantise));
  ensure(m.candidates, rows);
  draw_masks(key(RandomPurpose::masking), info.rows, m.batch.observed(), m.candidates.mask);
  complete(ctx, m, m.batch.rows(), m.batch.observed(), info.rows, key(RandomPurpose::proposal), m.candidates,
           0);
  EnergyNetwork& energy = *model_.energy();
  m.energy.ensure({rows * (1 + draws_)}, DType::f32);
  energy.forward(ctx, m.candidates.x, m.candidates.mask, m.candidates.context, m.energy, m.cache);
  measure(ctx, m, m.candidates, 0, rows, terms);
  float* gradient = m.dscores.ptr<float>();  // the scores are minus the energies
  for (std::int64_t i = 0; i < m.dscores.elements(); ++i) gradient[i] = -gradient[i];
  energy.backward(ctx, m.cache, m.dscores.view().reshaped({rows * (1 + draws_)}));
}

void EnergyTask::validate(TeamPool& pool, std::span<double> terms) {
  const std::int64_t width = 1 + draws_;
  const bool first_time = validation_.x.empty();
  if (first_time) {
    ensure(validation_, held_out_.count());
    std::memcpy(validation_.mask.ptr<float>(), held_out_.mask.ptr<float>(),
                static_cast<std::size_t>(held_out_.mask.elements()) * sizeof(float));
  }
  pool.run(held_out_.count(), [&](Context& ctx, const ShardPlan& plan) {
    Member& m = members_[static_cast<std::size_t>(ctx.team().rank())];
    const std::int64_t first = plan.row_begin, rows = plan.local_rows;
    if (first_time && rows > 0)
      complete(ctx, m, held_out_.rows.view(first, rows), held_out_.rows.observed.view().rows(first, rows),
               std::span<const std::int64_t>(held_out_.numbers)
                   .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(rows)),
               emshap_key(seed_, RandomPurpose::proposal, EmshapStream::held_out), validation_, first);
    m.energy.ensure({rows * width}, DType::f32);
    for (std::int64_t at = 0; at < rows; at += inference_rows) {
      const std::int64_t n = std::min(inference_rows, rows - at), row = first + at;
      model_.energy()->infer(local(ctx, m), validation_.x.view().rows(row * width, n * width),
                             validation_.mask.view().rows(row, n), validation_.context.view().rows(row, n),
                             m.energy.view().columns(at * width, n * width).reshaped({n * width}));
    }
    measure(ctx, m, validation_, first, rows, m.loss);
    if (ctx.team().rank() != 0) return;
    for (std::size_t i = 0; i < terms.size(); ++i) terms[i] = static_cast<double>(m.loss.ptr<float>()[i]);
  });
}

}  // namespace emshap
