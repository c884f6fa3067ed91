// emshap_export on a small run that the library makes here.
#include <doctest/doctest.h>

#include <numeric>

#include "app_runner.h"
#include "emshap/core/atomic_file.h"
#include "emshap/data/csv.h"
#include "emshap/data/host_simulator.h"
#include "emshap/data/npy.h"
#include "emshap/io/emshap_onnx.h"
#include "emshap/io/power_onnx.h"
#include "emshap/models/emshap_model.h"
#include "emshap/train/emshap.h"
#include "emshap/train/power.h"

using namespace emshap;
using test::run_app;
namespace fs = std::filesystem;

namespace {

/// A finished run of an EmSHAP model, barely trained.
void train_density(const fs::path& folder, const fs::path& data) {
  ColumnSelection columns = test::host_columns();
  columns.features = {"cpu_util", "mem_util", "disk_io"};
  columns.target.clear();
  CsvSource source(data, columns);
  EmshapOptions options;
  options.hidden = 6;
  options.training.max_steps = 3;
  options.energy_training.max_steps = 2;
  options.gate_draws = 10;
  options.background = 40;
  RunDirectory run = RunDirectory::prepare(folder, EmshapFiles::model, RunMode::create);
  TeamPool pool(1);
  train_emshap(prepare_emshap(source, options), pool, &run);
  finish_emshap(run, {});
}

/// A power predictor of the density model's columns as an ONNX file.
void write_predictor(const fs::path& file, const Table& table) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(table.rows()));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  const Preprocessor scaler = Preprocessor::fit(table, rows);
  const PowerPredictor network({.features = scaler.features.outputs(), .hidden = {4}});
  io::export_power_predictor(file, scaler, network,
                             {.target = "power", .target_unit = "W", .feature_units = {}, .more = {}},
                             Tensor::zeros({1, 3}));
}

/// A folder with finished runs; made once for all cases.
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
    train_density(folder.path() / "density", data);
    ColumnSelection few = test::host_columns();
    few.features = {"cpu_util", "mem_util", "disk_io"};
    write_predictor(folder.path() / "linear.onnx", read_csv(data, few));
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

TEST_CASE("an EmSHAP model is exported with rows, masks and our outputs") {
  const auto run = run_app(
      "emshap_export", {"--run", "density", "--out", "density.onnx", "--test-rows", "samples"}, workspace());
  REQUIRE_MESSAGE(run.exit_code == 0, run.output);
  CHECK(run.says("input   mask [batch, 3] float32"));
  CHECK(run.says("output  conditional_mean [batch, 3] float32"));
  CHECK(run.says("energy_used: "));
  const FittedEmshap fitted = io::load_emshap_onnx(workspace() / "density.onnx");
  CHECK(fitted.space.hash() == load_emshap(RunDirectory::open(workspace() / "density")).space.hash());
  Context ctx;
  const Tensor x = read_npy(workspace() / "samples/x.npy"), mask = read_npy(workspace() / "samples/mask.npy");
  CHECK(x.rows() == 1000);
  const Tensor expected = io::emshap_outputs(ctx, fitted, x, mask).energy;
  const Tensor energy = read_npy(workspace() / "samples/energy.npy");
  for (std::int64_t r = 0; r < 1000; ++r) CHECK(energy.ptr<float>()[r] == expected.ptr<float>()[r]);

  const auto samples = run_app(
      "emshap_export", {"--run", "run", "--out", "power2.onnx", "--test-rows", "samples"}, workspace());
  REQUIRE_MESSAGE(samples.exit_code == 0, samples.output);
  const Tensor power_rows = read_npy(workspace() / "samples/x.npy"),
               power = read_npy(workspace() / "samples/power.npy");
  CHECK(power.rows() == power_rows.rows());
  Tensor again({power_rows.rows(), 1});
  io::load_power_predictor(workspace() / "power2.onnx").predict(ctx, power_rows, again);
  for (std::int64_t r = 0; r < power.rows(); ++r)
    CHECK(again.ptr<float>()[r] == doctest::Approx(power.ptr<float>()[r]).epsilon(1e-5));
  const auto other =
      run_app("emshap_export", {"--run", "run", "--model", "emshap", "--out", "x.onnx"}, workspace());
  CHECK(other.exit_code == 3);
  CHECK(other.says("run has no emshap model, it has power"));
}

TEST_CASE("attributions of a predictor are exported as one file, the library's with it") {
  const fs::path folder = workspace() / "density";
  const auto run = run_app(
      "emshap_export",
      {"--attribution", "--run", "density", "--predictor", "linear.onnx", "--budget", "8", "--samples", "16",
       "--replicates", "4", "--out", "attribution.onnx", "--test-rows", "attribution_rows"},
      workspace());
  REQUIRE_MESSAGE(run.exit_code == 0, run.output);
  CHECK(run.says("input   x [batch, 3] float32"));
  CHECK(run.says("output  phi [batch, 3] float32"));
  CHECK(run.says("coalitions: 8"));
  CHECK(run.says("largest deviation"));
  const Tensor x = read_npy(workspace() / "attribution_rows/x.npy");
  const Tensor phi = read_npy(workspace() / "attribution_rows/phi.npy");
  const Tensor prediction = read_npy(workspace() / "attribution_rows/prediction.npy");
  const Tensor phi0 = read_npy(workspace() / "attribution_rows/phi0.npy");
  REQUIRE(phi.rows() == x.rows());
  for (std::int64_t r = 0; r < x.rows(); ++r) {
    const double* p = phi.ptr<double>() + 3 * r;
    CHECK(phi0.ptr<double>()[r] + p[0] + p[1] + p[2] == doctest::Approx(prediction.ptr<double>()[r]));
  }

  const auto refused = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "--attribution");
    return run_app("emshap_export", arguments, workspace());
  };
  CHECK(refused({"--run", "density"}).says("--attribution needs --out"));
  CHECK(refused({"--run", "density", "--out", "x.onnx"}).says("no power predictor"));
  CHECK(refused({"--run", "density", "--predictor", "linear.onnx", "--out", "x.onnx", "--budget", "2"})
            .exit_code == 2);
  CHECK_FALSE(fs::exists(workspace() / "x.onnx"));
}

TEST_CASE("wrong use and damaged files give one sentence and the right exit code") {
  CHECK(run_app("emshap_export", {}, workspace()).exit_code == 2);
  CHECK(run_app("emshap_export", {"--run", "run"}, workspace()).exit_code == 2);
  CHECK(run_app("emshap_export", {"--run", "run", "--out", "x.onnx", "--device", "cuda"}, workspace())
            .exit_code == 4);
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
