#include "emshap/models/emshap_model.h"

#include <algorithm>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/energy_loss.h"
#include "models/model_worker.h"
#include "models/proposal_args.h"

namespace emshap {
namespace {

using model::Query;
using model::Worker;

/// body(begin, end) on each member of the pool, for its part of B rows in whole tiles. Tiles stand for shards
/// of a batch, so that a few rows with many draws are shared out too.
template <class Body>
void share_rows(TeamPool& pool, std::int64_t B, std::int64_t tile, const Body& body) {
  constexpr std::int64_t shard = 64;
  if (B == 0) return;
  pool.run((B + tile - 1) / tile * shard, [&](Context& ctx, const ShardPlan& plan) {
    body(ctx, plan.row_begin / shard * tile, std::min(B, (plan.row_begin + plan.local_rows) / shard * tile));
  });
}

/// Rows whose draws pass together.
std::int64_t rows_of_tile(std::int64_t draws) {
  return std::max<std::int64_t>(1, model::most_completions / std::max<std::int64_t>(draws, 1));
}
constexpr std::int64_t closed_form_rows = 64;

void check_options(const SamplingOptions& options) {
  if (options.draws < 1)
    throw ConfigError(fmt::format("{} draws a row were asked for, expected at least 1", options.draws));
}

void ensure(const Proposal& proposal, std::int64_t B, ConditionalMoments& out) {
  const std::int64_t F = proposal.layout().features();
  for (Tensor* t : {&out.mean, &out.sd}) t->ensure({B, F}, proposal.dtype(), proposal.device());
}

DensityScores sized(std::int64_t B, std::int64_t draws) {
  const auto n = static_cast<std::size_t>(B);
  const std::vector<double> zero(n, 0.);
  return {zero, zero, zero, zero, zero, std::vector<double>(n, static_cast<double>(draws))};
}

}  // namespace

EmshapModel::EmshapModel(std::unique_ptr<Proposal> proposal, std::unique_ptr<EnergyNetwork> energy,
                         bool energy_used)
    : proposal_(std::move(proposal)), energy_(std::move(energy)), energy_used_(energy_used) {
  if (proposal_ == nullptr) throw ConfigError("the EmSHAP model got no proposal, expected one");
  if (energy_ == nullptr) return;
  const EnergyNetworkOptions& e = energy_->options();
  if (e.features != features() || e.context != proposal_->context_width())
    throw ConfigError(
        fmt::format("the energy network takes {} features and a context of {}, expected {} and {} as the "
                    "proposal has",
                    e.features, e.context, features(), proposal_->context_width()));
  if (energy_->store().dtype() != proposal_->dtype())
    throw ConfigError(fmt::format("the energy network holds {}, expected {} as the proposal",
                                  to_string(energy_->store().dtype()), to_string(proposal_->dtype())));
}

DensityScores EmshapModel::log_density(Context& ctx, const ModelQuery& query, const SamplingOptions& options,
                                       bool with_energy) const {
  check_options(options);
  const Query all(*proposal_, query);
  DensityScores out = sized(all.rows(), options.draws);
  Worker worker(*proposal_, with_energy ? energy_.get() : nullptr, ctx.backend());
  worker.log_density(all, 0, all.rows(), rows_of_tile(options.draws), options, out);
  return out;
}

DensityScores EmshapModel::log_density(TeamPool& pool, const ModelQuery& query,
                                       const SamplingOptions& options, bool with_energy) const {
  check_options(options);
  const Query all(*proposal_, query);
  DensityScores out = sized(all.rows(), options.draws);
  const std::int64_t tile = rows_of_tile(options.draws);
  share_rows(pool, all.rows(), tile, [&](Context& ctx, std::int64_t begin, std::int64_t end) {
    Worker worker(*proposal_, with_energy ? energy_.get() : nullptr, ctx.backend());
    worker.log_density(all, begin, end, tile, options, out);
  });
  return out;
}

void EmshapModel::draw(Context& ctx, const ModelQuery& query, const SamplingOptions& options,
                       WeightedDraws& out) const {
  check_options(options);
  const Query all(*proposal_, query);
  const std::int64_t B = all.rows(), K = options.draws;
  out.draws.log_q_wanted = true;
  Worker worker(*proposal_, energy_.get(), ctx.backend());
  worker.draw(all, 0, B, options, Worker::Fill::everything, 0, K, out.draws, out.energy);
  out.weights.ensure({B, K}, proposal_->dtype(), proposal_->device());
  out.summary.ensure({B, 3}, proposal_->dtype(), proposal_->device());
  if (energy_used()) {
    worker.log_weights(all, 0, B, options, Worker::Fill::everything, K, out.draws, out.energy, out.weights);
  } else {
    ops::fill(ctx, 0, out.weights);
  }
  ops::importance_weights(ctx, out.weights, out.weights, out.summary);
}

void EmshapModel::draw(Context& ctx, const ModelQuery& query, const GivenNoise& noise,
                       WeightedDraws& out) const {
  constexpr const char* who = "EmshapModel, draw";
  const std::int64_t K = noise.draws, F = features();
  const std::int64_t B = proposal_args::check_rows(who, *proposal_, query.rows, query.mask);
  if (query.target.data() != nullptr && B > 0)
    proposal_args::check_matrix(who, "target", query.target, B, F, proposal_->dtype());
  const bool weighted = energy_used();
  if (weighted && proposal_args::check_order(who, F, noise.order) != nullptr)
    throw ConfigError(fmt::format(
        "{}: the energy's weights hold for draws in ascending order only, got another order", who));
  out.draws.log_q_wanted = weighted && energy_->options().form == EnergyForm::absolute;
  proposal_->draw(ctx, query.rows, query.mask, K, noise.uniforms, DrawMode::autoregressive, out.draws, {},
                  noise.order);
  out.weights.ensure({B, K}, proposal_->dtype(), proposal_->device());
  if (!weighted) {
    out.energy.ensure({0}, proposal_->dtype(), proposal_->device());
    out.summary.ensure({0, 3}, proposal_->dtype(), proposal_->device());
    return ops::fill(ctx, 1 / static_cast<double>(K), out.weights);
  }
  out.energy.ensure({B * K}, proposal_->dtype(), proposal_->device());
  out.summary.ensure({B, 3}, proposal_->dtype(), proposal_->device());
  if (B == 0) return;
  if (query.target.elements() > 0) {
    Worker worker(*proposal_, energy_.get(), ctx.backend());
    worker.weigh(Query(*proposal_, query), K, out.draws, out.energy, out.weights);
  } else {
    energy_->infer(ctx, out.draws.x, query.mask, out.draws.context, out.energy);
    ops::affine(ctx, out.energy.view().reshaped({B, K}), -1, 0, out.weights);
    if (energy_->options().form == EnergyForm::absolute)
      ops::axpy(ctx, -1, out.draws.log_q.view().reshaped({B, K}), out.weights);
  }
  ops::importance_weights(ctx, out.weights, out.weights, out.summary);
}

void EmshapModel::moments(Context& ctx, const ModelQuery& query, const SamplingOptions& options,
                          ConditionalMoments& out) const {
  check_options(options);
  const Query all(*proposal_, query);
  ensure(*proposal_, all.rows(), out);
  Worker worker(*proposal_, energy_used() ? energy_.get() : nullptr, ctx.backend());
  worker.moments(all, 0, all.rows(), rows_of_tile(options.draws), options, out);
}

void EmshapModel::moments(TeamPool& pool, const ModelQuery& query, const SamplingOptions& options,
                          ConditionalMoments& out) const {
  check_options(options);
  const Query all(*proposal_, query);
  ensure(*proposal_, all.rows(), out);
  const std::int64_t tile = rows_of_tile(options.draws);
  share_rows(pool, all.rows(), tile, [&](Context& ctx, std::int64_t begin, std::int64_t end) {
    Worker worker(*proposal_, energy_used() ? energy_.get() : nullptr, ctx.backend());
    worker.moments(all, begin, end, tile, options, out);
  });
}

void EmshapModel::proposal_moments(Context& ctx, const ModelQuery& query, ConditionalMoments& out) const {
  const Query all(*proposal_, query);
  ensure(*proposal_, all.rows(), out);
  Worker worker(*proposal_, nullptr, ctx.backend());
  worker.proposal_moments(all, 0, all.rows(), closed_form_rows, out);
}

void EmshapModel::proposal_moments(TeamPool& pool, const ModelQuery& query, ConditionalMoments& out) const {
  const Query all(*proposal_, query);
  ensure(*proposal_, all.rows(), out);
  share_rows(pool, all.rows(), closed_form_rows, [&](Context& ctx, std::int64_t begin, std::int64_t end) {
    Worker worker(*proposal_, nullptr, ctx.backend());
    worker.proposal_moments(all, begin, end, closed_form_rows, out);
  });
}

std::vector<double> EmshapModel::energies(Context& ctx, const ModelQuery& query) const {
  const Query all(*proposal_, query);
  std::vector<double> out(static_cast<std::size_t>(all.rows()), 0.);
  if (energy_ == nullptr) return out;
  Worker worker(*proposal_, energy_.get(), ctx.backend());
  worker.energies(all, 0, all.rows(), closed_form_rows, out);
  return out;
}

std::vector<double> EmshapModel::energies(TeamPool& pool, const ModelQuery& query) const {
  const Query all(*proposal_, query);
  std::vector<double> out(static_cast<std::size_t>(all.rows()), 0.);
  if (energy_ == nullptr) return out;
  share_rows(pool, all.rows(), closed_form_rows, [&](Context& ctx, std::int64_t begin, std::int64_t end) {
    Worker worker(*proposal_, energy_.get(), ctx.backend());
    worker.energies(all, begin, end, closed_form_rows, out);
  });
  return out;
}

}  // namespace emshap
