// Explains the predictions of a model for rows of a data file by conditional Shapley values.
#include <charconv>
#include <chrono>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/app.h"
#include "common/console.h"
#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/core/version.h"
#include "emshap/data/hash.h"
#include "emshap/report/comparison_table.h"
#include "explain_models.h"
#include "explain_report.h"
#include "explain_rows.h"
#include "explain_values.h"

namespace {

namespace fs = std::filesystem;
using namespace emshap;

struct Options {
  app::ModelChoice models;
  app::RowChoice rows;
  app::ValueChoice values;
  std::string strategy = "auto", budget = "auto", groups, out = "explanation";
  bool group_lags = false, report = true, resume = false, overwrite = false;
  double tolerance = .02;
  std::vector<std::string> compare;
  std::int64_t compare_rows = 200, report_rows = 2000, json_rows = 10000, memory_limit = 1024;
};
constexpr const char* config_file = "config.toml";

std::int64_t parse_budget(const std::string& text) {
  std::int64_t out = 0;
  if (text == "auto") return 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out > 0 ? out : -1;
}

std::string check_budget(const std::string& text) {
  return parse_budget(text) < 0 ? "auto or a number above 0" : "";
}

ExplainOptions explain_options(const Options& o, std::uint64_t seed) {
  ExplainOptions out;
  if (o.strategy != "auto") out.strategy = parse_coalition_strategy(o.strategy);
  out.budget = parse_budget(o.budget);
  out.tolerance = o.tolerance;
  out.seed = seed;
  out.memory_limit = o.memory_limit << 20;
  return out;
}

Players choose_players(const Options& o, const ValueFunction& values) {
  if (!o.groups.empty()) return Players::from_file(o.groups, values.columns(), values.modelled());
  return o.group_lags ? Players::by_lag(values.columns(), values.modelled())
                      : Players::single(values.columns(), values.modelled());
}

/// All that decides the results.
nlohmann::ordered_json settings_json(const Options& o, const app::ExplainModels& models,
                                     const ValueFunction& values, std::uint64_t seed) {
  return {{"method", o.values.method},
          {"strategy", o.strategy},
          {"budget", o.budget},
          {"tolerance", o.tolerance},
          {"samples", o.values.drawn.draws},
          {"replicates", values.replicates()},
          {"noise", o.values.noise},
          {"orders", o.values.drawn.orders},
          {"energy", o.models.energy},
          {"seed", seed},
          {"background", models.background_from},
          {"background_rows", models.background.rows()}};
}

void add(Hash64& hash, const Tensor& values) {
  hash.word(static_cast<std::uint64_t>(values.rows()));
  for (std::int64_t i = 0; i < values.elements(); ++i)
    hash.number(static_cast<double>(values.ptr<float>()[i]));
}

std::string settings_hash(const nlohmann::ordered_json& settings, const app::ExplainModels& models,
                          const app::ExplainRows& data, const Players& players, const Tensor& train) {
  Hash64 hash;
  hash.text(fmt::format("emshap_explain 1 {}", version()));
  for (const auto& [key, value] : settings.items())
    if (key != "background") hash.text(key + "=" + value.dump());
  for (const auto& [key, value] : models.about)
    if (key.ends_with("_hash") || key == "output" || key == "energy_used") hash.text(key + "=" + value);
  for (std::size_t j = 0; j < players.names.size(); ++j) {
    hash.text(players.names[j]);
    for (const std::int64_t c : players.columns[j]) hash.word(static_cast<std::uint64_t>(c));
  }
  for (const std::string& column : models.columns) hash.text(column);
  add(hash, data.raw);
  for (const std::int64_t number : data.numbers) hash.word(static_cast<std::uint64_t>(number));
  for (const float y : data.actual) hash.number(static_cast<double>(y));
  add(hash, models.background);
  add(hash, train);
  return hash.hex();
}

/// What the user asked for and what is in the folder must fit together.
enum class Start { fresh, resume, finished };
Start check_folder(const Options& o, const std::string& hash) {
  const std::string finished = finished_attributions(o.out);
  const bool unfinished = AttributionLog::exists(o.out);
  if (o.overwrite) return Start::fresh;
  if (!o.resume) {
    if (unfinished)
      throw ConfigError(fmt::format(
          "{} holds unfinished results; expected --resume to continue them, --overwrite or another --out",
          o.out));
    if (!finished.empty())
      throw ConfigError(fmt::format("{} holds results; expected --overwrite or another --out", o.out));
    return Start::fresh;
  }
  if (unfinished) return Start::resume;
  if (finished.empty()) return Start::fresh;
  if (finished != hash)
    throw ConfigError(
        fmt::format("{} holds finished results of other settings, models or data; expected "
                    "--overwrite or another --out",
                    o.out));
  return Start::finished;
}

/// All coalitions of many players take long: how long, before it starts.
void announce_exact(const Explainer& explainer, const ValueFunction& values, const app::ExplainRows& data,
                    TeamPool& pool, app::Session& session) {
  const Coalitions& all = explainer.coalitions();
  if (!explainer.exact() || all.size() <= 1024) return;
  constexpr std::int64_t tried = 64;
  CoalitionValues out;
  const auto start = std::chrono::steady_clock::now();
  values.evaluate(pool, {data.raw.view().rows(0, 1), {}}, explainer.players().masks(all, 2, tried), out,
                  &session.stop());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double C = static_cast<double>(all.size()), n = static_cast<double>(data.raw.rows());
  const double row = 8 * C * static_cast<double>(3 + values.replicates());
  const double fixed =
      C * (8. * static_cast<double>(all.players) + 4. * static_cast<double>(data.raw.cols()));
  session.sink().log(
      LogLevel::info,
      fmt::format("all {} coalitions of {} players: about {} for {} rows and {:.0f} MB", all.size(),
                  all.players, app::duration_text(seconds / static_cast<double>(tried) * C * n),
                  data.raw.rows(), (row + fixed) / 1e6));
}

void choose_coalitions(Explainer& explainer, const Options& o, const std::optional<AttributionLog>& log,
                       const ValueFunction& values, const app::ExplainRows& data, TeamPool& pool,
                       app::Session& session) {
  if (log) {
    explainer.use_coalitions(coalitions_from(log->note()));
    session.sink().log(LogLevel::info,
                       fmt::format("{} of {} rows are explained already", log->rows(), data.raw.rows()));
    return;
  }
  explainer.choose_coalitions(pool, data.raw, session.sink(), &session.stop());
  if (o.strategy == "exact" || o.budget != "auto") announce_exact(explainer, values, data, pool, session);
}

std::string data_json(const app::ExplainRows& data) {
  const Provenance& from = data.table.provenance();
  nlohmann::ordered_json j = {{"path", from.source}, {"rows", from.rows_read}, {"hash", from.data_hash}};
  if (!data.part.empty()) j["part"] = data.part;
  return j.dump();
}

void explain(const Options& o, app::Session& session) {
  if (o.resume && o.overwrite) throw ConfigError("--resume and --overwrite exclude each other");
  if (!o.groups.empty() && o.group_lags) throw ConfigError("--groups and --group-lags exclude each other");
  TeamPool pool(session.threads());
  const bool uses_density = o.values.method == "emshap" ||
                            std::find(o.compare.begin(), o.compare.end(), "emshap") != o.compare.end();
  const app::ExplainModels models = app::load_explain_models(o.models, uses_density, session.sink());
  const app::ExplainRows data = app::read_explain_rows(o.rows, models, session.sink());
  const bool needs_training = o.values.method != "emshap" || !o.compare.empty();
  const Tensor train = needs_training
                           ? app::training_rows(models, !o.models.background.empty(), session.sink())
                           : Tensor({0, data.raw.cols()});
  const app::MethodValues method(o.values.method, models, train, o.values.drawn, session.sink());
  const ValueFunction& values = method.values();
  Explainer explainer(values, *models.f, choose_players(o, values), models.background,
                      explain_options(o, session.seed()), pool);

  const nlohmann::ordered_json settings = settings_json(o, models, values, session.seed());
  AttributionAbout about;
  about.method = o.values.method;
  about.target = models.target;
  about.unit = models.unit;
  about.settings_hash = settings_hash(settings, models, data, explainer.players(), train);
  about.model_json = nlohmann::ordered_json(models.about).dump();
  about.data_json = data_json(data);
  about.settings_json = settings.dump();
  about.json_rows = o.json_rows;

  const Start start = check_folder(o, about.settings_hash);
  if (start == Start::finished) {
    session.print(fmt::format("The results in {} are complete.\n", o.out));
    return;
  }
  std::optional<AttributionLog> log;
  if (start == Start::resume)
    log.emplace(AttributionLog::resume(o.out, about.settings_hash, explainer.players().size()));
  choose_coalitions(explainer, o, log, values, data, pool, session);
  if (!log) log.emplace(AttributionLog::create(o.out, about.settings_hash, explainer.players().size()));
  for (const char* old : {"attributions.csv", "attributions.json", "coalitions.json", "comparison.json"})
    fs::remove(fs::path(o.out) / old);
  write_file_atomically(fs::path(o.out) / config_file, session.config_toml());

  std::optional<Typicality> typicality;
  if (method.density() != nullptr)
    typicality.emplace(*method.space(), *method.density(), models.background, pool);
  AttributionRun run(explainer, typicality ? &*typicality : nullptr, *log);
  run.run(pool, {data.raw, data.numbers, data.actual}, session.sink(), &session.stop());

  app::Explained all{run, about, models, data, values, {}};
  if (typicality) about.outside_by_feature = typicality->count_outside(data.raw);
  about.warnings = app::explanation_warnings(run, values, about.outside_by_feature);
  for (const std::string& warning : about.warnings) session.sink().log(LogLevel::warning, warning);
  std::string comparison;
  if (!o.compare.empty()) {
    const app::ComparedValues compared = app::compare_value_functions(
        o.compare, explainer, o.values, models, train, data, o.compare_rows, pool, session);
    comparison = report::comparison_table(compared.comparison, compared.variance);
    write_file_atomically(fs::path(o.out) / "comparison.json", compared.comparison.json() + "\n");
    all.comparison = compared.comparison;
  }
  if (o.report) app::write_report(all, o.out, o.report_rows, session);
  write_attributions(o.out, run, about, data.columns(), session.sink());
  log->remove();
  session.print(app::explanation_summary(all));
  if (!comparison.empty()) session.print("\n" + comparison);
  session.print(fmt::format("Attributions: {}\n", o.out));
}

void add_settings(app::Settings& s, Options& o) {
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
  s.add("data", "data", o.rows.data, "CSV file; that of the run when empty");
  s.add("data", "rows", o.rows.rows,
        "Rows to explain, counted from 0 in the part or the data: 0:100 or 3,7,20:30; all when empty");
  s.add(
      "data", "part", o.rows.part,
      "Part of the split: train, validation, test or all; test for the run's own data unless --rows is given",
      one_of({"", "train", "validation", "test", "all"}));
  s.add("data", "split-file", o.rows.split_file, "split.csv that says which rows are test rows");
  s.add("data", "target", o.rows.target, "Column of actual values; the model's target when empty");
  s.add("data", "background", o.models.background,
        "Rows of the training data (CSV or .npy) over which the model is averaged; the run's when empty");
  s.add("values", "method", o.values.method,
        "How unknown features follow from known ones: emshap, gaussian, copula, independence, empirical",
        one_of({"emshap", "gaussian", "copula", "independence", "empirical"}));
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
        app::Check<std::string>(check_budget));
  s.add("coalitions", "tolerance", o.tolerance,
        "Standard errors are small below this share of the spread of a row's attributions",
        app::more_than(0));
  s.add("coalitions", "groups", o.groups, "TOML file of groups of columns that are explained as one");
  s.add("coalitions", "group-lags", o.group_lags, "Explain x, x_lag1, x_lag2 ... as one");
  s.add("output", "out", o.out, "Folder to write to");
  s.add("output", "compare", o.compare, "Methods to compare by MSEv on some of the rows");
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
  Options o;
  Command& command = app.command(
      "", "",
      "  emshap_explain --run RUN --rows 0:100 --out RUN/explanation\n"
      "  emshap_explain --run RUN --data newer.csv --out newer --compare emshap,gaussian,copula\n"
      "  emshap_explain --model forest.onnx --emshap emshap_model.onnx --background train.csv \\\n"
      "      --data hosts.csv --rows 0:100 --budget 2048 --out explanation\n"
      "  emshap_explain --resume --out explanation\n");
  add_settings(command.settings, o);
  command.default_config = [&o] {
    const fs::path saved = fs::path(o.out) / config_file;
    return o.resume && fs::exists(saved) ? saved.string() : std::string();
  };
  command.run = [&](Session& session) {
    o.values.drawn.noise = o.values.noise == "iid" ? ValueNoise::independent : ValueNoise::sobol;
    o.values.drawn.seed = session.seed();
    explain(o, session);
  };
  return app.run(argc, argv);
}
