// Measures the models of a run or of ONNX files, power predictor, EmSHAP model or both, on the run's own
// split or on other data.
#include <algorithm>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "common/app.h"
#include "data_location.h"
#include "emshap/core/error.h"
#include "emshap/data/split.h"
#include "emshap/report/density_evaluation.h"
#include "emshap/report/evaluation.h"
#include "emshap/stream/open_source.h"
#include "emshap/train/power_model.h"
#include "evaluate_models.h"
#include "replay.h"

namespace {

namespace fs = std::filesystem;
using namespace emshap;
using app::Parts;

struct Options {
  std::string run, power_onnx, emshap_onnx, data, where, target, group, split, out;
  std::string baseline;
  report::GateOptions gate;
  std::int64_t importance_rows = 2000;
  report::DensityEvaluationOptions density;
  bool plots = true;
};

void check(const Options& o) {
  const bool onnx = !o.power_onnx.empty() || !o.emshap_onnx.empty();
  if (o.run.empty() && !onnx)
    throw ConfigError(
        "no model to evaluate; give --run RUN, --power-predictor-path FILE.onnx or --emshap-path FILE.onnx");
  if (o.run.empty() && o.data.empty())
    throw ConfigError("ONNX files need --data FILE, or --run RUN for its data and split");
  if (o.run.empty() && o.out.empty()) throw ConfigError("ONNX files without --run need --out FOLDER");
  // Not after minutes of scoring.
  const fs::path given(o.baseline), baseline = fs::is_directory(given) ? given / "metrics.json" : given;
  if (!o.baseline.empty() && !fs::exists(baseline))
    throw IoError(fmt::format("the baseline {} is not there", baseline.string()));
}

/// What the run says about its data: the entry of the power predictor, or else of the EmSHAP model.
const RunModel* data_of(const std::optional<RunDirectory>& run) {
  if (!run) return nullptr;
  return &run->model(run->has(PowerFiles::model) ? PowerFiles::model : EmshapFiles::model);
}

Table read_table(const Options& o, const RunModel* entry, const app::MeasuredPower* power,
                 const app::MeasuredDensity* density, const Cleaning& cleaning) {
  ColumnSelection columns;
  if (power != nullptr) {
    columns.target = o.target.empty()
                         ? (entry != nullptr && !entry->target.empty() ? entry->target : power->target)
                         : o.target;
    columns.features = power->features;
  }
  if (density != nullptr)
    for (const std::string& name : density->fitted.space.input_names()) {
      if (name == columns.target)
        throw ConfigError(fmt::format(
            "the predictor's target {} is a feature of the EmSHAP model, expected another column; "
            "measure their ONNX files one at a time, with --data, --split-file and --out",
            name));
      if (std::find(columns.features.begin(), columns.features.end(), name) == columns.features.end())
        columns.features.push_back(name);
    }
  const std::string data = o.data.empty() ? entry->data_path : o.data;
  if (!stream::may_be_there(data) && o.data.empty())
    throw IoError(
        fmt::format("{}: the data file {} of this run is not there; name it with --data", o.run, data));
  columns.group = o.group;
  const std::string where = app::chosen_rows(o.data, o.where, entry, columns);
  if (entry != nullptr && o.group.empty())  // other data may lack the run's groups
    if (const auto noted = entry->notes.find("group"); noted != entry->notes.end()) {
      const std::vector<std::string> names = stream::column_names(data);
      if (std::find(names.begin(), names.end(), noted->second) != names.end()) columns.group = noted->second;
    }
  if (!cleaning.empty())
    app::select_raw(cleaning, std::vector<std::string>(columns.features), stream::column_names(data),
                    columns);
  return read_all(*stream::open_source(data, columns, where), {.target = MissingTarget::drop});
}

/// The run's parts on the data that it was trained on; none on other data.
std::optional<Split> choose_split(const Options& o, const std::optional<RunDirectory>& run,
                                  const Table& table, ProgressSink& sink) {
  if (!o.split.empty()) return read_split(o.split, table);
  if (!run) return std::nullopt;
  if (data_of(run)->data_hash == table.provenance().data_hash)
    return read_split(run->verified(PowerFiles::split), table);
  sink.log(LogLevel::info,
           fmt::format("{} is not the data of {}: all rows are evaluated", table.provenance().source, o.run));
  return std::nullopt;
}

/// Every row where there is no split; training rows are those that training kept.
Parts choose_parts(const std::optional<Split>& split, const Cleaning& cleaning, const Table& table) {
  Parts parts{{"all", all_rows(table)}};
  if (split)
    parts = {{"train", cleaning.kept(table, split->train)},
             {"validation", split->validation},
             {"test", split->test}};
  std::erase_if(parts, [](const auto& part) { return part.second.empty(); });
  if (parts.empty())
    throw DataError(fmt::format("{}: there is no row to evaluate", table.provenance().source));
  return parts;
}

void evaluate(const Options& o, app::Session& session) {
  check(o);
  TeamPool pool(session.threads());
  std::optional<RunDirectory> run;
  if (!o.run.empty()) run = RunDirectory::open(o.run);
  const RunDirectory* of = run ? &*run : nullptr;
  const auto power = app::find_power(of, o.power_onnx, pool, session.sink());
  const auto density = app::find_density(of, o.emshap_onnx, session.sink());
  if (!power && !density) throw IoError(fmt::format("{} has no model to evaluate", o.run));
  const Cleaning cleaning =
      app::common_cleaning(power ? &power->cleaning : nullptr, density ? &density->cleaning : nullptr);
  Table table =
      read_table(o, data_of(run), power ? &*power : nullptr, density ? &*density : nullptr, cleaning);
  const std::optional<Split> split = choose_split(o, run, table, session.sink());
  const Parts parts = choose_parts(split, cleaning, table);
  table = app::replay(cleaning, std::move(table), split ? &*split : nullptr);
  if (density) app::check_rows(*density, table, parts);

  report::Evaluation result;
  if (power) {
    result = report::evaluate(table, parts, power->predict,
                              {power->features, o.importance_rows, session.seed()}, session.sink());
    result.model = power->about;
    result.unit = power->unit;
  }
  std::optional<report::DensityEvaluation> scores;
  if (density) {
    report::DensityEvaluationOptions options = o.density;
    options.seed = session.seed();
    scores = app::evaluate_density(*density, power ? &*power : nullptr, table, parts, options, pool,
                                   session.sink());
  }
  const report::DensityEvaluation* of_density = scores ? &*scores : nullptr;

  const fs::path folder = o.out.empty() ? fs::path(o.run) / "evaluation" : fs::path(o.out);
  // Before anything is written: the baseline may be what the last evaluation left in the same folder.
  std::string verdict;
  std::optional<QualityError> worse;
  try {
    if (!o.baseline.empty())
      verdict = report::check_gate(evaluation_json(result, table, of_density), o.baseline, o.gate);
  } catch (const QualityError& e) {
    worse = e;
  }
  report::Plotter plotter({}, session.sink());
  write_evaluation(result, table, folder, o.plots ? &plotter : nullptr, of_density);
  if (power) {
    std::vector<std::pair<std::string, RegressionMetrics>> metrics;
    for (const report::EvaluatedPart& part : result.parts) metrics.emplace_back(part.name, part.metrics);
    session.print(report::metrics_table(metrics));
  }
  if (scores) session.print((power ? "\n" : "") + report::density_table(*scores));
  session.print(fmt::format("Evaluation: {}\n", folder.string()));
  if (worse) throw QualityError(*worse);
  if (!verdict.empty()) session.print(verdict + "\n");
}

void add_settings(app::Settings& s, Options& o) {
  using app::at_least;
  s.add("model", "run", o.run, "Folder of a run: its models, data and split");
  s.add("model", "power-predictor-path", o.power_onnx,
        "ONNX file of a power predictor, evaluated instead of the run's");
  s.add("model", "emshap-path", o.emshap_onnx,
        "ONNX file of an EmSHAP model, evaluated instead of the run's");
  app::add_data_location(s, o.data, o.where, "CSV file or feature store; that of the run when empty");
  s.add("data", "target", o.target, "Column of actual values; the model's target when empty");
  s.add("data", "group", o.group,
        "Column whose rows belong together, for standard errors; that of the run when empty");
  s.add("data", "split-file", o.split, "split.csv that says which rows are test rows");
  s.add("output", "out", o.out, "Folder to write to; RUN/evaluation when empty");
  s.add("output", "importance-rows", o.importance_rows, "Rows for permutation importance, 0 for none",
        at_least(0));
  s.add("output", "plots", o.plots, "Draw plots (with gnuplot)");
  s.add("density", "rows-limit", o.density.rows_limit, "Rows that the EmSHAP model is scored on, 0 for all",
        at_least(0));
  s.add("density", "masks-per-row", o.density.masks_per_row, "Masks of each of these rows", at_least(1));
  s.add("density", "samples", o.density.energy_draws,
        "Draws for each partition function, 0: no energy scores", at_least(0));
  s.add("density", "energy-pairs", o.density.energy_pairs, "Rows whose partition function is estimated",
        at_least(0));
  s.add("density", "value-samples", o.density.value_draws,
        "Draws for each conditional expectation of the power predictor (MSEv), 0: none", at_least(0));
  s.add("density", "baselines", o.density.baselines,
        "Score Gaussian, Gaussian copula and independence beside the model");
  s.add("gate", "baseline", o.baseline,
        "metrics.json, or a folder with one, that must not be better; else exit code 5");
  s.add("gate", "metric", o.gate.metric,
        "What is compared: rmse, mse, mae, mape or r2 of the predictor, log_likelihood, crps, nrmse or msev "
        "of the "
        "EmSHAP model; auto: rmse, log_likelihood and crps",
        app::one_of({"auto", "rmse", "mse", "mae", "mape", "r2", "log_likelihood", "crps", "nrmse", "msev"}));
  s.add("gate", "tolerance", o.gate.tolerance,
        "How much worse it may be: a share of the baseline, for r2 and log_likelihood a difference",
        app::in_range(0, 1e30));
}

}  // namespace

int main(int argc, char** argv) {
  using namespace emshap::app;
  App app("emshap_evaluate",
          "Measures a power predictor, an EmSHAP model or both, and compares with a baseline.");
  Options o;
  Command& command = app.command(
      "", "",
      "  emshap_evaluate --run RUN\n"
      "  emshap_evaluate --run RUN --data newer.csv --out RUN/newer\n"
      "  emshap_evaluate --power-predictor-path power_predictor.onnx --emshap-path emshap_model.onnx \\\n"
      "      --data hosts.csv --target power_consumption --out evaluation\n"
      "  emshap_evaluate --run NEW --baseline OLD/metrics.json --tolerance 0.01\n");
  add_settings(command.settings, o);
  command.run = [&](Session& session) { evaluate(o, session); };
  return app.run(argc, argv);
}
