// emshap_train power: options, training, then ONNX, plots and the table of metrics.
#include "train_power.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/io/cleaning_metadata.h"
#include "emshap/io/power_onnx.h"
#include "emshap/report/evaluation.h"
#include "emshap/report/power_plots.h"
#include "emshap/train/fitted_emshap.h"

namespace emshap::app {
namespace {

namespace fs = std::filesystem;

/// Adds settings whose names start with a prefix; with one, they share one table of the file.
struct Named {
  Settings& settings;
  std::string section, prefix;
  template <class T>
  void add(const std::string& own_section, const std::string& name, T& value, const std::string& help,
           Check<T> check = {}) {
    settings.add(section.empty() ? own_section : section, prefix + name, value, help, std::move(check));
  }
};

void add_data_settings(Named s, PowerSettings& v) {
  s.add("data", "missing", v.missing, "Empty feature cells: mean (of the training rows) or drop (the row)",
        one_of({"mean", "drop"}));
  s.add("data", "missing-target", v.missing_target, "Empty target cells: error or drop (the row)",
        one_of({"error", "drop"}));
}

void add_network_settings(Named s, PowerSettings& v) {
  PowerPredictorOptions& n = v.options.network;
  s.add("network", "bins", v.options.bins, "Bins of each feature's piecewise-linear encoding, 0 for none",
        Check<std::int64_t>([](const std::int64_t& bins) {
          return bins == 0 || (bins >= 2 && bins <= 1024) ? std::string() : std::string("0, or 2 to 1024");
        }));
  s.add("network", "hidden", n.hidden, "Widths of the hidden layers", each_at_least(1));
  s.add("network", "activation", v.activation, "relu, leaky_relu, gelu, tanh, sigmoid, softplus or silu",
        one_of({"relu", "leaky_relu", "gelu", "tanh", "sigmoid", "softplus", "silu"}));
  s.add("network", "batch-norm", n.batch_norm, "Batch normalisation after each linear map");
  s.add("network", "dropout", n.dropout, "Share of hidden values dropped in training", in_range(0, 1, true));
  s.add("network", "residual-blocks", v.residual_blocks, "Residual blocks after each hidden layer",
        between(0, 1000));
  s.add("network", "members", v.members, "Networks, differently initialised, whose mean is predicted",
        between(1, 1000));
}

void add_training_settings(Named s, PowerSettings& v) {
  PowerOptions& p = v.options;
  StageOptions& t = p.training;
  s.add("training", "epochs", t.epochs, "Passes over the training rows, at most", between(1, 1000000000));
  s.add("training", "max-steps", t.max_steps, "Steps, at most; 0: as many as the epochs have",
        between(0, 1000000000000000));
  s.add("training", "batch-size", t.batch_size, "Rows of a step", at_least(1));
  s.add("training", "learning-rate", t.adam.learning_rate, "Largest learning rate", more_than(0));
  s.add("training", "weight-decay", t.adam.weight_decay, "Decoupled weight decay (AdamW)", in_range(0, 1));
  s.add("training", "schedule", v.schedule, "Learning rate: constant, cosine or plateau",
        one_of({"constant", "cosine", "plateau"}));
  s.add("training", "warmup-epochs", p.warmup_epochs, "Epochs of linear warm-up", in_range(0, 1e6));
  s.add("training", "floor", t.schedule.floor, "Smallest share of the learning rate", in_range(0, 1));
  s.add("training", "plateau-factor", t.schedule.plateau_factor, "Factor of the plateau schedule",
        in_range(1e-6, 1, true));
  s.add("training", "plateau-patience", t.schedule.plateau_patience, "Validations before it reduces",
        at_least(1));
  s.add("training", "loss", v.loss, "mse or huber, of the standardised target", one_of({"mse", "huber"}));
  s.add("training", "huber-delta", p.huber_delta, "Where the Huber loss becomes linear", more_than(0));
  s.add("training", "clip", t.clip_norm, "Largest gradient norm, 0 for none", in_range(0, 1e30));
  s.add("training", "ema", t.ema_decay, "Decay a step of averaged weights, 0 for none", in_range(0, 1, true));
  s.add("training", "patience", t.early_stopping.patience,
        "Epochs without a better validation loss before stopping, 0: never", at_least(0));
  s.add("training", "min-delta", t.early_stopping.min_delta, "What counts as better", in_range(0, 1e30));
}

void parse_texts(PowerSettings& v) {
  v.options.missing.feature = parse_missing_feature(v.missing);
  v.options.missing.target = v.missing_target == "drop" ? MissingTarget::drop : MissingTarget::error;
  v.options.network.activation = parse_activation(v.activation);
  v.options.network.residual_blocks = static_cast<int>(v.residual_blocks);
  v.options.network.members = static_cast<int>(v.members);
  v.options.loss = parse_loss(v.loss);
  v.options.training.schedule.kind = parse_schedule(v.schedule);
}

/// Compares the ONNX file with the network on raw rows and writes it.
void export_onnx(const PowerJob& job, const PowerResult& result, const DataSettings& data, RunDirectory& run,
                 ProgressSink& sink) {
  const fs::path file = run.path(PowerFiles::onnx);
  io::PowerOnnxInfo info;
  info.target = job.target;
  info.target_unit = data.target_unit;
  info.more = {{"data_hash", job.table.provenance().data_hash}, {"seed", std::to_string(job.options.seed)}};
  io::add_cleaning(job.cleaning, info.more);
  const auto& rows = job.split.test.empty() ? job.training : job.split.test;
  const std::span<const std::int64_t> some(rows.data(), std::min<std::size_t>(rows.size(), 1000));
  // The exported graph is compared on the CPU, wherever the network was trained.
  PowerPredictor network(result.model.network->options());
  network.store().copy_from(result.model.network->store());
  const double worst = io::export_power_predictor(
      file, job.scaler, network, info, io::rows_beyond(job.cleaning, raw_features(job.table, some)));
  sink.log(LogLevel::info, fmt::format("{}: written and verified on {} rows, largest deviation {:.1e}",
                                       file.string(), some.size(), worst));
}

std::vector<std::string> draw_plots(const PowerJob& job, const PowerResult& result, const DataSettings& data,
                                    RunDirectory& run, ProgressSink& sink) {
  report::LossCurves curves;
  curves.loss = job.options.loss == Loss::mse ? "MSE" : "Huber loss";
  curves.best_epoch = std::isfinite(result.training.best_validation_loss) ? result.training.best_epoch : -1;
  for (const HistoryRow& row : result.history.rows) {
    curves.epoch.push_back(static_cast<double>(row.epoch));
    curves.train.push_back(row.training.at(0));
    if (!row.validation.empty()) curves.validation.push_back(row.validation.at(0));
  }
  std::vector<report::PartPredictions> parts;
  for (const PowerPart& part : result.parts)
    if (part.name == "test")
      parts.push_back({part.name,
                       {part.actual.begin(), part.actual.end()},
                       {part.predicted.begin(), part.predicted.end()}});
  const std::string label =
      data.target_unit.empty() ? job.target : fmt::format("{} ({})", job.target, data.target_unit);
  report::Plotter plotter({}, sink);
  std::vector<std::string> names;
  for (const fs::path& file :
       report::write_power_plots(plotter, run.path(PowerFiles::plots), label, curves, parts))
    names.push_back((fs::path(PowerFiles::plots) / file.filename()).string());
  return names;
}

std::string metrics_table(const PowerResult& result) {
  std::vector<std::pair<std::string, RegressionMetrics>> parts;
  for (const PowerPart& part : result.parts) parts.emplace_back(part.name, part.metrics);
  return report::metrics_table(parts);
}

}  // namespace

PowerSettings::PowerSettings()
    : loss(to_string(options.loss)),
      schedule(to_string(options.training.schedule.kind)),
      activation(to_string(options.network.activation)),
      residual_blocks(options.network.residual_blocks),
      members(options.network.members) {}

void add_power_settings(Settings& s, PowerSettings& v, const std::string& prefix) {
  const Named named{s, prefix.empty() ? "" : "power", prefix};
  add_data_settings(named, v);
  add_network_settings(named, v);
  add_training_settings(named, v);
}

void train_power_model(PowerSettings& v, DataSettings& data, const CleaningSettings& cleaning,
                       const RunSettings& run_settings, const fs::path& folder, RunMode mode,
                       const std::string& config, Session& session, const char* other, const Begun& begun) {
  parse_texts(v);
  v.options.split = split_options(data);
  v.options.cleaning = cleaning.options;
  v.options.background = data.background;
  v.options.checkpoint_seconds = run_settings.checkpoint_seconds;
  v.options.seed = session.seed();
  RunDirectory::check(folder, PowerFiles::model, mode);
  const Device device = session.device();

  const fs::path split = existing_split(folder, other, mode);
  recognise_header(data, session.sink());
  const std::unique_ptr<Source> source = open_data(data);
  const PowerJob job = prepare_power(*source, v.options, split, cleaning.fitted);
  RunDirectory run = RunDirectory::prepare(folder, PowerFiles::model, mode);
  if (begun) begun(run);
  session.log_to(run.path(PowerFiles::log));
  session.log_device(device);
  ProgressSink& sink = session.sink();
  if (!data.columns.group.empty() && v.options.split.mode == SplitMode::row)
    sink.log(LogLevel::info,
             fmt::format("rows of one {} fall into several parts; --split group measures on unseen ones",
                         data.columns.group));
  note_rows(run.edit(PowerFiles::model), data);
  if (!data.target_unit.empty()) run.edit(PowerFiles::model).notes["unit"] = data.target_unit;

  TeamPool pool(session.threads(), device);
  const PowerResult result =
      train_power(job, pool, &run, mode == RunMode::resume, config, sink, &session.stop());
  export_onnx(job, result, data, run, sink);
  std::vector<std::string> files{PowerFiles::onnx};
  if (run_settings.plots)
    for (std::string& name : draw_plots(job, result, data, run, sink)) files.push_back(std::move(name));
  finish_power(run, files);
  session.print(metrics_table(result));
}

void add_train_power(App& app) {
  struct Values {
    DataSettings data;
    CleaningSettings cleaning;
    PowerSettings power;
    RunSettings run;
  };
  auto values = std::make_shared<Values>();
  Command& c = app.command(
      "power", "Trains a power predictor on a CSV file and exports it to ONNX.",
      "  emshap_train power --data hosts.csv --target power_consumption\n"
      "  emshap_train power --data hosts.csv --target power_consumption --out RUN --epochs 100 \\\n"
      "      --batch-size 64 --learning-rate 0.001 --hidden 128,64 --dropout 0.1 --patience 10 \\\n"
      "      --seed 42 --threads 2\n"
      "  emshap_train power --data servers.csv --target watts --group server --split group\n"
      "  emshap_train power --config RUN/config.toml --seed 7 --out RUN7\n"
      "  emshap_train power --resume --out RUN\n");
  add_data_settings(c.settings, values->data, Target::required);
  add_cleaning_settings(c.settings, values->cleaning);
  add_power_settings(c.settings, values->power);
  add_run_settings(c.settings, values->run);
  c.default_config = [values] {
    return resumed_config(values->run, values->data, PowerFiles::model, PowerFiles::config);
  };
  c.uses_gpu = true;
  c.run = [values, &c](Session& session) {
    const fs::path folder = run_folder(values->run, values->data);
    const RunMode mode = run_mode(values->run);
    follow_cleaning(values->cleaning, c.settings.given("cleaning"), folder, PowerFiles::model,
                    EmshapFiles::model, mode, session.sink());
    train_power_model(values->power, values->data, values->cleaning, values->run, folder, mode,
                      c.settings.toml(), session, EmshapFiles::model);
    session.print(fmt::format("Run: {}\n", folder.string()));
  };
}

}  // namespace emshap::app
