#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "app_runner.h"
#include "emshap/core/atomic_file.h"
#include "emshap/data/csv.h"
#include "emshap/data/host_simulator.h"

using namespace emshap;
using test::host_columns;
using test::run_app;

TEST_CASE("emshap_datagen writes what the simulator says") {
  const report::TemporaryFolder folder;
  const auto run = run_app(
      "emshap_datagen", {"--rows", "5000", "--nodes", "3", "--seed", "7", "--out", "a.csv"}, folder.path());
  REQUIRE(run.exit_code == 0);
  CHECK(run.says("a.csv: 5000 rows of 3 nodes"));
  const Table table = read_csv(folder.path() / "a.csv", host_columns());
  CHECK(table.rows() == 5000);
  CHECK(table.feature_names().size() == 20);
  HostSimulator simulator({.rows = 5000, .nodes = 3, .seed = 7});
  std::vector<HostSample> samples(5000);
  simulator.next(samples);
  for (const std::int64_t r : {0, 1, 4095, 4096, 4999}) {
    const HostSample& sample = samples[static_cast<std::size_t>(r)];
    CHECK(table.column("power_consumption").f32()[static_cast<std::size_t>(r)] ==
          static_cast<float>(sample.power_consumption));
    CHECK(table.column("thread_count").f32()[static_cast<std::size_t>(r)] ==
          static_cast<float>(sample.metrics[19]));
    CHECK(table.column("node_id").text(r) == "node-" + std::to_string(sample.node));
  }
}

TEST_CASE("the same seed gives the same file, more rows continue it") {
  const report::TemporaryFolder folder;
  const auto make = [&](const char* rows, const char* seed, const char* out) {
    REQUIRE(
        run_app("emshap_datagen", {"--quiet", "--rows", rows, "--seed", seed, "--out", out}, folder.path())
            .exit_code == 0);
    return read_file(folder.path() / out);
  };
  const std::string a = make("500", "1", "a.csv");
  CHECK(make("500", "1", "b.csv") == a);
  CHECK(make("500", "2", "c.csv") != a);
  CHECK(make("900", "1", "d.csv").substr(0, a.size()) == a);
  const std::string none = make("0", "1", "e.csv");
  CHECK(std::count(none.begin(), none.end(), '\n') == 1);
}

TEST_CASE("devices, pipes and folders are not replaced by a file") {
  const report::TemporaryFolder folder;
  const auto target = folder.path() / "pipe";
  REQUIRE(::mkfifo(target.c_str(), 0600) == 0);
  const auto run = run_app("emshap_datagen", {"--rows", "5", "--out", "pipe"}, folder.path());
  CHECK(run.exit_code == 4);
  CHECK(run.says("pipe could not be created"));
  CHECK(std::filesystem::is_fifo(target));
  std::filesystem::create_directory(folder.path() / "folder");
  CHECK(run_app("emshap_datagen", {"--rows", "5", "--out", "folder"}, folder.path()).exit_code == 4);
}

TEST_CASE("missing cells are empty") {
  const report::TemporaryFolder folder;
  REQUIRE(run_app("emshap_datagen", {"--rows", "2000", "--missing", "0.05", "--out", "m.csv"}, folder.path())
              .exit_code == 0);
  const Table table = read_csv(folder.path() / "m.csv", host_columns());
  std::int64_t missing = 0;
  for (const Column* c : table.with_role(ColumnRole::feature)) missing += c->missing();
  CHECK(missing > 1700);
  CHECK(missing < 2300);
  CHECK(table.column("power_consumption").missing() == 0);
}

TEST_CASE("bad options and folders end with one sentence and the right code") {
  const report::TemporaryFolder folder;
  const auto code = [&](const std::vector<std::string>& arguments) {
    return run_app("emshap_datagen", arguments, folder.path()).exit_code;
  };
  CHECK(code({}) == 2);
  CHECK(code({"--out", "x.csv", "--rows", "-1"}) == 2);
  CHECK(code({"--out", "x.csv", "--missing", "1"}) == 2);
  CHECK(code({"--out", "x.csv", "--nodes", "0"}) == 2);
  CHECK(code({"--out", "x.csv", "--speed", "3"}) == 2);
  CHECK(code({"--out", "no/such/folder/x.csv"}) == 4);
  CHECK(code({"--out", "x.csv", "--device", "tpu"}) == 2);
  CHECK(code({"--out", "x.csv", "--device", "cuda"}) == 4);  // has no part for a GPU
  CHECK_FALSE(std::filesystem::exists(folder.path() / "x.csv"));
}
