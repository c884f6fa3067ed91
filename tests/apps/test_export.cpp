// emshap_export on a small run that the library makes here.
#include <doctest/doctest.h>

#include "app_runner.h"
#include "emshap/core/atomic_file.h"
#include "emshap/data/csv.h"
#include "emshap/data/host_simulator.h"
#include "emshap/io/power_onnx.h"
#include "emshap/train/power.h"

using namespace emshap;
using test::run_app;
namespace fs = std::filesystem;

namespace {

/// A folder with a finished run; made once for all cases.
const fs::path& workspace() {
  static const report::TemporaryFolder folder;
  static const bool made = [] {
    const fs::path data = folder.path() / "hosts.csv";
    Table table(host_schema());
    HostSimulator simulator({.rows = 600, .nodes = 4, .seed = 3});
    std::vector<HostSample> samples(600);
    simulator.next(samples);
    append_hosts(table, samples);
    write_csv(data, table);

    CsvSource source(data, test::host_columns());
    PowerOptions options;
    options.network.hidden = {16};
    options.training.epochs = 4;
    const PowerJob job = prepare_power(source, options);
    RunDirectory run = RunDirectory::prepare(folder.path() / "run", PowerFiles::model, RunMode::create);
    run.edit(PowerFiles::model).notes["unit"] = "W";
    TeamPool pool(1);
    train_power(job, pool, &run);
    finish_power(run, {});
    return true;
  }();
  REQUIRE(made);
  return folder.path();
}

}  // namespace

TEST_CASE("a run is exported, verified and shown; again gives the same bytes") {
  const auto run = run_app("emshap_export", {"--run", "run", "--out", "power.onnx"}, workspace());
  REQUIRE_MESSAGE(run.exit_code == 0, run.output);
  CHECK(run.says("input   x [batch, 20] float32"));
  CHECK(run.says("output  power [batch, 1] float32"));
  CHECK(run.says("target_unit: W"));
  CHECK(run.says("verified on"));
  const std::string bytes = read_file(workspace() / "power.onnx");
  REQUIRE(run_app("emshap_export", {"--run", "run", "--out", "power.onnx"}, workspace()).exit_code == 0);
  CHECK(read_file(workspace() / "power.onnx") == bytes);

  const auto shown = run_app("emshap_export", {"--inspect", "power.onnx"}, workspace());
  CHECK(shown.exit_code == 0);
  CHECK(shown.says("Predicts power_consumption in W from 20 features in raw units"));
  CHECK(shown.says("\"cpu_util\""));
  CHECK(io::load_power_predictor(workspace() / "power.onnx").info.target == "power_consumption");
}

TEST_CASE("wrong use and damaged files give one sentence and the right exit code") {
  CHECK(run_app("emshap_export", {}, workspace()).exit_code == 2);
  CHECK(run_app("emshap_export", {"--run", "run"}, workspace()).exit_code == 2);
  CHECK(run_app("emshap_export", {"--run", "run", "--out", "x.onnx", "--inspect", "y.onnx"}, workspace())
            .exit_code == 2);
  const auto missing = run_app("emshap_export", {"--run", "nowhere", "--out", "x.onnx"}, workspace());
  CHECK(missing.exit_code == 3);
  CHECK(missing.says("nowhere"));
  const auto folder = run_app("emshap_export", {"--run", "run", "--out", "no/such/folder.onnx"}, workspace());
  CHECK(folder.exit_code == 4);
  CHECK(folder.says("no/such/folder.onnx"));

  write_file_atomically(workspace() / "cut.onnx", "\x08\x08");
  const auto cut = run_app("emshap_export", {"--inspect", "cut.onnx"}, workspace());
  CHECK(cut.exit_code == 3);
  CHECK(cut.says("cut.onnx: not an ONNX model"));

  fs::copy(workspace() / "run", workspace() / "damaged", fs::copy_options::recursive);
  const fs::path checkpoint = workspace() / "damaged" / PowerFiles::checkpoint;
  fs::resize_file(checkpoint, fs::file_size(checkpoint) / 2);
  const auto damaged = run_app("emshap_export", {"--run", "damaged", "--out", "x.onnx"}, workspace());
  CHECK(damaged.exit_code == 3);
  CHECK(damaged.says(PowerFiles::checkpoint));
  CHECK_FALSE(fs::exists(workspace() / "x.onnx"));
}
