#include "train_settings.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data_location.h"
#include "emshap/core/error.h"
#include "emshap/stream/open_source.h"
#include "emshap/train/power_model.h"
#include "emshap/train/run_cleaning.h"

namespace emshap::app {

namespace fs = std::filesystem;

void add_data_settings(Settings& s, DataSettings& v, Target target) {
  add_data_location(s, v.data, v.where, "CSV file with a header line, or a feature store").required = true;
  if (target == Target::required)
    s.add("data", "target", v.columns.target, "Column to predict").required = true;
  else
    s.add("data", "target", v.columns.target, "Column that a power model predicts; no feature");
  if (target == Target::required)
    s.add("data", "target-unit", v.target_unit, "Unit of the target, for plots and the ONNX file, e.g. W");
  s.add("data", "features", v.columns.features, "Columns that are features; all others when empty");
  s.add("data", "exclude", v.columns.exclude, "Columns to leave out");
  s.add("data", "group", v.columns.group, "Column naming groups of rows that belong together, e.g. a server");
  s.add("data", "time", v.columns.time, "Column of times");
  s.add("data", "node-id", v.columns.node_id, "Column naming the host");
  s.add("data", "split", v.split, "How rows are split: row (at random), time or group",
        one_of({"row", "time", "group"}));
  s.add("data", "train-fraction", v.fractions.train, "Share of all rows for training", more_than(0));
  s.add("data", "validation-fraction", v.fractions.validation, "Share of all rows for validation",
        in_range(0, 1));
  s.add("data", "test-fraction", v.fractions.test, "Share of all rows for the test", in_range(0, 1));
  s.add("data", "background", v.background, "Training rows kept for attributions", at_least(1));
}

void add_cleaning_settings(Settings& s, CleaningSettings& v) {
  CleaningOptions& o = v.options;
  s.add("cleaning", "fill-missing", v.fill_missing,
        "Empty cells: keep, or forward (last value of the node, else its next one, else the mean)",
        one_of({"keep", "forward"}));
  s.add("cleaning", "outliers", v.outliers,
        "Values far outside the quartiles of the training rows: off, clip, or drop (the training row)",
        one_of({"off", "clip", "drop"}));
  s.add("cleaning", "iqr-factor", o.iqr_factor, "How far, in interquartile ranges", in_range(0, 1e6));
  s.add("cleaning", "calendar", o.calendar, "Features hour, day_of_week and weekend (UTC) of the time");
  s.add("cleaning", "lags", o.lags, "Features of earlier rows of the node, e.g. 1,2", each_at_least(1));
  s.add("cleaning", "rolling", o.rolling,
        "Rows of a rolling mean and standard deviation of the node, e.g. 5; 0: none",
        Check<std::int64_t>([](const std::int64_t& rows) {
          return rows == 0 || (rows >= 2 && rows <= 10000) ? std::string() : std::string("0, or 2 to 10000");
        }));
  s.add("cleaning", "derive-from", o.derive_from, "Features with lags and rolling values; all when empty");
  s.add("cleaning", "products", o.products, "Features that are products of others, e.g. cpu_util*frequency");
}

SplitOptions split_options(const DataSettings& v) {
  SplitOptions o = v.fractions;
  o.mode = parse_split_mode(v.split);
  if (v.split == "group" && v.columns.group.empty()) throw ConfigError("--split group needs --group COLUMN");
  return o;
}

std::unique_ptr<Source> open_data(const DataSettings& v) {
  return stream::open_source(v.data, v.columns, v.where);
}

void note_rows(RunModel& entry, const DataSettings& v) {
  note_rows(entry, ChosenRows{v.where, v.columns.time, v.columns.node_id});
}

void recognise_header(DataSettings& v, ProgressSink& sink) {
  const std::vector<std::string> row_names = recognise_columns(v.columns, stream::column_names(v.data));
  if (!row_names.empty())
    sink.log(LogLevel::info, fmt::format("no features, as they name rows: {}; --features says otherwise",
                                         fmt::join(row_names, ", ")));
  if (v.split == "time" && v.columns.time.empty())
    throw ConfigError("--split time needs --time COLUMN, as no column is named time or timestamp");
}

void add_run_settings(Settings& s, RunSettings& v) {
  s.add("run", "out", v.out, "Folder of the run; runs/<data>-<target> when empty").saved = false;
  s.add("run", "resume", v.resume, "Continue a stopped run of this folder with its settings").saved = false;
  s.add("run", "overwrite", v.overwrite, "Replace a run of this folder").saved = false;
  s.add("run", "checkpoint-seconds", v.checkpoint_seconds, "Time between checkpoints", more_than(0));
  s.add("run", "plots", v.plots, "Draw plots (with gnuplot)");
}

RunMode run_mode(const RunSettings& v) {
  if (v.resume && v.overwrite) throw ConfigError("--resume and --overwrite exclude each other");
  return v.resume ? RunMode::resume : v.overwrite ? RunMode::overwrite : RunMode::create;
}

fs::path run_folder(const RunSettings& run, const DataSettings& data) {
  if (!run.out.empty()) return run.out;
  std::string name = stream::data_name(data.data);
  if (!data.columns.target.empty()) name += "-" + data.columns.target;
  std::replace(name.begin(), name.end(), '/', '_');
  return fs::path("runs") / name;
}

std::optional<RunDirectory> existing_run(const fs::path& folder, RunMode mode) {
  if (!fs::exists(folder / "manifest.json")) return std::nullopt;
  try {
    return RunDirectory::open(folder);
  } catch (const IoError&) {
    if (mode != RunMode::overwrite) throw;
    return std::nullopt;
  }
}

fs::path existing_split(const fs::path& folder, const char* other, RunMode mode) {
  const std::optional<RunDirectory> run = existing_run(folder, mode);
  const bool wanted = run && (mode == RunMode::resume || run->has(other));
  return wanted && run->files().contains(PowerFiles::split) ? run->verified(PowerFiles::split) : fs::path();
}

namespace {
std::string describe(const CleaningOptions& o) {
  std::vector<std::string> parts;
  if (o.fill != FillMissing::keep) parts.push_back(fmt::format("--fill-missing {}", to_string(o.fill)));
  if (o.outliers != Outliers::off)
    parts.push_back(fmt::format("--outliers {} --iqr-factor {}", to_string(o.outliers), o.iqr_factor));
  if (o.calendar) parts.emplace_back("--calendar");
  if (!o.lags.empty()) parts.push_back(fmt::format("--lags {}", fmt::join(o.lags, ",")));
  if (o.rolling > 0) parts.push_back(fmt::format("--rolling {}", o.rolling));
  if (!o.derive_from.empty()) parts.push_back(fmt::format("--derive-from {}", fmt::join(o.derive_from, ",")));
  if (!o.products.empty()) parts.push_back(fmt::format("--products {}", fmt::join(o.products, ",")));
  return parts.empty() ? "no cleaning" : fmt::format("{}", fmt::join(parts, " "));
}
}  // namespace

void follow_cleaning(CleaningSettings& v, bool given, const fs::path& folder, const char* model,
                     const char* other, RunMode mode, ProgressSink& sink) {
  RunDirectory::check(folder, model, mode);
  v.options.fill = parse_fill_missing(v.fill_missing);
  v.options.outliers = parse_outliers(v.outliers);
  v.fitted.clear();
  const std::optional<RunDirectory> run = existing_run(folder, mode);
  if (!run) return;
  const auto begun = [&](const char* name) {  // has seen its data
    return run->has(name) && !run->model(name).features.empty();
  };
  const char* leader = begun(other) ? other : model;
  if (!begun(leader) || (leader == model && mode != RunMode::resume)) return;
  const Cleaning theirs = load_cleaning(*run, leader);
  const CleaningOptions& wanted = v.options;
  if (given && wanted != theirs.options() && (wanted.any() || !theirs.empty()))
    throw ConfigError(fmt::format(
        "the {} model in {} was trained with {}, and both models of a run use the same cleaning, but {} was "
        "asked for; leave these options out or choose another folder",
        leader, folder.string(), describe(theirs.options()), describe(wanted)));
  v.options = theirs.options();
  v.fill_missing = to_string(v.options.fill);
  v.outliers = to_string(v.options.outliers);
  if (theirs.empty()) return;
  v.fitted = run->path(cleaning_file);
  if (leader != model)
    sink.log(LogLevel::info, fmt::format("cleaning as that of the {} model in {}", leader, folder.string()));
}

std::string resumed_config(const RunSettings& run, const DataSettings& data, const char* model,
                           const char* name) {
  if (run_mode(run) != RunMode::resume) return {};
  RunDirectory::check(run_folder(run, data), model, RunMode::resume);
  return (run_folder(run, data) / name).string();
}

}  // namespace emshap::app
