// What training cleaned, evaluation, explanation and export clean alike: from the run and from its files.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app_runner.h"
#include "emshap/core/atomic_file.h"
#include "emshap/data/npy.h"
#include "emshap/io/onnx_model.h"
#include "emshap/train/power_model.h"
#include "emshap/train/run_cleaning.h"

using namespace emshap;
using test::AppRun;
using Words = std::vector<std::string>;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

const Words training{"--split",
                     "time",
                     "--lags",
                     "1,2",
                     "--rolling",
                     "3",
                     "--outliers",
                     "clip",
                     "--derive-from",
                     "cpu_util,context_switch",
                     "--calendar",
                     "--products",
                     "cpu_util*frequency",
                     "--fill-missing",
                     "forward",
                     "--power-epochs",
                     "3",
                     "--power-hidden",
                     "8",
                     "--power-members",
                     "1",
                     "--max-steps",
                     "3",
                     "--energy-steps",
                     "2",
                     "--hidden",
                     "8",
                     "--embedding",
                     "4",
                     "--components",
                     "2",
                     "--energy-hidden",
                     "8",
                     "--energy-draws",
                     "3",
                     "--gate-draws",
                     "10",
                     "--transform",
                     "standardise",
                     "--no-plots"};
const Words scoring{"--importance-rows", "20", "--rows-limit",    "30", "--energy-pairs", "2",
                    "--samples",         "20", "--value-samples", "3",  "--no-plots"};
const Words small{"--samples", "8", "--replicates", "2", "--budget", "80", "--no-report"};

/// A folder with hosts.csv and a run that cleans, made once.
const fs::path& workspace();

AppRun run_in(const std::string& app, std::vector<Words> lists) {
  Words words;
  for (const Words& list : lists) words.insert(words.end(), list.begin(), list.end());
  words.emplace_back("--quiet");
  return test::run_app(app, words, workspace());
}
void check_run(const std::string& app, std::vector<Words> lists) {
  const AppRun done = run_in(app, std::move(lists));
  REQUIRE_MESSAGE(done.exit_code == 0, done.output);
}

const fs::path& workspace() {
  static const report::TemporaryFolder folder;
  static const bool made = [] {
    const auto start = [&](const std::string& app, Words words) {
      words.emplace_back("--quiet");
      const AppRun done = test::run_app(app, words, folder.path());
      REQUIRE_MESSAGE(done.exit_code == 0, done.output);
    };
    start("emshap_datagen", {"--rows", "480", "--nodes", "4", "--missing", "0.03", "--out", "hosts.csv"});
    Words words{"all", "--data", "hosts.csv", "--target", "power_consumption", "--out", "run"};
    words.insert(words.end(), training.begin(), training.end());
    start("emshap_train", words);
    return true;
  }();
  REQUIRE(made);
  return folder.path();
}

using Lines = std::vector<std::map<std::string, std::string>>;
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::stringstream in(line);
  for (std::string cell; std::getline(in, cell, ',');) cells.push_back(cell);
  return cells;
}
Lines read_lines(const fs::path& file) {
  std::stringstream in(read_file(file));
  std::string line;
  std::getline(in, line);
  const std::vector<std::string> names = cells_of(line);
  Lines out;
  while (std::getline(in, line)) {
    const std::vector<std::string> cells = cells_of(line);
    auto& row = out.emplace_back();
    for (std::size_t i = 0; i < cells.size(); ++i) row[names[i]] = cells[i];
  }
  return out;
}
Json metrics(const std::string& folder) {
  return Json::parse(read_file(workspace() / folder / "metrics.json"));
}
/// hosts.csv with one cell of data row `row` (from 0) replaced, in column `name`.
void edit_cell(const std::string& to, std::int64_t row, const std::string& name, const std::string& value) {
  std::stringstream in(read_file(workspace() / "hosts.csv"));
  std::string out, line;
  std::size_t at = 0;
  for (std::int64_t r = -1; std::getline(in, line); ++r) {
    std::vector<std::string> cells = cells_of(line);
    if (r == -1)
      while (cells[at] != name) ++at;
    if (r == row) {
      cells[at] = value;
      line = cells[0];
      for (std::size_t i = 1; i < cells.size(); ++i) line += "," + cells[i];
    }
    out += line + "\n";
  }
  write_file_atomically(workspace() / to, out);
}

}  // namespace

TEST_CASE("evaluation of a run that cleans gives the figures of training, bit for bit") {
  check_run("emshap_evaluate", {{"--run", "run", "--out", "of_run"}, scoring});
  const Json trained = metrics("run"), found = metrics("of_run");
  for (const char* part : {"train", "validation", "test"})
    for (const char* name : {"rows", "rmse", "mae", "r2"}) CHECK(found[part][name] == trained[part][name]);
  CHECK(found["permutation_importance"]["rmse_increase"].contains("cpu_util_lag2"));
}

TEST_CASE("ONNX files alone are measured as the run is") {
  check_run("emshap_evaluate", {{"--run", "run", "--out", "of_run2"}, scoring});
  check_run("emshap_evaluate",
            {{"--power-predictor-path", "run/power_predictor.onnx", "--emshap-path", "run/emshap_model.onnx",
              "--data", "hosts.csv", "--split-file", "run/split.csv", "--out", "of_onnx"},
             scoring});
  const Json run = metrics("of_run2"), onnx = metrics("of_onnx");
  for (const char* name : {"rmse", "mae", "r2"})
    CHECK(onnx["test"][name].get<double>() == doctest::Approx(run["test"][name].get<double>()).epsilon(1e-5));
  CHECK(onnx["density"]["log_likelihood"] == run["density"]["log_likelihood"]);
  CHECK(onnx["density"]["crps"] == run["density"]["crps"]);
  CHECK(onnx["density"]["energy"]["gain"] == run["density"]["energy"]["gain"]);
}

TEST_CASE("attributions are those of metrics and add up; features or groups where asked for") {
  check_run("emshap_explain",
            {{"--run", "run", "--rows", "20:24", "--part", "test", "--out", "metric"}, small});
  const Lines rows = read_lines(workspace() / "metric/attributions.csv");
  REQUIRE(rows.size() == 4);
  std::map<std::string, std::string> predicted;
  for (const auto& line : read_lines(workspace() / "run/predictions.csv"))
    predicted[line.at("row")] = line.at("predicted");
  for (const auto& row : rows) {
    CHECK_FALSE(row.contains("phi:cpu_util_lag1"));
    CHECK(row.contains("phi:time"));
    CHECK(row.contains("phi:cpu_util*frequency"));
    double sum = std::stod(row.at("phi0"));
    for (const auto& [name, cell] : row)
      if (name.starts_with("phi:")) sum += std::stod(cell);
    CHECK(sum == doctest::Approx(std::stod(row.at("prediction"))).epsilon(1e-9));
    CHECK(std::stod(row.at("prediction")) ==
          doctest::Approx(std::stod(predicted.at(row.at("row")))).epsilon(1e-5));
  }
  const Json json = Json::parse(read_file(workspace() / "metric/attributions.json"));
  for (const Json& player : json["players"]) {
    if (player["name"] == "context_switch")
      CHECK(player["columns"] == Json({"context_switch", "context_switch_lag1", "context_switch_lag2",
                                       "context_switch_mean3", "context_switch_std3"}));
    if (player["name"] == "time") CHECK(player["columns"][0] == "hour");
  }
  const auto players = [&](const Words& more) {
    check_run("emshap_explain",
              {{"--run", "run", "--rows", "20:21", "--part", "test", "--overwrite", "--out", "other"},
               small,
               more});
    std::vector<std::string> names;
    const Json written = Json::parse(read_file(workspace() / "other/attributions.json"));
    for (const Json& p : written["players"]) names.push_back(p["name"]);
    return names;
  };
  const auto has = [](const std::vector<std::string>& list, const char* name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  const std::vector<std::string> features = players({"--players", "feature"});
  CHECK(has(features, "cpu_util_lag1"));
  CHECK_FALSE(has(features, "time"));
  write_file_atomically(workspace() / "groups.toml",
                        "busy = [\"cpu_util\", \"cpu_util_lag1\", \"load_avg\"]\n");
  const std::vector<std::string> groups = players({"--groups", "groups.toml"});
  CHECK(groups.front() == "busy");
  CHECK(has(groups, "cpu_util_lag2"));
}

TEST_CASE("a value beyond the bound is the bound, and rows look back only where their node has rows") {
  const RunDirectory run = RunDirectory::open(workspace() / "run");
  const Cleaning cleaning = load_cleaning(run, PowerFiles::model);
  CHECK(cleaning.time_column() == "time");
  CHECK(cleaning.node_column() == "node_id");
  const double high = cleaning.high()[0];
  REQUIRE(cleaning.output_names()[0] == "cpu_util");
  REQUIRE(std::isfinite(high));
  const auto explained = [&](const std::string& name, const std::string& value) {
    edit_cell(name + ".csv", 40, "cpu_util", value);
    check_run("emshap_explain",
              {{"--run", "run", "--data", name + ".csv", "--rows", "40:49", "--out", name}, small});
    std::string all;
    for (const auto& row : read_lines(workspace() / name / "attributions.csv"))
      all += row.at("prediction") + " " + row.at("phi:cpu_util") + "\n";
    return all;
  };
  const std::string at_bound = explained("bound", fmt::format("{}", high)), far = explained("far", "1e6");
  CHECK(at_bound == far);
  const std::string low = explained("low", "1");
  // Row 44 is the next one of the node, which sees it as its lag; rows of other nodes do not.
  const auto line = [](const std::string& text, int n) {
    std::stringstream in(text);
    std::string out;
    for (int i = 0; i <= n; ++i) std::getline(in, out);
    return out;
  };
  CHECK(line(low, 0) != line(far, 0));
  CHECK(line(low, 1) == line(far, 1));
  CHECK(line(low, 4) != line(far, 4));
}

TEST_CASE("data without what the cleaning needs are refused in a sentence") {
  std::stringstream in(read_file(workspace() / "hosts.csv"));
  std::string out, line;
  while (std::getline(in, line)) out += line.substr(line.find(',') + 1) + "\n";
  write_file_atomically(workspace() / "timeless.csv", out);
  for (const char* app : {"emshap_evaluate", "emshap_explain"}) {
    const AppRun done = run_in(app, {{"--run", "run", "--data", "timeless.csv", "--out", "refused"}});
    CHECK(done.exit_code == 3);
    CHECK(done.says("timeless.csv: there is no column of times, expected one as 'time' in training"));
  }
  const AppRun metric =
      run_in("emshap_explain", {{"--run", "run", "--players", "metrics", "--out", "refused"}});
  CHECK(metric.exit_code == 2);
}

TEST_CASE("files say what they do not compute, and are exported from the run") {
  const io::OnnxModel written = io::OnnxModel::load(workspace() / "run/power_predictor.onnx");
  const Json notes = Json::parse(written.metadata("cleaning_not_in_graph"));
  bool lag = false;
  for (const Json& text : notes)
    lag = lag || text.get<std::string>().starts_with("cpu_util_lag1 is cpu_util");
  CHECK(lag);
  CHECK(Cleaning::from_json(written.metadata("cleaning")).hash() ==
        load_cleaning(RunDirectory::open(workspace() / "run"), PowerFiles::model).hash());
  check_run("emshap_export",
            {{"--run", "run", "--model", "power", "--out", "p.onnx", "--test-rows", "power_rows"}});
  check_run("emshap_export",
            {{"--run", "run", "--model", "emshap", "--out", "e.onnx", "--test-rows", "rows"}});
  check_run("emshap_export", {{"--run", "run", "--attribution", "--budget", "64", "--samples", "8",
                               "--replicates", "2", "--out", "a.onnx", "--test-rows", "attribution_rows"}});
  for (const char* file : {"e.onnx", "a.onnx", "p.onnx"})
    CHECK(io::OnnxModel::load(workspace() / file).metadata("cleaning") == written.metadata("cleaning"));
  const Json players = Json::parse(io::OnnxModel::load(workspace() / "a.onnx").metadata("players"));
  CHECK(std::find(players.begin(), players.end(), Json("time")) != players.end());
  CHECK(std::find(players.begin(), players.end(), Json("cpu_util_lag1")) == players.end());
  // Rows to test on lie on both sides of the bounds.
  const Cleaning cleaning = Cleaning::from_json(written.metadata("cleaning"));
  for (const char* folder : {"power_rows", "rows", "attribution_rows"}) {
    const Tensor x = read_npy(workspace() / folder / "x.npy");
    std::int64_t beyond = 0;
    for (std::int64_t i = 0; i < x.elements(); ++i) {
      const auto c = static_cast<std::size_t>(i % x.cols());
      const auto v = static_cast<double>(x.ptr<float>()[i]);
      beyond += v < cleaning.low()[c] || v > cleaning.high()[c] ? 1 : 0;
    }
    CHECK(beyond > 0);
    CHECK(beyond < x.elements() / 2);
  }
}
