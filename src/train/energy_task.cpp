#include "train/energy_task.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/memory.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/reduction.h"
#include "emshap/train/checkpoint.h"

namespace emshap {
namespace {

constexpr std::int64_t inference_rows = 64;  // held-out rows whose candidates get their energy at once
constexpr double score_share = .999;         // larger scores of draws are clipped in the absolute form

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

Context& EnergyTask::local(Context& ctx, Member& m) const {
  if (!m.local) {
    const bool here = ctx.device().kind == DeviceKind::cpu;
    m.local = here ? std::make_unique<Context>(ctx.backend()) : std::make_unique<Context>();
  }
  return *m.local;
}

void EnergyTask::prepare(int members, std::int64_t largest_batch) {
  members_ = std::vector<Member>(static_cast<std::size_t>(members));
  const Device device = model_.energy()->store().device();
  for (Member& m : members_) {
    m.batch.reserve(space_, largest_batch);
    m.completions = std::make_unique<Completions>(model_.proposal(), draws_, absolute_);
    m.completions->ensure(m.candidates, largest_batch);
    const std::int64_t most = std::max(largest_batch, held_out_.count());
    m.energy.ensure({most, 1 + draws_}, DType::f32, device);
    for (Tensor* t : {&m.scores, &m.dscores}) t->ensure({most, 1 + draws_}, DType::f32, device);
    for (Tensor* t : {&m.summary, &m.statistics}) t->ensure({most, 3}, DType::f32, device);
    m.limit.ensure({1}, DType::f32, device);
    m.loss.ensure({3}, DType::f32, device);
    m.totals.ensure({3}, DType::f32, device);
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
  finish_measure(ctx, m, terms);
  const float* totals = m.totals.ptr<float>();
  const auto rows = static_cast<float>(ctx.plan(count).total_rows);
  terms.ptr<float>()[1] = totals[0] / rows;
  terms.ptr<float>()[2] = totals[1] / std::max(1.F, totals[2]);
}

void EnergyTask::measure_there(Context& ctx, Member& m, const Candidates& c, std::int64_t count,
                               double unknown, TensorView terms) const {
  const std::int64_t width = 1 + draws_;
  const Device device = ctx.device();
  for (Tensor* t : {&m.scores, &m.dscores}) t->ensure({count, width}, DType::f32, device);
  m.summary.ensure({count, 3}, DType::f32, device);
  m.statistics.ensure({count, 2}, DType::f32, device);
  const TensorView s = m.scores, statistics = m.statistics, summary = m.summary;
  ops::affine(ctx, m.energy.view().reshaped({count, width}), -1, 0, s);
  if (absolute_) ops::axpy(ctx, -1, c.log_q, s);
  ops::importance_weights(ctx, s.columns(1, draws_), TensorView(), summary);
  const double of_row = 1 / static_cast<double>(std::max<std::int64_t>(1, count));
  const double of_entry = 1 / std::max(1., unknown);
  ops::affine(ctx, summary.columns(1, 1), of_row / static_cast<double>(draws_), 0, statistics.columns(0, 1));
  ops::affine(ctx, s.columns(0, 1), of_entry, 0, statistics.columns(1, 1));
  ops::axpy(ctx, -of_entry, summary.columns(0, 1), statistics.columns(1, 1));
  ops::sum_over_rows(ctx, statistics, terms.columns(1, 2).reshaped({2}));
  finish_measure(ctx, m, terms);
}

/// The first term and m.dscores from m.scores.
void EnergyTask::finish_measure(Context& ctx, Member& m, TensorView terms) const {
  TensorView limit;
  if (absolute_) {
    ops::score_limit(ctx, score_share, m.scores, m.limit);
    limit = m.limit;
  }
  ops::energy_loss(ctx, loss_, m.scores, limit, terms.columns(0, 1).reshaped({1}), m.dscores);
}

void EnergyTask::step(Context& ctx, const ShardPlan& plan, const StepInfo& info, TensorView terms) {
  Member& m = members_[static_cast<std::size_t>(ctx.team().rank())];
  const auto key = [&](RandomPurpose purpose) {
    return emshap_key(info.seed, purpose, EmshapStream::energy, info.step);
  };
  const std::int64_t rows = plan.local_rows;
  const bool gpu = on_gpu();
  m.batch.fill(space_, raw_, info.rows, key(RandomPurpose::dequantise));
  m.completions->ensure(m.candidates, rows);
  draw_masks(key(RandomPurpose::masking), info.rows, m.batch.observed(), m.candidates.mask);
  if (completed_there()) {
    m.completions->complete_there(ctx, m.staging, m.batch.rows(), m.batch.observed(), info.rows,
                                  key(RandomPurpose::proposal), m.candidates, m.there);
  } else {
    m.completions->complete(local(ctx, m), m.batch.rows(), m.batch.observed(), info.rows,
                            key(RandomPurpose::proposal), m.candidates, 0);
    if (gpu) m.candidates.send(ctx, m.staging, m.there);
  }
  const Candidates& c = gpu ? m.there : m.candidates;
  EnergyNetwork& energy = *model_.energy();
  m.energy.ensure({rows * (1 + draws_)}, DType::f32, ctx.device());
  energy.forward(ctx, c.x, c.mask, c.context, m.energy, m.cache);
  if (gpu) {
    const Tensor& unknown = m.candidates.unknown;
    measure_there(ctx, m, c, rows, std::accumulate(unknown.ptr<float>(), unknown.ptr<float>() + rows, 0.),
                  terms);
  } else {
    measure(ctx, m, c, 0, rows, terms);
  }
  ops::affine(ctx, m.dscores, -1, 0, m.dscores);  // the scores are minus the energies
  energy.backward(ctx, m.cache, m.dscores.view().reshaped({rows * (1 + draws_)}));
}

void EnergyTask::validate(TeamPool& pool, std::span<double> terms) {
  if (on_gpu()) return validate_there(pool, terms);
  const std::int64_t width = 1 + draws_;
  const bool first_time = validation_.x.empty();
  if (first_time) {
    members_.front().completions->ensure(validation_, held_out_.count());
    std::memcpy(validation_.mask.ptr<float>(), held_out_.mask.ptr<float>(),
                static_cast<std::size_t>(held_out_.mask.elements()) * sizeof(float));
  }
  pool.run(held_out_.count(), [&](Context& ctx, const ShardPlan& plan) {
    Member& m = members_[static_cast<std::size_t>(ctx.team().rank())];
    const std::int64_t first = plan.row_begin, rows = plan.local_rows;
    if (first_time && rows > 0)
      m.completions->complete(
          local(ctx, m), held_out_.rows.view(first, rows), held_out_.rows.observed.view().rows(first, rows),
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

void EnergyTask::validate_there(TeamPool& pool, std::span<double> terms) {
  const std::int64_t rows = held_out_.count();
  const bool first_time = validation_.x.empty();
  pool.run(rows, [&](Context& ctx, const ShardPlan&) {
    Member& m = members_.front();
    if (first_time) {
      Candidates here;
      m.completions->ensure(here, rows);
      std::memcpy(here.mask.ptr<float>(), held_out_.mask.ptr<float>(),
                  static_cast<std::size_t>(here.mask.elements()) * sizeof(float));
      const RandomKey key = emshap_key(seed_, RandomPurpose::proposal, EmshapStream::held_out);
      const FeatureRows all = held_out_.rows.view(0, rows);
      if (completed_there()) {
        m.completions->complete_there(ctx, m.staging, all, held_out_.rows.observed, held_out_.numbers, key,
                                      here, validation_);
      } else {
        m.completions->complete(local(ctx, m), all, held_out_.rows.observed, held_out_.numbers, key, here, 0);
        here.send(ctx, m.staging, validation_);
      }
    }
    m.energy.ensure({rows * (1 + draws_)}, DType::f32, ctx.device());
    model_.energy()->infer(ctx, validation_.x, validation_.mask, validation_.context, m.energy);
    measure_there(ctx, m, validation_, rows, static_cast<double>(held_out_.unknown), m.loss);
    float values[3] = {};
    read_bytes(ctx, values, m.loss.view().data(), sizeof values);
    for (std::size_t i = 0; i < terms.size(); ++i) terms[i] = static_cast<double>(values[i]);
  });
}

}  // namespace emshap
