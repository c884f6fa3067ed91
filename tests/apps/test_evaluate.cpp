// emshap_evaluate on a small run that the library makes here.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <sstream>

#include <nlohmann/json.hpp>

#include "app_runner.h"
#include "emshap/core/atomic_file.h"
#include "emshap/data/csv.h"
#include "emshap/data/host_simulator.h"
#include "emshap/data/npy.h"
#include "emshap/io/power_onnx.h"
#include "emshap/train/power.h"

using namespace emshap;
using test::host_columns;
using test::run_app;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

void write_hosts(const fs::path& file, std::int64_t rows, std::uint64_t seed) {
  Table table(host_schema());
  HostSimulator simulator({.rows = rows, .nodes = 4, .seed = seed});
  std::vector<HostSample> samples(static_cast<std::size_t>(rows));
  simulator.next(samples);
  append_hosts(table, samples);
  write_csv(file, table);
}

/// A folder with hosts.csv and a run trained on it for a few epochs; made once for all cases.
const fs::path& workspace() {
  static const report::TemporaryFolder folder;
  static const bool made = [] {
    const fs::path data = folder.path() / "hosts.csv";
    write_hosts(data, 1200, 1);
    write_hosts(folder.path() / "newer.csv", 300, 2);
    CsvSource source(data, host_columns());
    PowerOptions options;
    options.network.hidden = {16};
    options.training.epochs = 6;
    const PowerJob job = prepare_power(source, options);
    RunDirectory run = RunDirectory::prepare(folder.path() / "run", PowerFiles::model, RunMode::create);
    TeamPool pool(1);
    const PowerResult result = train_power(job, pool, &run);
    io::PowerOnnxInfo info;
    info.target = job.target;
    info.target_unit = "W";
    io::export_power_predictor(run.path(PowerFiles::onnx), job.scaler, *result.model.network, info,
                               read_npy(run.path(PowerFiles::background)));
    finish_power(run, {PowerFiles::onnx});
    return true;
  }();
  REQUIRE(made);
  return folder.path();
}

Json json_of(const fs::path& file) {
  return Json::parse(read_file(file));
}

std::vector<double> predictions(const fs::path& file, const std::string& part) {
  std::istringstream lines(read_file(file));
  std::vector<double> out;
  for (std::string line; std::getline(lines, line);)
    if (line.find("," + part + ",") != std::string::npos)
      out.push_back(std::stod(line.substr(line.rfind(',') + 1)));
  return out;
}

}  // namespace

TEST_CASE("a run is measured on its own split") {
  const auto run = run_app("emshap_evaluate", {"--run", "run"}, workspace());
  REQUIRE_MESSAGE(run.exit_code == 0, run.output);
  CHECK(run.says("R2"));
  CHECK(run.says("validation"));
  const fs::path out = workspace() / "run" / "evaluation";
  const Json now = json_of(out / "metrics.json"), trained = json_of(workspace() / "run" / "metrics.json");
  for (const char* part : {"train", "validation", "test"}) CHECK(now[part] == trained[part]);
  CHECK(now["target"] == "power_consumption");
  CHECK(now["permutation_importance"]["rmse_increase"].size() == 20);
  CHECK(predictions(out / "predictions.csv", "test").size() == trained["test"]["rows"].get<std::size_t>());
  if (!report::find_program("gnuplot").empty())
    for (const char* plot :
         {"predicted_test.svg", "residuals_test.svg", "residual_histogram_test.svg", "importance.svg"})
      CHECK(fs::exists(out / "plots" / plot));
  else
    CHECK(run.says("gnuplot was not found"));
}

TEST_CASE("the ONNX file predicts what the checkpoint predicts") {
  REQUIRE(
      run_app("emshap_evaluate", {"--run", "run", "--no-plots", "--out", "by_run"}, workspace()).exit_code ==
      0);
  const auto run =
      run_app("emshap_evaluate",
              {"--power-predictor-path", "run/power_predictor.onnx", "--data", "hosts.csv", "--target",
               "power_consumption", "--split-file", "run/split.csv", "--no-plots", "--out", "by_onnx"},
              workspace());
  REQUIRE_MESSAGE(run.exit_code == 0, run.output);
  for (const char* part : {"train", "test"}) {
    const auto a = predictions(workspace() / "by_onnx" / "predictions.csv", part);
    const auto b = predictions(workspace() / "by_run" / "predictions.csv", part);
    REQUIRE(a.size() == b.size());
    REQUIRE(a.size() > 100);
    double mean = 0, square = 0;
    for (const double v : b) mean += v / static_cast<double>(b.size());
    for (const double v : b) square += (v - mean) * (v - mean) / static_cast<double>(b.size());
    for (std::size_t i = 0; i < a.size(); ++i)
      CHECK(std::abs(a[i] - b[i]) <= 1e-5 * (std::abs(b[i]) + std::sqrt(square)));
  }
  const Json metrics = json_of(workspace() / "by_onnx" / "metrics.json");
  CHECK(metrics["model"]["kind"] == "onnx");
  CHECK(metrics["unit"] == "W");
  CHECK_FALSE(fs::exists(workspace() / "by_onnx" / "plots"));
}

TEST_CASE("other data are evaluated as a whole") {
  const auto run =
      run_app("emshap_evaluate", {"--run", "run", "--data", "newer.csv", "--out", "newer", "--no-plots"},
              workspace());
  REQUIRE_MESSAGE(run.exit_code == 0, run.output);
  CHECK(run.says("all rows are evaluated"));
  CHECK(json_of(workspace() / "newer" / "metrics.json")["all"]["rows"] == 300);
  const auto onnx = run_app("emshap_evaluate",
                            {"--power-predictor-path", "run/power_predictor.onnx", "--data", "newer.csv",
                             "--out", "newer2", "--no-plots", "--importance-rows", "0"},
                            workspace());
  REQUIRE_MESSAGE(onnx.exit_code == 0, onnx.output);
  const Json metrics = json_of(workspace() / "newer2" / "metrics.json");
  CHECK_FALSE(metrics.contains("permutation_importance"));
  CHECK(metrics["all"]["rmse"].get<double>() ==
        doctest::Approx(json_of(workspace() / "newer" / "metrics.json")["all"]["rmse"].get<double>())
            .epsilon(1e-5));
}

TEST_CASE("the quality gate ends with exit code 5 when the model is worse") {
  const auto gate = [&](double factor, const char* tolerance) {
    Json better = json_of(workspace() / "run" / "metrics.json");
    better["test"]["rmse"] = better["test"]["rmse"].get<double>() * factor;
    write_file_atomically(workspace() / "baseline.json", better.dump());
    return run_app("emshap_evaluate",
                   {"--run", "run", "--out", "gate", "--no-plots", "--baseline", "baseline.json",
                    "--tolerance", tolerance},
                   workspace());
  };
  CHECK(gate(1, "0").says("quality gate passed"));
  CHECK(gate(1, "0").exit_code == 0);
  CHECK(gate(.95, "0.1").exit_code == 0);
  const auto worse = gate(.9, "0.05");
  CHECK(worse.exit_code == 5);
  CHECK(worse.says("emshap_evaluate: quality gate: the model is worse than the baseline: test rmse"));
  CHECK(fs::exists(workspace() / "gate" / "metrics.json"));

  // The baseline may lie in the very folder that is written to: it is read first.
  fs::create_directories(workspace() / "again");
  fs::copy_file(workspace() / "baseline.json", workspace() / "again" / "metrics.json");
  CHECK(
      run_app("emshap_evaluate",
              {"--run", "run", "--out", "again", "--no-plots", "--baseline", "again", "--tolerance", "0.05"},
              workspace())
          .exit_code == 5);
}

TEST_CASE("what cannot be evaluated is named, with the right exit code") {
  const auto evaluate = [&](const std::vector<std::string>& arguments) {
    return run_app("emshap_evaluate", arguments, workspace());
  };
  CHECK(evaluate({}).exit_code == 2);
  CHECK(evaluate({"--power-predictor-path", "run/power_predictor.onnx"}).exit_code == 2);
  CHECK(evaluate({"--run", "nowhere"}).exit_code == 3);
  CHECK(evaluate({"--run", "run", "--device", "tpu"}).exit_code == 2);
  CHECK(evaluate({"--run", "run", "--device", "cuda"}).exit_code == 4);
  CHECK(evaluate({"--run", "run", "--data", "none.csv"}).exit_code == 3);
  CHECK(evaluate({"--run", "run", "--target", "watts"}).exit_code == 3);
  CHECK(evaluate({"--run", "run", "--baseline", "none.json", "--no-plots"}).exit_code == 3);
  CHECK(evaluate({"--power-predictor-path", "hosts.csv", "--data", "hosts.csv", "--out", "x"}).exit_code ==
        3);
  CHECK(evaluate({"--run", "run", "--split-file", "hosts.csv", "--out", "x"}).exit_code == 3);
  write_file_atomically(workspace() / "narrow.csv", "cpu_util,power_consumption\n1,2\n");
  const auto narrow = evaluate({"--run", "run", "--data", "narrow.csv", "--out", "x"});
  CHECK(narrow.exit_code == 3);
  CHECK(narrow.says("mem_util"));
  write_file_atomically(workspace() / "proc.txt", "");
  CHECK(evaluate({"--run", "run", "--no-plots", "--out", "proc.txt/x"}).exit_code == 4);
}

TEST_CASE("without gnuplot the evaluation succeeds and says so once") {
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", "/nonexistent", 1);
  const auto run = run_app("emshap_evaluate", {"--run", "run", "--out", "bare"}, workspace());
  ::setenv("PATH", path.c_str(), 1);
  REQUIRE_MESSAGE(run.exit_code == 0, run.output);
  const std::size_t first = run.output.find("gnuplot was not found");
  REQUIRE(first != std::string::npos);
  CHECK(run.output.find("gnuplot was not found", first + 1) == std::string::npos);
  CHECK(fs::exists(workspace() / "bare" / "metrics.json"));
}
