// emshap_train emshap: options, training, then ONNX, plots and a summary.
#include "train_emshap.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/data/npy.h"
#include "emshap/io/cleaning_metadata.h"
#include "emshap/io/emshap_onnx.h"
#include "emshap/models/emshap_model.h"
#include "emshap/report/plot.h"
#include "emshap/train/power_model.h"

namespace emshap::app {
namespace {

namespace fs = std::filesystem;

void add_column_settings(Settings& s, EmshapSettings& v) {
  FeatureSpaceOptions& o = v.options.space;
  s.add("columns", "transform", v.transform,
        "auto (by held-out likelihood), standardise or quantile (normal scores)",
        one_of({"auto", "standardise", "quantile"}));
  s.add("columns", "ties", o.ties, "Model repeated values as steps instead of a density");
  s.add("columns", "max-categories", o.max_categories,
        "Columns of at most this many values are modelled by probabilities, 0: none", between(0, 100000));
  s.add("columns", "rows-per-category", o.rows_per_category, "... when each value has this many rows",
        at_least(1));
}

void add_network_settings(Settings& s, EmshapSettings& v) {
  EmshapOptions& o = v.options;
  s.add("network", "proposal", v.proposal, "gru, mlp, or auto: trains both, keeps the better",
        one_of({"gru", "mlp", "auto"}));
  s.add("network", "hidden", o.hidden, "Width of the proposal, 0: 64 (gru), 128 (mlp)", between(0, 65536));
  s.add("network", "embedding", o.embedding, "Width of a feature's token (gru)", between(1, 65536));
  s.add("network", "components", o.components, "Gaussians of each conditional distribution",
        between(1, 1000));
  s.add("network", "energy-form", v.energy_form, "residual (corrects the proposal) or absolute",
        one_of({"residual", "absolute"}));
  s.add("network", "energy-hidden", o.energy.hidden, "Width of the energy network", between(1, 65536));
}

void add_training_settings(Settings& s, EmshapSettings& v) {
  EmshapOptions& o = v.options;
  StageOptions& t = o.training;
  s.add("training", "epochs", t.epochs, "Passes over the training rows, at most; 0: by their number",
        between(0, 1000000000));
  s.add("training", "max-steps", t.max_steps, "Steps, at most; 0: as many as the epochs have",
        between(0, 1000000000000000));
  s.add("training", "batch-size", t.batch_size, "Rows of a step", at_least(1));
  s.add("training", "learning-rate", t.adam.learning_rate,
        "Largest learning rate, 0: 0.003 (gru), 0.002 (mlp)", in_range(0, 1e6));
  s.add("training", "warmup-steps", t.schedule.warmup_steps, "Steps of linear warm-up",
        between(0, 1000000000));
  s.add("training", "floor", t.schedule.floor, "Smallest share of the learning rate", in_range(0, 1));
  s.add("training", "clip", t.clip_norm, "Largest gradient norm, 0 for none", in_range(0, 1e30));
  s.add("training", "ema", t.ema_decay, "Decay a step of averaged weights, 0 for none", in_range(0, 1, true));
  s.add("training", "validations", o.validations, "Validations over the whole training", between(1, 1000000));
  s.add("training", "patience", t.early_stopping.patience,
        "Validations without a better one before stopping, 0: never", at_least(0));
  s.add("training", "masking", v.masking,
        "Sizes of what is known: uniform, bernoulli, kernel, linear or progressive",
        one_of({"uniform", "bernoulli", "kernel", "linear", "progressive"}));
  s.add("training", "min-mask-rate", o.masking.min_mask_rate,
        "Share of hidden features at first (linear, progressive)", in_range(0, 1));
  s.add("training", "max-mask-rate", o.masking.max_mask_rate, "... and at last", in_range(0, 1));
}

void add_energy_settings(Settings& s, EmshapSettings& v) {
  EmshapOptions& o = v.options;
  s.add("energy", "energy-loss", v.energy_loss,
        "nce (binary), ranking (NCE) or ml (importance-sampled likelihood)",
        one_of({"nce", "ranking", "ml"}));
  s.add("energy", "energy-steps", o.energy_training.max_steps, "Steps; 0: a quarter of the proposal's",
        between(0, 1000000000000000));
  s.add("energy", "energy-batch-size", o.energy_training.batch_size, "Rows of a step", at_least(1));
  s.add("energy", "energy-learning-rate", o.energy_training.adam.learning_rate, "Largest learning rate",
        more_than(0));
  s.add("energy", "energy-draws", o.energy_draws, "Completions of each row and step", between(1, 100000));
  s.add("energy", "gate-draws", o.gate_draws, "Draws of the likelihood that decides about the energy",
        between(2, 10000000));
  s.add("energy", "gate-gain", o.gate_gain, "Nat per unknown feature that the energy must add",
        in_range(-1e30, 1e30));
}

void parse_texts(EmshapSettings& v) {
  EmshapOptions& o = v.options;
  o.proposal = parse_proposal_choice(v.proposal);
  o.space.transform = parse_feature_transform(v.transform);
  o.masking.kind = parse_masking(v.masking);
  o.energy.form = parse_energy_form(v.energy_form);
  o.energy_loss = v.energy_loss == "nce"       ? EnergyLoss::binary_nce
                  : v.energy_loss == "ranking" ? EnergyLoss::ranking_nce
                                               : EnergyLoss::importance;
  o.energy_training.clip_norm = o.training.clip_norm;
  o.energy_training.ema_decay = o.training.ema_decay;
  if (o.masking.min_mask_rate > o.masking.max_mask_rate)
    throw ConfigError(fmt::format("--min-mask-rate is {}, expected at most --max-mask-rate, which is {}",
                                  o.masking.min_mask_rate, o.masking.max_mask_rate));
}

/// Features and target as those of a power model in the same folder, unless they are given.
void follow_power(const fs::path& folder, RunMode mode, DataSettings& data, ProgressSink& sink) {
  const std::optional<RunDirectory> run = existing_run(folder, mode);
  if (!run || !run->has(PowerFiles::model)) return;
  const RunModel& power = run->model(PowerFiles::model);
  if (data.columns.target.empty()) data.columns.target = power.target;
  if (!data.columns.features.empty() || !data.columns.exclude.empty() || power.features.empty()) return;
  data.columns.features = power.features;
  sink.log(LogLevel::info, fmt::format("features as those of the power model in {}, without its target {}",
                                       folder.string(), power.target));
}

/// Compares the ONNX file with the model on raw rows and writes it.
void export_onnx(const EmshapJob& job, const EmshapResult& result, const RunDirectory& run,
                 ProgressSink& sink) {
  const fs::path file = run.path(EmshapFiles::onnx);
  io::EmshapOnnxInfo info{{{"data_hash", job.table.provenance().data_hash}}};
  io::add_cleaning(job.cleaning, info.more);
  const double worst = io::export_emshap(
      file, result.fitted, info, io::rows_beyond(job.cleaning, read_npy(run.path(EmshapFiles::background))));
  sink.log(LogLevel::info,
           fmt::format("{}: written and verified, largest deviation {:.1e}", file.string(), worst));
}

report::Chart loss_chart(const History& history, const History::Stage& stage, std::size_t term,
                         const std::string& label) {
  report::Chart chart;
  chart.title = fmt::format("{}: {}", stage.name, stage.terms[term]);
  chart.x.label = "step";
  chart.y.label = label;
  report::Series training{.name = "training", .style = report::Style::line, .x = {}, .y = {}};
  report::Series validation{.name = "validation", .style = report::Style::line, .x = {}, .y = {}};
  double best = -1;
  for (const HistoryRow& row : history.rows) {
    if (row.stage != stage.name) continue;
    const auto step = static_cast<double>(row.step);
    training.x.push_back(step);
    training.y.push_back(row.training.at(term));
    if (row.best) best = step;
    if (row.validation.empty()) continue;
    validation.x.push_back(step);
    validation.y.push_back(row.validation.at(term));
  }
  chart.series.push_back(std::move(training));
  if (!validation.x.empty()) chart.series.push_back(std::move(validation));
  if (best >= 0) chart.marks.push_back({best, "best"});
  return chart;
}

std::vector<std::string> draw_plots(const EmshapResult& result, const RunDirectory& run, ProgressSink& sink) {
  report::Plotter plotter({}, sink);
  std::vector<std::string> names;
  std::error_code ignored;
  fs::create_directories(run.path(EmshapFiles::plots), ignored);
  const auto draw = [&](const report::Chart& chart, const std::string& name) {
    const std::string file = (fs::path(EmshapFiles::plots) / name).string();
    if (plotter.write(chart, run.path(file))) names.push_back(file);
  };
  for (const History::Stage& stage : result.history.stages) {
    const bool energy = stage.terms.size() > 1;
    draw(loss_chart(result.history, stage, 0,
                    energy ? "loss" : "negative log-likelihood per unknown feature (nat)"),
         fmt::format("loss_{}.svg", stage.name));
    for (std::size_t term = 1; term < stage.terms.size(); ++term)
      draw(loss_chart(result.history, stage, term,
                      stage.terms[term] == "gain" ? "log-likelihood gained per unknown feature (nat)"
                                                  : "effective sample size / draws"),
           fmt::format("{}_{}.svg", stage.name, stage.terms[term]));
  }
  return names;
}

std::string summary(const EmshapJob& job, const EmshapResult& result) {
  const EmshapGate& g = result.gate;
  std::string text = fmt::format("proposal {}, {} features, transform {}\n", result.fitted.proposal,
                                 job.space.features(), to_string(job.space.transform()));
  if (g.pairs > 0)
    text += fmt::format(
        "held-out log-likelihood per unknown feature: {:.4f}\n"
        "  proposal alone {:.4f}, energy adds {:.4f} and is {}\n",
        g.used ? g.full_ll : g.proposal_ll, g.proposal_ll, g.gain, g.used ? "used" : "not used");
  for (const auto& [kind, crps] : result.crps) text += fmt::format("held-out CRPS, {}: {:.4f}\n", kind, crps);
  return text;
}

}  // namespace

EmshapSettings::EmshapSettings()
    : proposal(to_string(options.proposal)),
      masking(to_string(options.masking.kind)),
      energy_form(to_string(options.energy.form)) {}

void add_emshap_settings(Settings& s, EmshapSettings& v) {
  add_column_settings(s, v);
  add_network_settings(s, v);
  add_training_settings(s, v);
  add_energy_settings(s, v);
}

void train_emshap_model(EmshapSettings& v, DataSettings data, const CleaningSettings& cleaning,
                        const RunSettings& run_settings, const fs::path& folder, RunMode mode,
                        const std::string& config, Session& session, const Begun& begun) {
  parse_texts(v);
  v.options.split = split_options(data);
  v.options.cleaning = cleaning.options;
  v.options.background = data.background;
  v.options.checkpoint_seconds = run_settings.checkpoint_seconds;
  v.options.seed = session.seed();
  RunDirectory::check(folder, EmshapFiles::model, mode);
  const Device device = session.device();
  v.options.host_threads = session.threads();

  const fs::path split = existing_split(folder, PowerFiles::model, mode);
  follow_power(folder, mode, data, session.sink());
  recognise_header(data, session.sink());
  const std::string target = data.columns.target;  // is no feature, and need not be there
  if (!target.empty()) {
    const std::vector<std::string>& features = data.columns.features;
    if (std::find(features.begin(), features.end(), target) != features.end())
      throw ConfigError(fmt::format("'{}' is named as feature and as target, expected one use", target));
    if (features.empty()) data.columns.exclude.push_back(target);
    data.columns.target.clear();
  }
  const std::unique_ptr<Source> source = open_data(data);
  const EmshapJob job = prepare_emshap(*source, v.options, split, cleaning.fitted);
  RunDirectory run = RunDirectory::prepare(folder, EmshapFiles::model, mode);
  if (begun) begun(run);
  run.edit(EmshapFiles::model).target = target;
  note_rows(run.edit(EmshapFiles::model), data);
  session.log_to(run.path(EmshapFiles::log));
  session.log_device(device);
  ProgressSink& sink = session.sink();

  TeamPool pool(session.threads(), device);
  const EmshapResult result =
      train_emshap(job, pool, &run, mode == RunMode::resume, config, sink, &session.stop());
  export_onnx(job, result, run, sink);
  std::vector<std::string> files{EmshapFiles::onnx};
  if (run_settings.plots)
    for (std::string& name : draw_plots(result, run, sink)) files.push_back(std::move(name));
  finish_emshap(run, files);
  session.print(summary(job, result));
}

void add_train_emshap(App& app) {
  struct Values {
    DataSettings data;
    CleaningSettings cleaning;
    EmshapSettings emshap;
    RunSettings run;
  };
  auto values = std::make_shared<Values>();
  Command& c =
      app.command("emshap", "Trains the EmSHAP model: the distribution of any features given any others.",
                  "  emshap_train emshap --data hosts.csv --target power_consumption\n"
                  "  emshap_train emshap --data FILE --out RUN --epochs 200 --batch-size 32 \\\n"
                  "      --learning-rate 0.0005 --masking linear --min-mask-rate 0.2 --max-mask-rate 0.8\n"
                  "  emshap_train emshap --data servers.csv --group server --split group --proposal auto\n"
                  "  emshap_train emshap --config RUN/emshap_config.toml --seed 7 --out RUN7\n"
                  "  emshap_train emshap --resume --out RUN\n");
  add_data_settings(c.settings, values->data, Target::optional);
  add_cleaning_settings(c.settings, values->cleaning);
  add_emshap_settings(c.settings, values->emshap);
  add_run_settings(c.settings, values->run);
  c.default_config = [values] {
    return resumed_config(values->run, values->data, EmshapFiles::model, EmshapFiles::config);
  };
  c.uses_gpu = true;
  c.run = [values, &c](Session& session) {
    const fs::path folder = run_folder(values->run, values->data);
    const RunMode mode = run_mode(values->run);
    follow_cleaning(values->cleaning, c.settings.given("cleaning"), folder, EmshapFiles::model,
                    PowerFiles::model, mode, session.sink());
    train_emshap_model(values->emshap, values->data, values->cleaning, values->run, folder, mode,
                       c.settings.toml(), session);
    session.print(fmt::format("Run: {}\n", folder.string()));
  };
}

}  // namespace emshap::app
