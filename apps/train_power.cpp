// emshap_train power: options, training, then ONNX, plots and the table of metrics.
#include "train_power.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "emshap/core/error.h"
#include "emshap/data/csv.h"
#include "emshap/io/power_onnx.h"
#include "emshap/report/evaluation.h"
#include "emshap/report/power_plots.h"
#include "emshap/train/power.h"

namespace emshap::app {
namespace {

namespace fs = std::filesystem;

/// What the command line and the file set; texts are parsed once all is known.
struct Values {
  std::string data, out, target_unit;
  ColumnSelection columns;
  std::string missing = "mean", missing_target = "error", split = "row", loss = "mse", schedule, activation;
  std::int64_t residual_blocks = 0, members = 1;
  bool resume = false, overwrite = false, plots = true;
  PowerOptions power;
};

void add_data_settings(Settings& s, Values& v) {
  s.add("data", "data", v.data, "CSV file with a header line").required = true;
  s.add("data", "target", v.columns.target, "Column to predict").required = true;
  s.add("data", "target-unit", v.target_unit, "Unit of the target, for plots and the ONNX file, e.g. W");
  s.add("data", "features", v.columns.features, "Columns to predict from; all others when empty");
  s.add("data", "exclude", v.columns.exclude, "Columns to leave out");
  s.add("data", "group", v.columns.group, "Column naming groups of rows that belong together, e.g. a server");
  s.add("data", "time", v.columns.time, "Column of times");
  s.add("data", "node-id", v.columns.node_id, "Column naming the host");
  s.add("data", "missing", v.missing, "Empty feature cells: mean (of the training rows) or drop (the row)",
        one_of({"mean", "drop"}));
  s.add("data", "missing-target", v.missing_target, "Empty target cells: error or drop (the row)",
        one_of({"error", "drop"}));
  s.add("data", "split", v.split, "How rows are split: row (at random), time or group",
        one_of({"row", "time", "group"}));
  s.add("data", "train-fraction", v.power.split.train, "Share of all rows for training", more_than(0));
  s.add("data", "validation-fraction", v.power.split.validation, "Share of all rows for validation",
        in_range(0, 1));
  s.add("data", "test-fraction", v.power.split.test, "Share of all rows for the test", in_range(0, 1));
  s.add("data", "background", v.power.background, "Training rows kept for attributions (background.npy)",
        at_least(1));
}

void add_network_settings(Settings& s, Values& v) {
  PowerPredictorOptions& n = v.power.network;
  v.activation = to_string(n.activation);
  v.residual_blocks = n.residual_blocks;
  v.members = n.members;
  s.add("network", "bins", v.power.bins, "Bins of each feature's piecewise-linear encoding, 0 for none",
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

void add_training_settings(Settings& s, Values& v) {
  PowerOptions& p = v.power;
  StageOptions& t = p.training;
  v.schedule = to_string(t.schedule.kind);
  v.loss = to_string(p.loss);
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

void add_run_settings(Settings& s, Values& v) {
  s.add("run", "out", v.out, "Folder of the run; runs/<data>-<target> when empty").saved = false;
  s.add("run", "resume", v.resume, "Continue a stopped run of this folder with its settings").saved = false;
  s.add("run", "overwrite", v.overwrite, "Replace a run of this folder").saved = false;
  s.add("run", "checkpoint-seconds", v.power.checkpoint_seconds, "Time between checkpoints", more_than(0));
  s.add("run", "plots", v.plots, "Draw plots (with gnuplot)");
}

fs::path run_folder(const Values& v) {
  if (!v.out.empty()) return v.out;
  std::string name = fs::path(v.data).stem().string() + "-" + v.columns.target;
  std::replace(name.begin(), name.end(), '/', '_');
  return fs::path("runs") / name;
}

void parse_texts(Values& v) {
  v.power.missing.feature = parse_missing_feature(v.missing);
  v.power.missing.target = v.missing_target == "drop" ? MissingTarget::drop : MissingTarget::error;
  v.power.split.mode = parse_split_mode(v.split);
  v.power.network.activation = parse_activation(v.activation);
  v.power.network.residual_blocks = static_cast<int>(v.residual_blocks);
  v.power.network.members = static_cast<int>(v.members);
  v.power.loss = parse_loss(v.loss);
  v.power.training.schedule.kind = parse_schedule(v.schedule);
  if (v.resume && v.overwrite) throw ConfigError("--resume and --overwrite exclude each other");
  if (v.split == "group" && v.columns.group.empty()) throw ConfigError("--split group needs --group COLUMN");
}

/// Compares the ONNX file with the network on raw rows and writes it.
void export_onnx(const PowerJob& job, const PowerResult& result, const Values& v, RunDirectory& run,
                 ProgressSink& sink) {
  const fs::path file = run.path(PowerFiles::onnx);
  io::PowerOnnxInfo info;
  info.target = job.target;
  info.target_unit = v.target_unit;
  info.more = {{"data_hash", job.table.provenance().data_hash}, {"seed", std::to_string(job.options.seed)}};
  const auto& rows = job.split.test.empty() ? job.split.train : job.split.test;
  const std::span<const std::int64_t> some(rows.data(), std::min<std::size_t>(rows.size(), 1000));
  const double worst = io::export_power_predictor(file, job.scaler, *result.model.network, info,
                                                  raw_features(job.table, some));
  sink.log(LogLevel::info, fmt::format("{}: written and verified on {} rows, largest deviation {:.1e}",
                                       file.string(), some.size(), worst));
}

std::vector<std::string> draw_plots(const PowerJob& job, const PowerResult& result, const Values& v,
                                    RunDirectory& run, ProgressSink& sink) {
  report::LossCurves curves;
  curves.loss = v.loss == "mse" ? "MSE" : "Huber loss";
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
      v.target_unit.empty() ? job.target : fmt::format("{} ({})", job.target, v.target_unit);
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

void train(Values& v, Session& session) {
  parse_texts(v);
  v.power.seed = session.seed();
  const fs::path folder = run_folder(v);
  const RunMode mode = v.resume ? RunMode::resume : v.overwrite ? RunMode::overwrite : RunMode::create;
  RunDirectory::check(folder, PowerFiles::model, mode);
  const Device device = session.device();

  const std::vector<std::string> row_names = recognise_columns(v.columns, csv_header(v.data));
  if (!row_names.empty())
    session.sink().log(LogLevel::info,
                       fmt::format("no features, as they name rows: {}; --features says otherwise",
                                   fmt::join(row_names, ", ")));
  if (v.split == "time" && v.columns.time.empty())
    throw ConfigError("--split time needs --time COLUMN, as no column is named time or timestamp");
  CsvSource source(v.data, v.columns);
  const PowerJob job = prepare_power(source, v.power);
  RunDirectory run = RunDirectory::prepare(folder, PowerFiles::model, mode);
  session.log_to(run.path(PowerFiles::log));
  ProgressSink& sink = session.sink();
  if (!v.columns.group.empty() && v.power.split.mode == SplitMode::row)
    sink.log(LogLevel::info,
             fmt::format("rows of one {} fall into several parts; --split group measures on unseen ones",
                         v.columns.group));
  if (!v.target_unit.empty()) run.edit(PowerFiles::model).notes["unit"] = v.target_unit;

  TeamPool pool(session.threads(), device);
  const PowerResult result =
      train_power(job, pool, &run, v.resume, session.config_toml(), sink, &session.stop());
  export_onnx(job, result, v, run, sink);
  std::vector<std::string> files{PowerFiles::onnx};
  if (v.plots)
    for (std::string& name : draw_plots(job, result, v, run, sink)) files.push_back(std::move(name));
  finish_power(run, files);
  session.print(metrics_table(result));
  session.print(fmt::format("Run: {}\n", folder.string()));
}

}  // namespace

void add_train_power(App& app) {
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
  add_data_settings(c.settings, *values);
  add_network_settings(c.settings, *values);
  add_training_settings(c.settings, *values);
  add_run_settings(c.settings, *values);
  c.default_config = [values] {
    if (!values->resume) return std::string();
    if (values->overwrite) throw ConfigError("--resume and --overwrite exclude each other");
    RunDirectory::check(run_folder(*values), PowerFiles::model, RunMode::resume);
    return (run_folder(*values) / PowerFiles::config).string();
  };
  c.run = [values](Session& session) { train(*values, session); };
}

}  // namespace emshap::app
