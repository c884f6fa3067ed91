// attributions.csv, attributions.json and coalitions.json.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/core/version.h"
#include "emshap/explain/attribution_run.h"

namespace emshap {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
constexpr std::int64_t block_rows = 4096;

/// Every row of the log, in blocks.
void each_row(const AttributionRun& run, const std::function<void(std::int64_t, const ExplainedRow&)>& use,
              ProgressSink& sink, const std::string& stage) {
  const std::int64_t n = run.log().rows();
  for (std::int64_t begin = 0; begin < n; begin += block_rows) {
    const std::vector<ExplainedRow> rows = run.log().read(begin, std::min(block_rows, n - begin));
    for (std::size_t i = 0; i < rows.size(); ++i) use(begin + static_cast<std::int64_t>(i), rows[i]);
    sink.progress({stage, std::min(n, begin + block_rows), n, "row", {}});
  }
}

std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

/// Empty where it is not known.
std::string cell(double x) {
  return std::isnan(x) ? std::string() : fmt::format("{}", x);
}

void write_csv_file(const fs::path& path, const AttributionRun& run, const std::vector<ResultColumn>& columns,
                    ProgressSink& sink) {
  const std::vector<std::string>& players = run.explainer().players().names;
  AtomicFile file(path);
  std::string line = "row";
  for (const ResultColumn& column : columns) line += "," + cell(column.name);
  line += ",prediction,phi0";
  for (const char* prefix : {"phi:", "se:"})
    for (const std::string& name : players) line += "," + cell(prefix + name);
  file.write(line + ",ess_min,ess_mean,msev,log_density,flags\n");
  each_row(
      run,
      [&](std::int64_t i, const ExplainedRow& row) {
        line = std::to_string(row.row);
        for (const ResultColumn& column : columns) line += "," + cell(column.text(i));
        line += "," + cell(row.prediction) + "," + cell(run.explainer().phi0());
        for (const std::vector<double>* list : {&row.phi, &row.standard_error})
          for (const double x : *list) line += "," + cell(x);
        for (const double x : {row.effective_min, row.effective_mean, row.msev, row.log_density})
          line += "," + cell(x);
        file.write(line + "," + flag_names(row.flags) + "\n");
      },
      sink, "writing " + path.filename().string());
  file.commit();
}

/// Text of the user's may be no UTF-8: what is none becomes U+FFFD, as JSON has to be UTF-8.
std::string text_of(const Json& j, int indent = -1) {
  return j.dump(indent, ' ', false, Json::error_handler_t::replace);
}

/// nlohmann writes NaN and infinity as null.
Json by_player(const AttributionRun& run, const std::vector<double>& values) {
  Json out = Json::object();
  const std::vector<std::string>& names = run.explainer().players().names;
  for (std::size_t j = 0; j < names.size(); ++j) out[names[j]] = values[j];
  return out;
}

Json players_json(const AttributionRun& run) {
  const Players& players = run.explainer().players();
  const std::vector<std::string>& columns = run.explainer().columns();
  Json out = Json::array();
  for (std::size_t j = 0; j < players.names.size(); ++j) {
    Json names = Json::array();
    for (const std::int64_t c : players.columns[j]) names.push_back(columns[static_cast<std::size_t>(c)]);
    out.push_back({{"name", players.names[j]}, {"columns", names}});
  }
  return out;
}

Json coalitions_summary(const AttributionRun& run) {
  const Explainer& explainer = run.explainer();
  const Coalitions& c = explainer.coalitions();
  return {{"strategy", to_string(c.strategy)},
          {"count", c.size()},
          {"budget", c.budget},
          {"drawn", c.drawn},
          {"all", c.enumerated()},
          {"seed", c.seed},
          {"hash", c.hash()},
          {"ridge", explainer.ridge()},
          {"condition", explainer.condition()}};
}

Json summary_json(const AttributionRun& run, const AttributionAbout& about, bool with_rows) {
  const auto parsed = [](const std::string& text) { return Json::parse(text); };
  Json j = {{"format", "emshap_attributions"}, {"version", 1}, {"emshap", version()}};
  j["method"] = about.method;
  if (!about.target.empty()) j["target"] = about.target;
  j["unit"] = about.unit;
  if (!about.model_json.empty()) j["model"] = parsed(about.model_json);
  if (!about.data_json.empty()) j["data"] = parsed(about.data_json);
  if (!about.settings_json.empty()) j["settings"] = parsed(about.settings_json);
  j["settings_hash"] = about.settings_hash;
  j["seed"] = run.explainer().options().seed;
  j["players"] = players_json(run);
  j["coalitions"] = coalitions_summary(run);
  j["phi0"] = run.explainer().phi0();
  const std::int64_t n = run.log().rows();
  j["rows_explained"] = n;
  const GlobalImportance& all = run.importance();
  j["global"] = {{"mean_absolute", by_player(run, all.mean_absolute())},
                 {"mean", by_player(run, all.mean())},
                 {"sage", by_player(run, all.sage())}};
  j["msev"] = all.msev();
  Json quality = {{"effective_min", run.effective_min()},
                  {"effective_mean", run.effective_mean()},
                  {"sampling_error", by_player(run, run.sampling_error())},
                  {"noise_error", by_player(run, run.noise_error())},
                  {"drawn", run.drawn()},
                  {"clamped", run.clamped()}};
  quality["rows"] = {{"missing", run.flagged(ExplainedRow::missing)},
                     {"not_converged", run.flagged(ExplainedRow::not_converged)},
                     {"out_of_distribution", run.flagged(ExplainedRow::unusual)},
                     {"outside_range", run.flagged(ExplainedRow::outside)}};
  if (run.typicality() != nullptr) {
    quality["out_of_distribution_below"] = run.typicality()->threshold();
    const auto& features = run.typicality()->space().columns();
    for (std::size_t t = 0; t < about.outside_by_feature.size(); ++t)
      if (about.outside_by_feature[t] > 0)
        quality["values_outside_range"][features[t].name] = about.outside_by_feature[t];
  }
  j["quality"] = quality;
  j["warnings"] = about.warnings;
  j["files"] = {{"rows", "attributions.csv"}, {"coalitions", "coalitions.json"}};
  if (!with_rows) j["rows"] = nullptr;
  return j;
}

Json row_json(const ExplainedRow& row, const std::vector<ResultColumn>& columns, std::int64_t i) {
  Json j = {{"row", row.row}};
  for (const ResultColumn& column : columns) j[column.name] = column.text(i);
  j["prediction"] = row.prediction;
  j["phi"] = row.phi;
  j["standard_error"] = row.standard_error;
  j["effective_min"] = row.effective_min;
  j["effective_mean"] = row.effective_mean;
  j["msev"] = row.msev;
  j["log_density"] = row.log_density;
  j["flags"] = flag_names(row.flags);
  return j;
}

void write_json_file(const fs::path& path, const AttributionRun& run, const AttributionAbout& about,
                     const std::vector<ResultColumn>& columns) {
  const bool with_rows = run.log().rows() <= about.json_rows;
  std::string text = text_of(summary_json(run, about, with_rows), 1);
  AtomicFile file(path);
  if (with_rows) {
    text.resize(text.size() - 2);  // the closing brace comes after the rows
    file.write(text + ",\n \"rows\": [");
    each_row(
        run,
        [&](std::int64_t i, const ExplainedRow& row) {
          file.write((i == 0 ? "\n  " : ",\n  ") + text_of(row_json(row, columns, i)));
        },
        null_sink(), "");
    text = "\n ]\n}";
  }
  file.write(text + "\n");
  file.commit();
}

void write_coalitions(const fs::path& path, const Explainer& explainer) {
  const Coalitions& c = explainer.coalitions();
  AtomicFile file(path);
  Json head = {{"format", "emshap_coalitions"},
               {"version", 1},
               {"players", explainer.players().names},
               {"strategy", to_string(c.strategy)},
               {"budget", c.budget},
               {"drawn", c.drawn},
               {"seed", c.seed},
               {"hash", c.hash()},
               {"orders", c.orders}};
  std::string text = text_of(head, 1);
  text.resize(text.size() - 2);
  file.write(text + ",\n \"coalitions\": [");
  for (std::int64_t i = 0; i < c.size(); ++i) {
    std::string members;
    for (std::int64_t j = 0; j < c.players; ++j) members += c.row(i)[j] != 0 ? '1' : '0';
    const auto at = static_cast<std::size_t>(i);
    const Json one = {{"members", members}, {"weight", c.weight[at]}, {"probability", c.probability[at]}};
    file.write((i == 0 ? "\n  " : ",\n  ") + one.dump());
  }
  file.write("\n ]\n}\n");
  file.commit();
}

}  // namespace

std::string finished_attributions(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / "attributions.csv", ignored)) return "";
  const fs::path summary = folder / "attributions.json";
  const Json j = Json::parse(read_file(summary), nullptr, false);
  if (!j.is_object() || !j.contains("settings_hash") || !j["settings_hash"].is_string())
    throw IoError(fmt::format("file {} is damaged", summary.string()));
  return j["settings_hash"];
}

std::vector<std::string> write_attributions(const fs::path& folder, const AttributionRun& run,
                                            const AttributionAbout& about,
                                            const std::vector<ResultColumn>& columns, ProgressSink& sink) {
  write_coalitions(folder / "coalitions.json", run.explainer());
  write_json_file(folder / "attributions.json", run, about, columns);
  // Last: where it is, the others are there too.
  write_csv_file(folder / "attributions.csv", run, columns, sink);
  return {"attributions.csv", "attributions.json", "coalitions.json"};
}

}  // namespace emshap
