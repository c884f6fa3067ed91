#include "explain_task.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/console.h"
#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/core/version.h"
#include "emshap/data/hash.h"
#include "emshap/report/comparison_table.h"
#include "explain_report.h"

namespace emshap::app {
namespace {

namespace fs = std::filesystem;

/// Names and paths may be no UTF-8.
std::string json_text(const nlohmann::ordered_json& j) {
  return j.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::int64_t parse_budget(const std::string& text) {
  std::int64_t out = 0;
  if (text == "auto") return 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out > 0 ? out : -1;
}

ExplainOptions explain_options(const ExplainTask& o, std::uint64_t seed) {
  ExplainOptions out;
  if (o.strategy != "auto") out.strategy = parse_coalition_strategy(o.strategy);
  out.budget = parse_budget(o.budget);
  out.tolerance = o.tolerance;
  out.seed = seed;
  out.memory_limit = o.memory_limit << 20;
  return out;
}

/// Columns that never vary in the training data belong to no player: what another value changes in f is
/// shared out among the players, which has to be said. Empty where no row has such a value.
std::string changed_columns_warning(const ValueFunction& values, const Tensor& background,
                                    const ExplainRows& data) {
  const std::vector<bool> modelled = values.modelled();
  const std::int64_t D = data.raw.cols(), n = data.raw.rows();
  std::string columns;
  for (std::int64_t c = 0; c < D; ++c) {
    if (modelled[static_cast<std::size_t>(c)]) continue;
    std::int64_t first = 0, changed = 0;
    while (first < background.rows() && std::isnan(background.ptr<float>()[first * D + c])) ++first;
    if (first == background.rows()) continue;
    const float usual = background.ptr<float>()[first * D + c];
    for (std::int64_t r = 0; r < n; ++r) {
      const float x = data.raw.ptr<float>()[r * D + c];
      changed += !std::isnan(x) && x != usual ? 1 : 0;
    }
    if (changed > 0)
      columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ",
                             values.columns()[static_cast<std::size_t>(c)], changed);
  }
  if (columns.empty()) return "";
  return fmt::format(
      "rows have other values than all training rows in columns that never vary there and are no players: "
      "{}; what that changes in the prediction is shared out among the players",
      columns);
}

Players players_of(const ExplainTask& o, const ExplainModels& models, const ValueFunction& values) {
  const std::vector<bool> modelled = values.modelled();
  if (std::find(modelled.begin(), modelled.end(), true) == modelled.end())
    throw DataError("no column varies among the training rows, expected at least one to attribute to");
  return choose_players(o.players, models.cleaning, values.columns(), modelled);
}

/// All that decides the results.
nlohmann::ordered_json settings_json(const ExplainTask& o, const ExplainModels& models,
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

std::string settings_hash(const nlohmann::ordered_json& settings, const ExplainModels& models,
                          const ExplainRows& data, const Players& players, const Tensor& train) {
  Hash64 hash;
  hash.text(fmt::format("emshap_explain 1 {}", version()));
  for (const auto& [key, value] : settings.items())
    if (key != "background") hash.text(key + "=" + json_text(value));
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
Start check_folder(const ExplainTask& o, const std::string& hash) {
  if (fs::exists(fs::path(o.out) / "manifest.json"))  // its config.toml and plots are those of the training
    throw ConfigError(
        fmt::format("{} is the folder of a run, expected another one for the explanation, e.g. --out {}",
                    o.out, (fs::path(o.out) / "explanation").string()));
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

/// How long it will take, before it starts, where that is long.
void announce_time(const Explainer& explainer, const ValueFunction& values, const ExplainRows& data,
                   TeamPool& pool, Session& session) {
  constexpr std::int64_t tried = 64;
  constexpr double long_time = 60;  // seconds
  const Coalitions& all = explainer.coalitions();
  if (all.size() < tried + 2 || data.raw.rows() == 0) return;
  CoalitionValues out;
  const auto start = std::chrono::steady_clock::now();
  values.evaluate(pool, {data.raw.view().rows(0, 1), {}}, explainer.players().masks(all, 2, tried), out,
                  &session.stop());
  const std::chrono::duration<double> some = std::chrono::steady_clock::now() - start;
  const double C = static_cast<double>(all.size()), n = static_cast<double>(data.raw.rows());
  const double seconds = some.count() / static_cast<double>(tried) * C * n;
  if (explainer.exact() && all.size() > 1024) {
    const double row = 8 * C * static_cast<double>(3 + values.replicates());
    const double fixed =
        C * (8. * static_cast<double>(all.players) + 4. * static_cast<double>(data.raw.cols()));
    session.sink().log(
        LogLevel::info,
        fmt::format("all {} coalitions of {} players: about {} for {} rows and {:.0f} MB", all.size(),
                    all.players, duration_text(seconds), data.raw.rows(), (row + fixed) / 1e6));
  } else if (seconds > long_time) {
    session.sink().log(
        LogLevel::info,
        fmt::format(
            "{} coalitions: about {} for {} rows; fewer --rows, --samples or a smaller --budget take less",
            all.size(), duration_text(seconds), data.raw.rows()));
  }
}

void choose_coalitions(Explainer& explainer, const std::optional<AttributionLog>& log,
                       const ValueFunction& values, const ExplainRows& data, TeamPool& pool,
                       Session& session) {
  if (log) {
    explainer.use_coalitions(coalitions_from(log->note()));
    session.sink().log(LogLevel::info,
                       fmt::format("{} of {} rows are explained already", log->rows(), data.raw.rows()));
    return;
  }
  try {
    explainer.choose_coalitions(pool, data.raw, session.sink(), &session.stop());
  } catch (const Interrupted&) {
    throw Interrupted("interrupted while the coalitions were chosen, before the first row; nothing is saved");
  }
  announce_time(explainer, values, data, pool, session);
}

std::string data_json(const ExplainRows& data) {
  const Provenance& from = data.table.provenance();
  nlohmann::ordered_json j = {{"path", from.source}, {"rows", from.rows_read}, {"hash", from.data_hash}};
  if (!data.part.empty()) j["part"] = data.part;
  return json_text(j);
}

/// Runs the comparison, keeps it in `all` and in a file, and returns its table.
std::string compare(const ExplainTask& o, const Explainer& explainer, const ExplainModels& models,
                    const Tensor& train, const ExplainRows& data, const DeviceParts& on_device,
                    TeamPool& pool, Session& session, Explained& all) {
  try {
    const ComparedValues compared = compare_value_functions(o.compare, explainer, o.values, models, train,
                                                            data, o.compare_rows, on_device, pool, session);
    write_file_atomically(fs::path(o.out) / "comparison.json", compared.comparison.json() + "\n");
    all.comparison = compared.comparison;
    return report::comparison_table(compared.comparison, compared.variance);
  } catch (const Interrupted&) {
    throw Interrupted("interrupted while methods were compared; all rows are saved, and --resume continues");
  }
}

}  // namespace

std::string check_budget(const std::string& text) {
  return parse_budget(text) < 0 ? "auto or a number above 0" : "";
}

std::string check_method(const std::string& name) {
  return one_of({"emshap", "gaussian", "copula", "independence", "empirical"})(name);
}

std::string check_methods(const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (const std::string expected = check_method(name); !expected.empty()) return expected;
  return "";
}

void explain(const ExplainTask& o, Session& session) {
  if (o.resume && o.overwrite) throw ConfigError("--resume and --overwrite exclude each other");
  if (!o.players.groups.empty() && o.players.group_lags)
    throw ConfigError("--groups and --group-lags exclude each other");
  if (o.resume && o.models.run.empty() && o.models.model.empty() &&
      !fs::exists(fs::path(o.out) / explain_config_file))
    throw ConfigError(fmt::format("{} holds nothing to resume: it has no {}", o.out, explain_config_file));
  TeamPool pool(session.threads());
  const bool uses_density = o.values.method == "emshap" ||
                            std::find(o.compare.begin(), o.compare.end(), "emshap") != o.compare.end();
  const ExplainModels models = load_explain_models(o.models, uses_density, session.sink());
  const ExplainRows data = read_explain_rows(o.rows, models, session.sink());
  const bool needs_training = o.values.method != "emshap" || !o.compare.empty();
  const Tensor train = needs_training ? training_rows(models, !o.models.background.empty(), session.sink())
                                      : Tensor({0, data.raw.cols()});
  const DeviceCopies on_device = copies_on_device(o.values.method, models, session);
  const MethodValues method(o.values.method, models, train, o.values.drawn, session.sink(),
                            on_device.parts());
  const ValueFunction& values = method.values();
  Explainer explainer(values, *models.f, players_of(o, models, values), models.background,
                      explain_options(o, session.seed()), pool);

  nlohmann::ordered_json settings = settings_json(o, models, values, session.seed());
  if (on_device.model != nullptr)
    settings["device"] = cuda_tf32() ? "cuda, TF32" : "cuda";  // draws differ by flips
  AttributionAbout about;
  about.method = o.values.method;
  about.target = models.target;
  about.unit = models.unit;
  about.settings_hash = settings_hash(settings, models, data, explainer.players(), train);
  about.model_json = json_text(models.about);
  about.data_json = data_json(data);
  about.settings_json = json_text(settings);
  about.json_rows = o.json_rows;

  const Start start = check_folder(o, about.settings_hash);
  if (start == Start::finished) {
    session.print(fmt::format("The results in {} are complete.\n", o.out));
    return;
  }
  std::optional<AttributionLog> log;
  if (start == Start::resume)
    log.emplace(AttributionLog::resume(o.out, about.settings_hash, explainer.players().size()));
  choose_coalitions(explainer, log, values, data, pool, session);
  if (!log) log.emplace(AttributionLog::create(o.out, about.settings_hash, explainer.players().size()));
  for (const char* old :
       {"attributions.csv", "attributions.json", "coalitions.json", "comparison.json", "report.html"})
    fs::remove(fs::path(o.out) / old);
  write_file_atomically(fs::path(o.out) / explain_config_file, session.config_toml());

  std::optional<Typicality> typicality;
  if (method.density() != nullptr)
    typicality.emplace(*method.space(), *method.density(), models.background, pool);
  AttributionRun run(explainer, typicality ? &*typicality : nullptr, *log);
  run.run(pool, {data.raw, data.numbers, data.actual}, session.sink(), &session.stop());

  Explained all{run, about, models, data, values, {}};
  if (typicality) about.outside_by_feature = typicality->count_outside(data.raw);
  about.warnings = explanation_warnings(run, values, about.outside_by_feature);
  const std::string changed = changed_columns_warning(values, models.background, data);
  if (!changed.empty()) about.warnings.push_back(changed);
  for (const std::string& warning : about.warnings) session.sink().log(LogLevel::warning, warning);
  std::string comparison;
  if (!o.compare.empty()) {
    comparison = compare(o, explainer, models, train, data, on_device.parts(), pool, session, all);
  }
  if (o.report) write_report(all, o.out, o.report_rows, pool, session);
  write_attributions(o.out, run, about, data.columns(), session.sink());
  log->remove();
  session.print(explanation_summary(all));
  if (!comparison.empty()) session.print("\n" + comparison);
  session.print(fmt::format("Attributions: {}\n", o.out));
}

}  // namespace emshap::app
