// emshap_evaluate on a small run with an EmSHAP model, alone and beside a power predictor.
#include <doctest/doctest.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include "app_runner.h"
#include "emshap/core/atomic_file.h"
#include "emshap/data/csv.h"
#include "emshap/io/emshap_onnx.h"
#include "emshap/io/power_onnx.h"
#include "emshap/train/emshap.h"
#include "emshap/train/power.h"

using namespace emshap;
using test::run_app;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

ColumnSelection columns() {
  ColumnSelection out;
  out.target = "y";
  out.group = "site";
  return out;
}

/// b depends on a, c is tied; y = a + 2 b.
void write_sites(const fs::path& file, std::int64_t rows, std::uint64_t seed) {
  std::string text = "site,a,b,c,y\n";
  for (std::int64_t r = 0; r < rows; ++r) {
    Generator random({seed, RandomPurpose::test, 0, 0}, static_cast<std::uint64_t>(r));
    const double a = random.normal(), b = a * a + .3 * random.normal();
    text += "s" + std::to_string(r / 5) + "," + std::to_string(a) + "," + std::to_string(b) + "," +
            std::to_string(random.below(40)) + "," + std::to_string(a + 2 * b) + "\n";
  }
  write_file_atomically(file, text);
}

EmshapOptions quick() {
  EmshapOptions options;
  options.split.mode = SplitMode::group;
  options.hidden = 16;
  options.training.max_steps = 120;
  options.energy_training.max_steps = 40;
  options.energy.hidden = 16;
  options.validations = 4;
  options.gate_draws = 20;
  return options;
}

void train_emshap_into(const fs::path& data, const fs::path& folder) {
  CsvSource source(data, columns());
  const fs::path split = folder / PowerFiles::split;
  const EmshapJob job = prepare_emshap(source, quick(), fs::exists(split) ? split : fs::path());
  RunDirectory run = RunDirectory::prepare(folder, EmshapFiles::model, RunMode::create);
  TeamPool pool(1);
  const EmshapResult result = train_emshap(job, pool, &run);
  io::export_emshap(run.path(EmshapFiles::onnx), result.fitted, {}, raw_features(job.table, job.validation));
  finish_emshap(run, {EmshapFiles::onnx});
}

/// A folder with sites.csv, a run "both" with two models and a run "alone" with the density model only.
const fs::path& workspace() {
  static const report::TemporaryFolder folder;
  static const bool made = [] {
    const fs::path data = folder.path() / "sites.csv";
    write_sites(data, 900, 1);
    write_sites(folder.path() / "newer.csv", 200, 2);
    CsvSource source(data, columns());
    PowerOptions options;
    options.network.hidden = {16};
    options.training.epochs = 4;
    options.split.mode = SplitMode::group;
    const PowerJob job = prepare_power(source, options);
    RunDirectory run = RunDirectory::prepare(folder.path() / "both", PowerFiles::model, RunMode::create);
    TeamPool pool(1);
    const PowerResult result = train_power(job, pool, &run);
    io::PowerOnnxInfo info;
    info.target = job.target;
    io::export_power_predictor(run.path(PowerFiles::onnx), job.scaler, *result.model.network, info,
                               raw_features(job.table, job.split.validation));
    finish_power(run, {PowerFiles::onnx});
    train_emshap_into(data, folder.path() / "both");
    train_emshap_into(data, folder.path() / "alone");
    return true;
  }();
  REQUIRE(made);
  return folder.path();
}

test::AppRun evaluate(std::vector<std::string> arguments) {
  for (const char* quicker :
       {"--no-plots", "--samples", "50", "--energy-pairs", "40", "--value-samples", "16"})
    arguments.push_back(quicker);
  return run_app("emshap_evaluate", arguments, workspace());
}

Json metrics(const fs::path& folder) {
  return Json::parse(read_file(workspace() / folder / "metrics.json"));
}

}  // namespace

TEST_CASE("a run with two models: both are measured, and MSEv joins them") {
  const auto run = evaluate({"--run", "both"});
  REQUIRE_MESSAGE(run.exit_code == 0, run.output);
  for (const char* text : {"R2", "EmSHAP", "Gaussian copula", "independence", "ours minus", "MSEv", "groups"})
    CHECK_MESSAGE(run.says(text), text);
  const Json j = metrics("both/evaluation");
  CHECK(j["test"]["rmse"].is_number());
  const Json& density = j["density"];
  CHECK(density["part"] == "test");
  CHECK(density["rows"] == j["test"]["rows"]);
  CHECK(density["groups"].get<int>() * 5 == density["rows"].get<int>());
  CHECK(density["model"]["kind"] == "run");
  CHECK(density["methods"].size() == 4);
  CHECK(density["energy"]["pairs"] == 40);
  CHECK(density["msev"].is_number());
  CHECK(density["difference_to"]["Gaussian"]["log_likelihood"]["value"].is_number());
}

TEST_CASE("a run with an EmSHAP model only needs no target") {
  const auto run =
      evaluate({"--run", "alone", "--rows-limit", "60", "--masks-per-row", "1", "--no-baselines"});
  REQUIRE_MESSAGE(run.exit_code == 0, run.output);
  CHECK_FALSE(run.says("R2"));
  const Json j = metrics("alone/evaluation");
  CHECK(j["density"]["rows"] == 60);
  CHECK(j["density"]["pairs"] == 60);
  CHECK_FALSE(j.contains("target"));
  CHECK_FALSE(j["density"].contains("msev"));
  CHECK_FALSE(fs::exists(workspace() / "alone" / "evaluation" / "predictions.csv"));
}

TEST_CASE("the ONNX files are measured as the run is") {
  REQUIRE(evaluate({"--run", "both", "--out", "by_run"}).exit_code == 0);
  const auto run = evaluate({"--power-predictor-path", "both/power_predictor.onnx", "--emshap-path",
                             "both/emshap_model.onnx", "--data", "sites.csv", "--group", "site",
                             "--split-file", "both/split.csv", "--out", "by_onnx"});
  REQUIRE_MESSAGE(run.exit_code == 0, run.output);
  const Json a = metrics("by_run")["density"], b = metrics("by_onnx")["density"];
  CHECK(b["model"]["kind"] == "onnx");
  for (const char* key : {"log_likelihood", "crps", "nrmse"}) CHECK(a[key] == b[key]);
  CHECK(a["methods"] == b["methods"]);
  CHECK(a["energy"] == b["energy"]);
  CHECK(a["msev"].get<double>() == doctest::Approx(b["msev"].get<double>()).epsilon(1e-4));

  // Other data, the EmSHAP model alone: all rows, nothing to fit baselines on.
  const auto newer =
      evaluate({"--emshap-path", "both/emshap_model.onnx", "--data", "newer.csv", "--out", "newer"});
  REQUIRE_MESSAGE(newer.exit_code == 0, newer.output);
  CHECK(metrics("newer")["density"]["rows"] == 200);
  CHECK(newer.says("no training rows"));
}

TEST_CASE("the quality gate covers the density model") {
  REQUIRE(evaluate({"--run", "alone", "--out", "gate"}).exit_code == 0);
  Json better = metrics("gate");
  better["density"]["log_likelihood"] = better["density"]["log_likelihood"].get<double>() + .1;
  write_file_atomically(workspace() / "better.json", better.dump());
  const auto gate = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"--run", "alone", "--out", "gate2", "--baseline", "better.json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return evaluate(arguments);
  };
  const auto worse = gate({});
  CHECK(worse.exit_code == 5);
  CHECK(worse.says("quality gate: the model is worse than the baseline: density log_likelihood"));
  CHECK(gate({"--tolerance", "0.11"}).exit_code == 0);
  CHECK(gate({"--metric", "crps"}).exit_code == 0);
  CHECK(gate({"--metric", "rmse"}).exit_code == 3);
  CHECK(gate({"--metric", "speed"}).exit_code == 2);
  const auto absent =
      gate({"--baseline", "nowhere.json", "--data", "nothing.csv"});  // the baseline comes first
  CHECK(absent.exit_code == 3);
  CHECK(absent.says("nowhere.json"));
}

TEST_CASE("what cannot be evaluated is named") {
  CHECK(evaluate({"--emshap-path", "both/emshap_model.onnx"}).exit_code == 2);
  CHECK(evaluate({"--emshap-path", "both/emshap_model.onnx", "--data", "sites.csv"}).exit_code == 2);
  CHECK(evaluate({"--emshap-path", "sites.csv", "--data", "sites.csv", "--out", "x"}).exit_code == 3);
  CHECK(evaluate({"--emshap-path", "both/power_predictor.onnx", "--data", "sites.csv", "--out", "x"})
            .exit_code == 3);
  write_file_atomically(workspace() / "narrow.csv", "a,b\n1,2\n");
  const auto narrow = evaluate({"--run", "alone", "--data", "narrow.csv", "--out", "x"});
  CHECK(narrow.exit_code == 3);
  CHECK(narrow.says("'c'"));
  write_file_atomically(workspace() / "gap.csv", "a,b,c\n1,2,3\n1,,3\n");
  const auto gap = evaluate({"--run", "alone", "--data", "gap.csv", "--out", "x"});
  CHECK(gap.exit_code == 3);
  CHECK(gap.says("gap.csv: row 1 (the first below the header is 0) has no b"));
  write_file_atomically(workspace() / "gap2.csv", "a,b,c,y\n1,2,3,4\n1,,3,4\n");
  const auto both = evaluate({"--run", "both", "--data", "gap2.csv", "--out", "x"});
  CHECK(both.exit_code == 3);
  CHECK(both.says("gap2.csv: row 1 (the first below the header is 0) has no b"));
  const auto shared = evaluate({"--run", "both", "--target", "a", "--out", "x"});
  CHECK(shared.exit_code == 2);
  CHECK(shared.says("target a is a feature of the EmSHAP model"));
  CHECK(evaluate({"--run", "alone", "--masks-per-row", "0"}).exit_code == 2);
}
