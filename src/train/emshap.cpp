#include "emshap/train/emshap.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/error.h"
#include "emshap/data/npy.h"
#include "emshap/train/checkpoint.h"
#include "emshap/train/feature_layout_of.h"
#include "train/clean_table.h"
#include "train/emshap_architecture.h"
#include "train/energy_task.h"
#include "train/run_files.h"

namespace emshap {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t fewest_pairs = 1000, most_rows = 4000;  // of the held-out pairs
constexpr std::int64_t choice_pairs = 1000, gate_pairs = 500;
constexpr std::int64_t base_rows = 100000;  // training rows that the Gaussian base is fitted on, at most
/// With missing values, where a round of EM takes about F^3 steps a row: rows times F^2, and rows at least.
constexpr std::int64_t em_work = 20000000, fewest_em_rows = 2000;
constexpr std::int64_t base_tile = 1024;  // of them brought into model space at once

/// A proposal and how it is trained.
struct Candidate {
  std::string kind;
  std::unique_ptr<TrainableProposal> owned;
  TrainableProposal* proposal = nullptr;
  /// Of a proposal on a GPU: what is scored (CRPS), and for a masked MLP validated and drawn from, on the
  /// CPU.
  std::unique_ptr<TrainableProposal> owned_copy;
  TrainableProposal* copy = nullptr;
  std::unique_ptr<ProposalTask> task;

  /// On the CPU, with the weights as they are now.
  TrainableProposal& here() const {
    if (copy == nullptr) return *proposal;
    copy->store().copy_from(proposal->store());
    return *copy;
  }
};

/// Training rows in model space with NaN where a value is missing.
GaussianBase fit_base(const FeatureSpace& space, const Tensor& raw, std::uint64_t seed) {
  const std::int64_t features = space.features();
  const bool missing = std::any_of(space.columns().begin(), space.columns().end(),
                                   [](const FeatureColumn& c) { return c.may_be_missing; });
  const std::int64_t most =
      missing ? std::clamp(em_work / (features * features), fewest_em_rows, base_rows) : base_rows;
  const std::int64_t count = std::min(raw.rows(), most);
  Tensor x({count, features}, DType::f32);
  DequantisedRows batch;
  std::vector<std::int64_t> rows;
  for (std::int64_t begin = 0; begin < count; begin += base_tile) {
    rows.clear();
    for (std::int64_t i = begin; i < std::min(count, begin + base_tile); ++i)
      rows.push_back(i * raw.rows() / count);
    batch.fill(space, raw, rows, emshap_key(seed, RandomPurpose::dequantise, EmshapStream::held_out, 1));
    const float* from = batch.rows().x.ptr<float>();
    const float* there = batch.observed().ptr<float>();
    float* to = x.ptr<float>() + begin * x.cols();
    for (std::int64_t i = 0; i < batch.observed().elements(); ++i)
      to[i] = there[i] > 0 ? from[i] : std::numeric_limits<float>::quiet_NaN();
  }
  return GaussianBase::fit(x);
}

EmshapArchitecture architecture_of(const EmshapJob& job, const Tensor& raw) {
  const EmshapOptions& o = job.options;
  EmshapArchitecture a;
  a.layout = feature_layout(job.space);
  a.base = fit_base(job.space, raw, o.seed);
  a.space_hash = job.space.hash();
  a.energy = o.energy;
  a.energy.features = job.space.features();
  a.energy.seed = o.seed;
  if (o.proposal != ProposalChoice::mlp)
    a.proposals.push_back({.kind = "gru",
                           .hidden = o.hidden > 0 ? o.hidden : 64,
                           .components = o.components,
                           .embedding = o.embedding,
                           .blocks = 0,
                           .seed = o.seed});
  if (o.proposal != ProposalChoice::gru)
    a.proposals.push_back({.kind = "mlp",
                           .hidden = o.hidden > 0 ? o.hidden : 128,
                           .components = o.components,
                           .embedding = 0,
                           .blocks = 2,
                           .seed = o.seed});
  return a;
}

/// Fills in what the options leave open.
StageOptions resolved(StageOptions s, std::int64_t rows, std::int64_t steps, std::int64_t validations,
                      double learning_rate) {
  if (s.epochs < 1 && s.max_steps < 1) s.max_steps = steps;
  const std::int64_t batches = BatchPlan::make(rows, std::max<std::int64_t>(1, s.batch_size)).count;
  const std::int64_t total = s.max_steps > 0 ? s.max_steps : s.epochs * batches;
  if (s.validate_every < 1)
    s.validate_every = std::max<std::int64_t>(1, total / std::max<std::int64_t>(1, validations));
  s.schedule.warmup_steps = std::min(s.schedule.warmup_steps, total / 4);
  if (s.adam.learning_rate == 0) s.adam.learning_rate = learning_rate;
  return s;
}

/// Of the masked MLP, which learns small data sets by heart: without it 0.012 (mixture) and 0.004 nat (Burr)
/// per feature were lost at 1,800 rows; larger data sets lose by as much decay.
double mlp_weight_decay(std::int64_t rows) {
  return std::min(1., 1000. / static_cast<double>(std::max<std::int64_t>(1, rows)));
}

std::int64_t energy_steps(const StageOptions& proposal, std::int64_t rows) {
  const std::int64_t batches = BatchPlan::make(rows, proposal.batch_size).count;
  const std::int64_t steps = proposal.max_steps > 0 ? proposal.max_steps : proposal.epochs * batches;
  return std::clamp<std::int64_t>(steps / 4, 1, 4000);
}

/// The proposal to keep: the better held-out CRPS.
std::size_t choose(const std::vector<Candidate>& candidates, const HeldOutPairs& pairs, TeamPool& pool,
                   EmshapResult& result, ProgressSink& sink) {
  if (pairs.count() == 0) {
    if (candidates.size() > 1)
      sink.log(LogLevel::warning,
               fmt::format("without validation rows the proposals cannot be compared: {} is kept",
                           candidates.front().kind));
    return 0;
  }
  std::size_t best = 0;
  result.crps.clear();
  const HeldOutPairs some = pairs.some(choice_pairs);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    result.crps.emplace_back(candidates[i].kind, held_out_crps(candidates[i].here(), some, pool));
    if (result.crps[i].second < result.crps[best].second) best = i;
  }
  if (candidates.size() > 1)
    for (std::size_t i = 0; i < candidates.size(); ++i)
      sink.log(LogLevel::info, fmt::format("proposal {}: held-out CRPS {:.4f}{}", candidates[i].kind,
                                           result.crps[i].second, i == best ? ", kept" : ""));
  return best;
}

/// The terms of the energy's best validation.
void tell_energy(const History& history, ProgressSink& sink) {
  const HistoryRow* best = nullptr;
  for (const HistoryRow& row : history.rows)
    if (row.stage == energy_stage && row.best) best = &row;
  if (best == nullptr) return;
  sink.log(LogLevel::info,
           fmt::format("energy: validation loss {:.4f}, effective sample size {:.0f} %, log-likelihood gain "
                       "{:.4f} per unknown feature in step {}",
                       best->validation[0], 100 * best->validation[1], best->validation[2], best->step));
}

void tell_gate(const EmshapGate& gate, const EmshapOptions& o, ProgressSink& sink) {
  if (gate.pairs == 0) {
    sink.log(LogLevel::warning,
             "there are no validation rows to judge the energy by: its weights are not used");
    return;
  }
  sink.log(LogLevel::info,
           fmt::format("energy: held-out log-likelihood {:.4f} with it, {:.4f} without, per unknown feature "
                       "({} pairs, {} draws, effective sample size {:.0f} %)",
                       gate.full_ll, gate.proposal_ll, gate.pairs, o.gate_draws, 100 * gate.effective_share));
  const std::string adds = fmt::format("{:.4f} nat (standard error {:.4f})", gate.gain, gate.gain_error);
  sink.log(LogLevel::info,
           gate.used
               ? fmt::format("energy: its weights are used, as it adds {}, more than {}", adds, o.gate_gain)
               : fmt::format("energy: its weights are not used, as it adds {}; expected more than {} and "
                             "than two standard errors",
                             adds, o.gate_gain));
}

std::string metrics_json(const EmshapJob& job, const EmshapResult& result) {
  const auto number = [](double v) { return std::isfinite(v) ? Json(v) : Json(); };
  Json j;
  j["proposal"] = result.fitted.proposal;
  j["transform"] = to_string(job.space.transform());
  j["features"] = job.space.features();
  j["rows"] = {{"train", job.train.size()}, {"validation", job.validation.size()}, {"test", job.test.size()}};
  const EmshapGate& g = result.gate;
  j["energy_used"] = g.used;
  j["held_out"] = {{"pairs", g.pairs}};
  if (g.pairs > 0) {
    j["held_out"]["draws"] = job.options.gate_draws;
    j["held_out"]["log_likelihood"] = number(g.full_ll);
    j["held_out"]["proposal_log_likelihood"] = number(g.proposal_ll);
    j["held_out"]["energy_gain"] = number(g.gain);
    j["held_out"]["energy_gain_error"] = number(g.gain_error);
    j["held_out"]["effective_share"] = number(g.effective_share);
  }
  for (const auto& [kind, crps] : result.crps) j["held_out"]["crps"][kind] = number(crps);
  for (const StageResult& s : result.stages) {
    Json& at = j["training"][s.name];
    at = {{"epochs", s.epochs},
          {"steps", s.steps},
          {"best_epoch", s.best_epoch},
          {"stopped_early", s.stopped_early}};
    if (std::isfinite(s.best_validation_loss)) at["best_validation_loss"] = s.best_validation_loss;
  }
  j["parameters"] = {
      {"proposal",
       dynamic_cast<const TrainableProposal&>(result.fitted.model->proposal()).store().parameter_count()},
      {"energy", result.fitted.model->energy()->store().parameter_count()}};
  j["seed"] = job.options.seed;
  if (!job.cleaning.empty()) j["cleaning"] = Json::parse(cleaning_metrics(job.cleaning, job.cleaned));
  return j.dump(2) + "\n";
}

/// What is known before training.
void write_inputs(const EmshapJob& job, RunDirectory& run, const std::string& config) {
  RunModel& entry = run.edit(EmshapFiles::model);
  entry.seed = job.options.seed;
  describe_data(entry, job.table);
  save_cleaning(run, EmshapFiles::model, job.cleaning);
  add_new_file(run, EmshapFiles::model, EmshapFiles::space, job.space.to_json());
  write_split(run.path(EmshapFiles::split), job.split, job.table);
  write_npy(run.path(EmshapFiles::background),
            raw_features(job.table, background_rows(job.train, job.options.background, job.options.seed)));
  run.add_file(EmshapFiles::model, EmshapFiles::split);
  run.add_file(EmshapFiles::model, EmshapFiles::background);
  add_new_file(run, EmshapFiles::model, EmshapFiles::config, config);
  run.save();
}

void write_results(const EmshapJob& job, RunDirectory& run, const EmshapResult& result) {
  RunModel& entry = run.edit(EmshapFiles::model);
  entry.notes["proposal"] = result.fitted.proposal;
  entry.notes["energy_used"] = result.gate.used ? "true" : "false";
  entry.notes["energy_gain"] = fmt::format("{}", result.fitted.energy_gain);
  entry.notes["transform"] = to_string(job.space.transform());
  run.add_file(EmshapFiles::model, EmshapFiles::checkpoint);
  add_new_file(run, EmshapFiles::model, EmshapFiles::history, result.history.csv());
  add_new_file(run, EmshapFiles::model, EmshapFiles::metrics, metrics_json(job, result));
  run.save();
}

/// Which proposal the checkpoint's energy stage belongs to; empty when it has not come to that.
std::string chosen_in(const std::filesystem::path& file) {
  const CheckpointReader checkpoint(file);
  return checkpoint.has(EnergyTask::proposal_section) ? checkpoint.text(EnergyTask::proposal_section)
                                                      : std::string();
}

}  // namespace

EmshapResult train_emshap(const EmshapJob& job, TeamPool& pool, RunDirectory* run, bool resume,
                          const std::string& config_toml, ProgressSink& sink, const StopToken* stop) {
  const EmshapOptions& o = job.options;
  // The last steps need these: not after hours of training.
  if (o.energy_draws < 1 || o.gate_draws < 1)
    throw ConfigError(fmt::format(
        "the energy network has {} draws a row in training and {} in the gate, expected at least 1 of each",
        o.energy_draws, o.gate_draws));
  for (const auto& [level, text] : job.messages) sink.log(level, text);
  if (run != nullptr && resume) check_same_data(*run, EmshapFiles::model, job.table);

  const Tensor raw = raw_features(job.table, job.train);
  const HeldOutPairs held_out =
      HeldOutPairs::make(job.space, raw_features(job.table, job.validation), o.seed, fewest_pairs, most_rows);
  const EmshapArchitecture architecture = architecture_of(job, raw);
  const bool gpu = pool.device().kind != DeviceKind::cpu;
  std::unique_ptr<TeamPool> beside_gpu;
  if (gpu) beside_gpu = std::make_unique<TeamPool>(o.host_threads);
  TeamPool& cpu_pool = gpu ? *beside_gpu : pool;
  std::vector<Candidate> candidates;
  for (const ProposalSpec& spec : architecture.proposals) {
    Candidate& c = candidates.emplace_back();
    c.kind = spec.kind;
    c.owned = architecture.make_proposal(spec.kind, DType::f32, pool.device());
    c.proposal = c.owned.get();
    c.task = std::make_unique<ProposalTask>(*c.proposal, job.space, raw, held_out, o.masking,
                                            spec.kind == "gru" ? EmshapStream::gru : EmshapStream::mlp);
    if (!gpu) continue;
    c.owned_copy = architecture.make_proposal(spec.kind, DType::f32, Device{});
    c.copy = c.owned_copy.get();
    if (c.kind == "mlp") c.task->validate_by(*c.copy, cpu_pool);
  }

  EmshapResult result;
  std::unique_ptr<EmshapModel> on_gpu;  // a set-GRU, or the copy of a masked MLP; the energy network
  std::unique_ptr<EnergyTask> energy;
  Trainer trainer(pool, o.seed, sink, stop);
  const StageOptions first = resolved(o.training, raw.rows(), default_steps(raw.rows()), o.validations, 3e-3);
  for (const Candidate& c : candidates) {
    StageOptions stage = first;
    if (c.kind == "mlp" && o.training.adam.learning_rate == 0) stage.adam.learning_rate = 2e-3;
    // Sizes that move over the whole training: stopping early would leave out those that come last.
    if (o.masking.kind == Masking::linear || o.masking.kind == Masking::progressive)
      stage.early_stopping.patience = 0;
    if (c.kind == "mlp" && o.training.adam.weight_decay == 0)
      stage.adam.weight_decay = mlp_weight_decay(raw.rows());
    trainer.add_stage(proposal_stage(candidates.size(), c.kind), *c.task, stage);
  }
  const auto add_energy = [&](std::size_t chosen) {
    result.fitted.proposal = candidates[chosen].kind;
    Candidate& c = candidates[chosen];
    if (gpu) {
      c.here();
      // The masked MLP draws on the CPU only.
      on_gpu = architecture.make_model(c.kind == "gru" ? std::move(c.owned) : std::move(c.owned_copy),
                                       pool.device());
    } else {
      result.fitted.model = architecture.make_model(std::move(c.owned));
    }
    energy = std::make_unique<EnergyTask>(gpu ? *on_gpu : *result.fitted.model, candidates[chosen].kind,
                                          job.space, raw, held_out, o.energy_loss, o.energy_draws, o.seed);
    trainer.add_stage(energy_stage, *energy,
                      resolved(o.energy_training, raw.rows(), energy_steps(first, raw.rows()),
                               std::max<std::int64_t>(1, o.validations / 3), 1e-3));
  };
  if (run != nullptr)
    trainer.set_checkpoint(run->path(EmshapFiles::checkpoint), architecture.text(), config_toml,
                           o.checkpoint_seconds);
  if (resume) {
    const std::string kind = run != nullptr ? chosen_in(run->path(EmshapFiles::checkpoint)) : std::string();
    for (std::size_t i = 0; i < candidates.size() && energy == nullptr; ++i)
      if (candidates[i].kind == kind) add_energy(i);
    trainer.resume();
    if (gpu && energy != nullptr)
      for (const Candidate& c : candidates) c.here();  // the weights have been read since
  }
  if (run != nullptr) {
    // Only now: a resume that was refused must leave the run as it was.
    std::error_code ignored;  // a checkpoint of what is overwritten must not be resumed as this run's
    if (!resume) std::filesystem::remove(run->path(EmshapFiles::checkpoint), ignored);
    write_inputs(job, *run, config_toml);
    if (!resume) trainer.save();  // from now on, a run that is killed can be resumed
  }
  if (energy == nullptr) {
    trainer.run();
    add_energy(choose(candidates, held_out, cpu_pool, result, sink));
  } else if (held_out.count() > 0) {  // the finished proposals' scores, for the record
    choose(candidates, held_out, cpu_pool, result, null_sink());
  }
  trainer.run();

  result.history = trainer.history();
  result.stages = trainer.results();
  tell_energy(result.history, sink);
  if (gpu) result.fitted.model = copy_to_device(*on_gpu, Device{});
  result.gate = held_out_gate(*result.fitted.model, held_out.some(gate_pairs), cpu_pool, o);
  tell_gate(result.gate, o, sink);
  result.fitted.space = job.space;
  result.fitted.energy_used = result.gate.used;
  result.fitted.energy_gain =
      result.gate.pairs > 0 ? result.gate.gain : std::numeric_limits<double>::quiet_NaN();
  result.fitted.seed = o.seed;
  result.fitted.model->use_energy(result.gate.used);
  if (run != nullptr) write_results(job, *run, result);
  return result;
}

FittedEmshap fit_emshap(const std::vector<std::string>& columns, ConstTensorView rows,
                        const EmshapOptions& options, TeamPool& pool, ProgressSink& sink,
                        const StopToken* stop) {
  const Table table = table_of(columns, rows);
  TableSource source(table);
  return train_emshap(prepare_emshap(source, options), pool, nullptr, false, {}, sink, stop).fitted;
}

void finish_emshap(RunDirectory& run, const std::vector<std::string>& files) {
  for (const std::string& name : files) run.add_file(EmshapFiles::model, name);
  run.edit(EmshapFiles::model).status = "finished";
  run.save();
}

}  // namespace emshap
