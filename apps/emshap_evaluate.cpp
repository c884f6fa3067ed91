// Measures a power predictor: that of a run on its own split or on another file, or an ONNX file on any data.
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "common/app.h"
#include "emshap/core/error.h"
#include "emshap/data/csv.h"
#include "emshap/data/split.h"
#include "emshap/io/power_onnx.h"
#include "emshap/report/evaluation.h"
#include "emshap/train/power_model.h"

namespace {

namespace fs = std::filesystem;
using namespace emshap;

struct Options {
  std::string run, onnx, data, target, split, out;
  std::string baseline;
  report::GateOptions gate;
  std::int64_t importance_rows = 2000;
  bool plots = true;
};

/// A predictor, what it needs and where it comes from.
struct Model {
  std::map<std::string, std::string> about;  // for metrics.json
  std::string target, unit;
  std::vector<std::string> features;
  report::Predict predict;
};

Model model_of_run(const RunDirectory& run, TeamPool& pool) {
  auto model = std::make_shared<PowerModel>(load_power_model(run));
  const RunModel& entry = run.model(PowerFiles::model);
  const auto unit = entry.notes.find("unit");
  return {{{"kind", "run"}, {"source", run.folder().string()}, {"scaler_hash", model->scaler.hash()}},
          model->target,
          unit == entry.notes.end() ? "" : unit->second,
          model->scaler.features.input_names(),
          [model, &pool](ConstTensorView raw, TensorView y) { model->predict(pool, raw, y); }};
}

Model model_of_onnx(const std::string& path, TeamPool& pool) {
  auto model = std::make_shared<io::OnnxPowerPredictor>(io::load_power_predictor(path));
  return {{{"kind", "onnx"}, {"source", path}, {"scaler_hash", model->preprocessor.hash()}},
          model->info.target,
          model->info.target_unit,
          model->preprocessor.features.input_names(),
          [model, &pool](ConstTensorView raw, TensorView y) {
            pool.run(raw.rows(), [&](Context& ctx, const ShardPlan& plan) {
              model->predict(ctx, raw.rows(plan.row_begin, plan.local_rows),
                             y.rows(plan.row_begin, plan.local_rows));
            });
          }};
}

void check(const Options& o) {
  if (o.run.empty() && o.onnx.empty())
    throw ConfigError("no model to evaluate; give --run RUN or --power-predictor-path FILE.onnx");
  if (o.run.empty() && o.data.empty())
    throw ConfigError("--power-predictor-path needs --data FILE, or --run RUN for its data and split");
  if (o.run.empty() && o.out.empty())
    throw ConfigError("--power-predictor-path without --run needs --out FOLDER");
}

using Parts = std::vector<std::pair<std::string, std::vector<std::int64_t>>>;

Parts parts_of(const fs::path& split_file, const Table& table) {
  const Split split = read_split(split_file, table);
  return {{"train", split.train}, {"validation", split.validation}, {"test", split.test}};
}

/// The run's parts on the data that it was trained on; every row of other data.
Parts choose_parts(const Options& o, const std::optional<RunDirectory>& run, const Table& table,
                   ProgressSink& sink) {
  if (!o.split.empty()) return parts_of(o.split, table);
  if (run && run->model(PowerFiles::model).data_hash == table.provenance().data_hash)
    return parts_of(run->verified(PowerFiles::split), table);
  if (run)
    sink.log(LogLevel::info, fmt::format("{} is not the data of {}: all rows are evaluated",
                                         table.provenance().source, o.run));
  return {{"all", all_rows(table)}};
}

void evaluate(const Options& o, app::Session& session) {
  check(o);
  TeamPool pool(session.threads());
  std::optional<RunDirectory> run;
  if (!o.run.empty()) run = RunDirectory::open(o.run);
  const Model model = o.onnx.empty() ? model_of_run(*run, pool) : model_of_onnx(o.onnx, pool);

  ColumnSelection columns;
  columns.target = o.target.empty() ? (run ? run->model(PowerFiles::model).target : model.target) : o.target;
  columns.features = model.features;
  const std::string data = o.data.empty() ? run->model(PowerFiles::model).data_path : o.data;
  if (!fs::exists(data) && o.data.empty())
    throw IoError(
        fmt::format("{}: the data file {} of this run is not there; name it with --data", o.run, data));
  const Table table = read_csv(data, columns, {.target = MissingTarget::drop});

  report::Evaluation result =
      report::evaluate(table, choose_parts(o, run, table, session.sink()), model.predict,
                       {model.features, o.importance_rows, session.seed()}, session.sink());
  result.model = model.about;
  result.unit = model.unit;
  const fs::path folder = o.out.empty() ? fs::path(o.run) / "evaluation" : fs::path(o.out);
  // Before anything is written: the baseline may be what the last evaluation left in the same folder.
  std::string verdict;
  std::optional<QualityError> worse;
  try {
    if (!o.baseline.empty()) verdict = report::check_gate(evaluation_json(result, table), o.baseline, o.gate);
  } catch (const QualityError& e) {
    worse = e;
  }
  report::Plotter plotter({}, session.sink());
  write_evaluation(result, table, folder, o.plots ? &plotter : nullptr);
  std::vector<std::pair<std::string, RegressionMetrics>> metrics;
  for (const report::EvaluatedPart& part : result.parts) metrics.emplace_back(part.name, part.metrics);
  session.print(report::metrics_table(metrics));
  session.print(fmt::format("Evaluation: {}\n", folder.string()));
  if (worse) throw QualityError(*worse);
  if (!verdict.empty()) session.print(verdict + "\n");
}

}  // namespace

int main(int argc, char** argv) {
  using namespace emshap::app;
  App app("emshap_evaluate", "Measures a power predictor and compares it with a baseline.");
  Options o;
  Command& command =
      app.command("", "",
                  "  emshap_evaluate --run RUN\n"
                  "  emshap_evaluate --run RUN --data newer.csv --out RUN/newer\n"
                  "  emshap_evaluate --power-predictor-path power_predictor.onnx --data hosts.csv \\\n"
                  "      --target power_consumption --out evaluation\n"
                  "  emshap_evaluate --run NEW --baseline OLD/metrics.json --tolerance 0.01\n");
  Settings& s = command.settings;
  s.add("model", "run", o.run, "Folder of a run: its model, data and split");
  s.add("model", "power-predictor-path", o.onnx, "ONNX file to evaluate instead of the run's checkpoint");
  s.add("data", "data", o.data, "CSV file; that of the run when empty");
  s.add("data", "target", o.target, "Column of actual values; the model's target when empty");
  s.add("data", "split-file", o.split, "split.csv that says which rows are test rows");
  s.add("output", "out", o.out, "Folder to write to; RUN/evaluation when empty");
  s.add("output", "importance-rows", o.importance_rows, "Rows for permutation importance, 0 for none",
        at_least(0));
  s.add("output", "plots", o.plots, "Draw plots (with gnuplot)");
  s.add("gate", "baseline", o.baseline,
        "metrics.json, or a folder with one, that must not be better; else exit code 5");
  s.add("gate", "metric", o.gate.metric, "What is compared: rmse, mse, mae, mape or r2; auto: rmse",
        one_of({"auto", "rmse", "mse", "mae", "mape", "r2"}));
  s.add("gate", "tolerance", o.gate.tolerance,
        "How much worse it may be: a share of the baseline, for r2 a difference", in_range(0, 1e30));
  command.run = [&](Session& session) { evaluate(o, session); };
  return app.run(argc, argv);
}
