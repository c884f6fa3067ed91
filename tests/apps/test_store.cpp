// A store as --data: the same models as from a CSV file of its rows; inspect, prune and export.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "app_runner.h"
#include "emshap/core/atomic_file.h"
#include "emshap/stream/feature_store.h"
#include "stream/postgres_server.h"

using namespace emshap;
using test::AppRun;
using test::run_app;
namespace fs = std::filesystem;

namespace {

/// A store of 240 samples of 4 hosts, a minute apart.
struct Folder {
  report::TemporaryFolder folder;
  stream::Batch batch;
  fs::path at(const std::string& name) const { return folder.path() / name; }
  Folder() {
    HostSimulatorOptions options;
    options.rows = 240;
    options.nodes = 4;
    HostSimulator simulator(options);
    std::vector<HostSample> hosts(240);
    REQUIRE(simulator.next(hosts) == 240);
    batch.topic = "raw_metrics";
    for (const HostSample& h : hosts) {
      stream::Sample& s = batch.samples.emplace_back();
      s.time = h.time;
      s.offset = static_cast<std::int64_t>(batch.samples.size()) - 1;
      s.node_id = "node-" + std::to_string(h.node);
      s.power_consumption = static_cast<float>(h.power_consumption);
      for (std::size_t m = 0; m < s.metrics.size(); ++m) s.metrics[m] = static_cast<float>(h.metrics[m]);
      if (s.offset % 7 == 0) s.metrics[0] = stream::not_measured;
      s.metrics[5] = stream::not_measured;  // gpu_mem: by nobody
    }
    batch.ranges = {{0, 0, 240}};
    put("metrics.db");
  }
  /// Stores the samples.
  void put(const std::string& location) const {
    const bool url = location.find("//") != std::string::npos;
    REQUIRE(stream::open_store(url ? location : at(location).string())->commit(batch).written());
  }
  AppRun run(const std::string& app, const std::vector<std::string>& words) const {
    const AppRun r = run_app(app, words, folder.path());
    CHECK_MESSAGE(r.exit_code == 0, r.output);
    return r;
  }
  AppRun train(const std::string& data, const std::string& out, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"power", "--data",    data,       "--target", "power_consumption",
                                   "--out", out,         "--epochs", "2",        "--members",
                                   "1",     "--no-plots"};
    words.insert(words.end(), more.begin(), more.end());
    return run("emshap_train", words);
  }
  void check_same(const std::string& a, const std::string& b, const std::vector<std::string>& files) const {
    for (const std::string& file : files)
      CHECK_MESSAGE(read_file(at(a) / file) == read_file(at(b) / file), file);
  }
};

const std::vector<std::string> model_files{"power_predictor.onnx", "split.csv", "scaler.json",
                                           "background.npy", "predictions.csv"};

}  // namespace

TEST_CASE("store: training from it and from its CSV copy gives the same model") {
  const Folder f;
  CHECK(f.run("emshap_ingest", {"export", "--store", "metrics.db", "--out", "copy.csv"}).says("240 rows"));
  const AppRun from_store = f.train("metrics.db", "store");
  CHECK(from_store.says("never measured, no feature in column 'gpu_mem', 240 times"));
  f.train("copy.csv", "csv", {"--exclude", "gpu_mem"});
  f.check_same("store", "csv", model_files);
  // Each is the other's data.
  const AppRun measured =
      f.run("emshap_evaluate", {"--run", "store", "--data", "copy.csv", "--out", "measured", "--no-plots"});
  CHECK(!measured.says("is not the data of"));
  f.run("emshap_explain", {"--run", "store", "--part", "test", "--rows", "0:3", "--method", "independence",
                           "--budget", "64", "--samples", "8", "--no-report", "--out", "explained"});
  CHECK(read_file(f.at("explained/attributions.csv")).find("node-") != std::string::npos);
}

TEST_CASE("store: --where chooses the same rows in the store and in the file, now and later") {
  const Folder f;
  f.run("emshap_ingest", {"export", "--store", "sqlite:metrics.db", "--out", "copy.csv"});
  const std::string where = "node_id != node-3 and time >= 2025-01-01T00:10";
  f.run("emshap_ingest", {"export", "--store", "metrics.db", "--out", "part.csv", "--where", where});
  f.train("metrics.db", "store", {"--where", where});
  f.train("copy.csv", "csv", {"--where", where, "--exclude", "gpu_mem"});
  f.train("part.csv", "part", {"--exclude", "gpu_mem"});
  f.check_same("store", "part", model_files);
  f.check_same("csv", "part", model_files);
  const auto manifest = nlohmann::json::parse(read_file(f.at("store/manifest.json")));
  CHECK(manifest["models"]["power"]["data"]["rows"] == 150);
  // The run's own rows again, without being told, and others when told.
  for (const char* run : {"store", "csv"}) {
    CHECK(!f.run("emshap_evaluate", {"--run", run, "--no-plots"}).says("is not the data of"));
    const AppRun others = f.run(
        "emshap_evaluate",
        {"--run", run, "--no-plots", "--out", std::string(run) + "-others", "--where", "node_id = node-3"});
    CHECK(others.says("is not the data of"));
    CHECK(others.says("all     60"));
  }
  // More rows outside the condition: a resumed run finds its data unchanged; more rows inside: it does not.
  const auto add = [&](const std::string& node, std::int64_t offset) {
    stream::Batch batch;
    batch.topic = "raw_metrics";
    stream::Sample s;
    s.time = 1735689600 + 86400;
    s.offset = offset;
    s.node_id = node;
    s.power_consumption = 100;
    s.metrics.fill(1);
    batch.samples = {s};
    batch.ranges = {{0, offset, offset + 1}};
    REQUIRE(stream::open_store(f.at("metrics.db").string())->commit(batch).written());
  };
  add("node-3", 240);
  f.run("emshap_train", {"power", "--resume", "--out", "store"});
  add("node-1", 241);
  const AppRun refused = run_app("emshap_train", {"power", "--resume", "--out", "store"}, f.folder.path());
  CHECK(refused.exit_code == 3);
  CHECK_MESSAGE(refused.says("the split belongs to other data"), refused.output);
}

TEST_CASE("store: export, inspect, prune") {
  const Folder f;
  const auto store = [](const char* command) {
    return std::vector<std::string>{command, "--store", "metrics.db"};
  };
  std::vector<std::string> wide = store("export");
  wide.insert(wide.end(), {"--extra", "inlet,rack", "--out", "wide.csv"});
  const AppRun copied = f.run("emshap_ingest", wide);
  CHECK(copied.says("240 rows"));
  CHECK(copied.says("no sample has the metric 'rack'"));
  CHECK(read_file(f.at("wide.csv")).find("power_consumption,extra.inlet,extra.rack\n") != std::string::npos);
  f.run("emshap_ingest", {"export", "--store", "metrics.db", "--out", "m.npy"});
  for (const char* name : {"m.npy", "m_time.npy", "m_node.npy", "m_names.json"})
    CHECK(fs::exists(f.at(name)));
  CHECK(f.run("emshap_ingest", store("inspect")).says("samples: 240, 2025-01-01T00:00:00Z"));
  const AppRun json =
      f.run("emshap_ingest", {"inspect", "--store", "metrics.db", "--json", "--quarantine", "3"});
  CHECK(nlohmann::json::parse(json.output)["nodes"]["node-2"] == 60);
  CHECK(f.run("emshap_ingest", {"prune", "--store", "metrics.db", "--older-than", "2025-01-01T00:30"})
            .says("removed 120 samples and 0 quarantined messages from before 2025-01-01T00:30:00Z"));
  CHECK(f.run("emshap_ingest", store("inspect")).says("samples: 120, 2025-01-01T00:30:00Z"));
  CHECK(f.run("emshap_ingest", {"prune", "--store", "metrics.db", "--older-than", "1d"})
            .says("removed 120 samples"));
}

#if defined(EMSHAP_WITH_POSTGRESQL)
TEST_CASE("store: on a server the same model, and the password stays nowhere") {
  const std::unique_ptr<test::PostgresServer> server = test::PostgresServer::start();
  if (!server) return;
  const Folder f;
  const std::string url = server->new_store();
  f.put(url);
  f.train("metrics.db", "file", {"--where", "node_id != node-3"});
  const AppRun trained = f.train(url + "&password=hunter2", "server", {"--where", "node_id != node-3"});
  CHECK(!trained.says("hunter2"));
  f.check_same("file", "server", model_files);
  // Later apps find server and rows by what the run has saved.
  const AppRun measured = f.run("emshap_evaluate", {"--run", "server", "--no-plots"});
  CHECK(!measured.says("is not the data of"));
  f.run("emshap_train", {"power", "--resume", "--out", "server"});
  // A password given again does not make it other data.
  const AppRun again =
      f.run("emshap_evaluate", {"--run", "server", "--no-plots", "--data", url + "&password=hunter2"});
  CHECK(!again.says("is not the data of"));
  const AppRun report = f.run("emshap_ingest", {"inspect", "--store", url + "&password=hunter2"});
  CHECK(report.says("samples: 240"));
  CHECK(!report.says("hunter2"));
  std::int64_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(f.folder.path()))
    if (entry.is_regular_file()) {
      ++files;
      CHECK_MESSAGE(read_file(entry.path()).find("hunter2") == std::string::npos, entry.path());
    }
  CHECK(files > 20);
}
#endif

TEST_CASE("store: one sentence for what is wrong, without passwords") {
  const Folder f;
  const auto refused = [&](const std::string& app, const std::vector<std::string>& words, int code,
                           const std::string& part) {
    const AppRun r = run_app(app, words, f.folder.path());
    CHECK_MESSAGE(r.exit_code == code, r.output);
    CHECK_MESSAGE(r.says(part), r.output);
    CHECK_MESSAGE(!r.says("hunter2"), r.output);
  };
  refused("emshap_ingest", {"inspect", "--store", "none.db"}, 3, "none.db");
  CHECK(!fs::exists(f.at("none.db")));
  refused("emshap_ingest", {"export", "--store", "metrics.db", "--out", "x.parquet"}, 2,
          "ends in .csv or .npy");
  refused("emshap_ingest", {"export", "--store", "metrics.db", "--out", "x.npy", "--extra", "a"}, 2,
          "--extra");
  refused("emshap_ingest", {"--file", "metrics.jsonl", "--store", "fresh.db", "--report", "none/report.json"},
          4, "--report none/report.json: no file can be written in none: No such file");
  CHECK(!fs::exists(f.at("fresh.db")));
  refused("emshap_ingest", {"prune", "--store", "metrics.db", "--older-than", "soon"}, 2, "the time 'soon'");
  const std::vector<std::string> train{"power", "--target", "power_consumption", "--out", "run", "--data"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), train.begin(), train.end());
    return more;
  };
  refused("emshap_train", with({"metrics.db", "--where", "cpu_util > 5"}), 2, "expected time or node_id");
  refused("emshap_train", with({"metrics.db", "--where", "node_id = nobody"}), 3, "there are no data rows");
  refused("emshap_train", with({"sqlite:none.db"}), 3, "none.db");
  write_file_atomically(f.at("plain.csv"), "a,power_consumption\n1,2\n");
  refused("emshap_train", with({"plain.csv", "--where", "time > 5"}), 2, "has no column time");
#if defined(EMSHAP_WITH_POSTGRESQL)
  refused("emshap_train", with({"postgresql://user:hunter2@127.0.0.1:1/db"}), 4, "127.0.0.1");
#endif
  CHECK(!fs::exists(f.at("run")));
}
