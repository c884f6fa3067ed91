// Explains the predictions of a model for rows of a data file by conditional Shapley values.
#include <filesystem>

#include "common/app.h"
#include "data_location.h"
#include "explain_task.h"

namespace {

using namespace emshap;

void add_settings(app::Settings& s, app::ExplainTask& o) {
  using app::at_least;
  using app::one_of;
  s.add("model", "run", o.models.run, "Folder of a run: its predictor, EmSHAP model, data and split");
  s.add("model", "model", o.models.model,
        "ONNX file of the model to explain, instead of the run's predictor: ours or any tabular model");
  s.add("model", "emshap", o.models.emshap, "ONNX file of an EmSHAP model, instead of the run's");
  s.add("model", "output", o.models.output, "Output of the ONNX model, where it has several");
  s.add("model", "class-name", o.models.class_name, "Class of a classifier whose score is explained");
  s.add("model", "features", o.models.columns,
        "Columns that an ONNX model takes, in its order, where neither it nor a density model names them");
  app::add_data_location(s, o.rows.data, o.rows.where,
                         "CSV file or feature store; that of the run when empty");
  s.add("data", "rows", o.rows.rows,
        "Rows to explain, counted from 0 in the part or the data: 0:100 or 3,7,20:30; all when empty");
  s.add(
      "data", "part", o.rows.part,
      "Part of the split: train, validation, test or all; test for the run's own data unless --rows is given",
      one_of({"", "train", "validation", "test", "all"}));
  s.add("data", "split-file", o.rows.split_file, "split.csv that says which rows are test rows");
  s.add("data", "target", o.rows.target, "Column of actual values; the model's target when empty");
  s.add("data", "background", o.models.background,
        "Rows of the training data (CSV, store or .npy) over which the model is averaged; the run's when "
        "empty");
  s.add("values", "method", o.values.method,
        "How unknown features follow from known ones: emshap, gaussian, copula, independence, empirical",
        app::Check<std::string>(app::check_method));
  s.add("values", "samples", o.values.drawn.draws, "Draws for each conditional expectation", at_least(1));
  s.add("values", "replicates", o.values.drawn.replicates,
        "Independent sets of draws, for standard errors; 1: the most accurate, without them", at_least(1));
  s.add("values", "noise", o.values.noise, "sobol: scrambled sets shared by all; iid: independent",
        one_of({"sobol", "iid"}));
  s.add("values", "orders", o.values.drawn.orders,
        "Orders in which unknown features are drawn; 0: 1 with the energy, else 4", at_least(0));
  s.add("values", "energy", o.models.energy, "Whether the energy's weights count; auto: as training decided",
        one_of({"auto", "on", "off"}));
  s.add("coalitions", "strategy", o.strategy,
        "exact, kernel, leverage, permutation; auto: exact up to 1024 coalitions, else kernel",
        one_of({"auto", "exact", "kernel", "leverage", "permutation"}));
  s.add("coalitions", "budget", o.budget, "Number of coalitions; auto: until standard errors are small",
        app::Check<std::string>(app::check_budget));
  s.add("coalitions", "tolerance", o.tolerance,
        "Standard errors are small below this share of the spread of a row's attributions",
        app::more_than(0));
  app::add_player_settings(s, "coalitions", o.players);
  s.add("output", "out", o.out, "Folder to write to");
  s.add("output", "compare", o.compare, "Methods to compare by MSEv on some of the rows",
        app::Check<std::vector<std::string>>(app::check_methods));
  s.add("output", "compare-rows", o.compare_rows, "Rows for the comparison, 0 for all", at_least(0));
  s.add("output", "report", o.report, "Write an HTML report and pictures (with gnuplot)");
  s.add("output", "report-rows", o.report_rows, "Rows in the report, a random choice of more", at_least(1));
  s.add("output", "json-rows", o.json_rows, "Rows in attributions.json; with more they are in the CSV only",
        at_least(0));
  s.add("output", "memory-limit", o.memory_limit, "MiB for the values of a block of rows", at_least(1));
  s.add("output", "resume", o.resume, "Continue an interrupted run with its settings").saved = false;
  s.add("output", "overwrite", o.overwrite, "Replace results").saved = false;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace emshap::app;
  App app("emshap_explain", "Explains predictions of a model by conditional Shapley values.");
  ExplainTask o;
  Command& command = app.command(
      "", "",
      "  emshap_explain --run RUN --rows 0:100 --out RUN/explanation\n"
      "  emshap_explain --run RUN --data newer.csv --out newer --compare emshap,gaussian,copula\n"
      "  emshap_explain --model forest.onnx --emshap emshap_model.onnx --background train.csv \\\n"
      "      --data hosts.csv --rows 0:100 --budget 2048 --out explanation\n"
      "  emshap_explain --resume --out explanation\n");
  add_settings(command.settings, o);
  command.default_config = [&o] {
    const std::filesystem::path saved = std::filesystem::path(o.out) / explain_config_file;
    return o.resume && std::filesystem::exists(saved) ? saved.string() : std::string();
  };
  command.uses_gpu = true;
  command.run = [&](Session& session) {
    o.values.drawn.noise = o.values.noise == "iid" ? ValueNoise::independent : ValueNoise::sobol;
    o.values.drawn.seed = session.seed();
    explain(o, session);
  };
  return app.run(argc, argv);
}
