#include <doctest/doctest.h>

#include <filesystem>

#include <fmt/format.h>
#include <unistd.h>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/train/run_directory.h"

using namespace emshap;
namespace fs = std::filesystem;

namespace {

struct TemporaryFolder {
  fs::path path = fs::temp_directory_path() / fmt::format("emshap_run_{}", ::getpid());
  TemporaryFolder() { fs::remove_all(path); }
  ~TemporaryFolder() { fs::remove_all(path); }
};

RunDirectory finished(const fs::path& folder) {
  RunDirectory run = RunDirectory::prepare(folder, "power", RunMode::create);
  write_file_atomically(run.path("scaler.json"), "{}");
  run.add_file("power", "scaler.json");
  RunModel& m = run.edit("power");
  m.status = std::string("finished");
  m.seed = 7;
  m.data_path = "hosts \"x\".csv";
  m.data_rows = 12;
  m.features = {"a", "b"};
  m.notes.emplace("unit", "W");
  run.save();
  return run;
}

}  // namespace

TEST_CASE("run folder: written and read back") {
  TemporaryFolder t;
  finished(t.path / "deep" / "run");
  const RunDirectory run = RunDirectory::open(t.path / "deep" / "run");
  const RunModel& m = run.model("power");
  CHECK(m.status == "finished");
  CHECK(m.seed == 7);
  CHECK(m.data_path == "hosts \"x\".csv");
  CHECK(m.features == std::vector<std::string>{"a", "b"});
  CHECK(m.notes.at("unit") == "W");
  CHECK(m.created.size() == 20);
  CHECK(run.verified("scaler.json") == run.path("scaler.json"));
  CHECK(run.has("power"));
  CHECK_THROWS_AS(run.model("emshap"), IoError);
  CHECK_THROWS_AS(run.verified("other.json"), IoError);
}

TEST_CASE("run folder: changed and missing files are noticed") {
  TemporaryFolder t;
  const RunDirectory run = finished(t.path);
  write_file_atomically(run.path("scaler.json"), "[]");
  CHECK_THROWS_AS(run.verified("scaler.json"), IoError);
  fs::remove(run.path("scaler.json"));
  CHECK_THROWS_AS(run.verified("scaler.json"), IoError);
}

TEST_CASE("run folder: modes") {
  TemporaryFolder t;
  CHECK_THROWS_AS(RunDirectory::prepare(t.path, "power", RunMode::resume), ConfigError);
  CHECK_FALSE(fs::exists(t.path));
  finished(t.path);
  CHECK_THROWS_AS(RunDirectory::prepare(t.path, "power", RunMode::create), ConfigError);
  CHECK_THROWS_AS(RunDirectory::prepare(t.path, "emshap", RunMode::resume), ConfigError);
  // A second model lives beside the first; replacing one leaves the other's files.
  RunDirectory run = RunDirectory::prepare(t.path, "emshap", RunMode::create);
  write_file_atomically(run.path("emshap.onnx"), "x");
  run.add_file("emshap", "emshap.onnx");
  run.save();
  run = RunDirectory::prepare(t.path, "power", RunMode::overwrite);
  CHECK_FALSE(fs::exists(run.path("scaler.json")));
  CHECK(fs::exists(run.path("emshap.onnx")));
  CHECK(run.model("power").status == "training");
  CHECK(run.model("power").features.empty());
  CHECK_NOTHROW(RunDirectory::prepare(t.path, "power", RunMode::resume));
}

TEST_CASE("run folder: what is no run is refused") {
  TemporaryFolder t;
  CHECK_THROWS_AS(RunDirectory::open(t.path), IoError);
  fs::create_directories(t.path);
  write_file_atomically(t.path / "notes.txt", "mine");
  CHECK_THROWS_AS(RunDirectory::prepare(t.path, "power", RunMode::create), ConfigError);
  CHECK_THROWS_AS(RunDirectory::check(t.path / "notes.txt", "power", RunMode::create), ConfigError);
  const auto manifest = [&](const std::string& text) {
    write_file_atomically(t.path / "manifest.json", text);
    CHECK_THROWS_AS(RunDirectory::open(t.path), IoError);
  };
  manifest("");
  manifest("{");
  manifest("[]");
  manifest(R"({"format": "other"})");
  manifest(R"({"format": "emshap-run", "format_version": 2, "models": {}, "files": {}})");
  manifest(R"({"format": "emshap-run", "format_version": 1, "models": {"power": {}}, "files": {}})");
  manifest(
      R"({"format": "emshap-run", "format_version": 1, "models": {}, "files": {"../x": {"model": "power", "size": 1, "hash": ""}}})");
}
