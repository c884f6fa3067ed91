// emshap_train power as a user sees it: a run, a stop and a resume, and one sentence for everything that can
// go wrong.
#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/random.h"
#include "emshap/train/power.h"
#include "process.h"
#include "report/child_process.h"

using namespace emshap;
using test::Finished;
namespace fs = std::filesystem;

namespace {

/// y = 3 a - 2 b + noise, and a constant column when asked for.
std::string sample_csv(int rows, bool constant = false) {
  Generator random({.seed = 4, .purpose = RandomPurpose::test});
  std::string text = constant ? "a,b,k,y\n" : "a,b,y\n";
  for (int i = 0; i < rows; ++i) {
    const double a = random.uniform(), b = random.uniform();
    text += fmt::format("{:.6f},{:.6f}{},{:.6f}\n", a, b, constant ? ",5" : "",
                        3 * a - 2 * b + .05 * random.uniform());
  }
  return text;
}

struct Folder {
  report::TemporaryFolder folder;
  Folder() { put("data.csv", sample_csv(400)); }
  fs::path at(const std::string& name) const { return folder.path() / name; }
  void put(const std::string& name, const std::string& text) const { write_file_atomically(at(name), text); }

  std::vector<std::string> command(std::vector<std::string> more) const {
    std::vector<std::string> words{(fs::path(EMSHAP_BINARY_DIR) / "bin" / "emshap_train").string(), "power"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  Finished train(std::vector<std::string> more) const {
    return test::run_process(command(std::move(more)), folder.path());
  }
  /// With --data, --target y and a short training.
  Finished train_on(const std::string& data, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"--data", data,      "--target",   "y",     "--epochs",
                                   "3",      "--quiet", "--no-plots", "--out", "run"};
    words.insert(words.end(), more.begin(), more.end());
    return train(std::move(words));
  }
};

/// Exit code, and exactly one line on stderr that holds all `parts`.
void check_refused(const Finished& f, int exit_code, const std::vector<std::string>& parts) {
  CAPTURE(f.err);
  CHECK(f.exit_code == exit_code);
  CHECK(f.err.starts_with("emshap_train: "));
  CHECK(f.err.size() > 20);
  CHECK(f.err.find('\n') == f.err.size() - 1);
  CHECK(f.out.empty());
  for (const std::string& part : parts) {
    CAPTURE(part);
    CHECK(f.err.find(part) != std::string::npos);
  }
}

std::string metric_line(const std::string& out, const std::string& part) {
  const auto at = out.find("\n" + part);
  return at == std::string::npos ? "" : out.substr(at + 1, out.find('\n', at + 1) - at - 1);
}

}  // namespace

TEST_CASE("train power: a run with data and target only") {
  const Folder w;
  const Finished f = w.train({"--data", "data.csv", "--target", "y", "--epochs", "60"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK_FALSE(metric_line(f.out, "test").empty());
  const fs::path run = w.at("runs/data-y");
  for (const char* name : {"manifest.json", PowerFiles::checkpoint, PowerFiles::scaler, PowerFiles::split,
                           PowerFiles::background, PowerFiles::onnx, PowerFiles::history, PowerFiles::metrics,
                           PowerFiles::predictions, PowerFiles::config, PowerFiles::log}) {
    CAPTURE(name);
    CHECK(fs::exists(run / name));
  }
  const auto metrics = nlohmann::json::parse(read_file(run / PowerFiles::metrics));
  CHECK(metrics.at("test").at("r2").get<double>() > .9);
  CHECK(metrics.at("train").at("rows") == 280);
  const RunDirectory opened = RunDirectory::open(run);
  for (const auto& [name, file] : opened.files()) CHECK_NOTHROW(opened.verified(name));
  CHECK(opened.model("power").features == std::vector<std::string>{"a", "b"});
  CHECK(load_power_model(opened).network->options().features >= 2);

  // The saved configuration gives the same run again, whatever the number of threads.
  const Finished again = w.train({"--config", "runs/data-y/config.toml", "--out", "again", "--threads", "3"});
  REQUIRE_MESSAGE(again.exit_code == 0, again.err);
  CHECK(read_file(run / PowerFiles::predictions) == read_file(w.at("again") / PowerFiles::predictions));
  CHECK(read_file(run / PowerFiles::onnx) == read_file(w.at("again") / PowerFiles::onnx));
}

TEST_CASE("train power: SIGINT saves and exits with 130, a resume continues bit for bit") {
  const Folder w;
  const std::vector<std::string> common{
      "--data",     "data.csv", "--target", "y",   "--quiet",   "--no-plots", "--schedule",   "constant",
      "--patience", "0",        "--ema",    "0.9", "--dropout", "0.1",        "--batch-size", "64"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), common.begin(), common.end());
    return w.command(more);
  };
  const Finished stopped =
      test::run_process(with({"--epochs", "10000000", "--out", "stopped"}), w.folder.path(), SIGINT,
                        [&] { return fs::exists(w.at("stopped/log.txt")); });
  check_refused(stopped, 130, {"--resume", "after step"});
  CHECK(fs::exists(w.at("stopped") / PowerFiles::checkpoint));

  const auto at = stopped.err.find("after step ") + 11;
  const std::string steps = std::to_string(std::stoll(stopped.err.substr(at)) + 37);
  const Finished resumed = w.train({"--resume", "--out", "stopped", "--max-steps", steps});
  REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
  const Finished straight =
      test::run_process(with({"--max-steps", steps, "--out", "straight"}), w.folder.path());
  REQUIRE_MESSAGE(straight.exit_code == 0, straight.err);
  CHECK(read_file(w.at("stopped") / PowerFiles::predictions) ==
        read_file(w.at("straight") / PowerFiles::predictions));
  CHECK(read_file(w.at("stopped") / PowerFiles::onnx) == read_file(w.at("straight") / PowerFiles::onnx));
}

TEST_CASE("train power: bad data") {
  const Folder w;
  check_refused(w.train_on("nope.csv"), 3, {"nope.csv"});
  check_refused(w.train({"--data", "data.csv", "--target", "why", "--out", "run"}), 3, {"why", "data.csv"});
  w.put("text.csv", "a,b,y\n1,2,3\n4,abc,6\n7,8,9\n");
  check_refused(w.train_on("text.csv"), 3, {"text.csv", "line 3", "'b'", "'abc'"});
  w.put(
      "flat.csv", "a,y\n" + [] {
        std::string rows;
        for (int i = 0; i < 40; ++i) rows += fmt::format("7,{}\n", i);
        return rows;
      }());
  check_refused(w.train_on("flat.csv"), 3, {"flat.csv"});
  w.put("one.csv", "a,b,y\n1,2,3\n");
  check_refused(w.train_on("one.csv"), 3, {"one.csv"});
  w.put("zero.csv", "a,b,y\n");
  check_refused(w.train_on("zero.csv"), 3, {"zero.csv"});
  w.put("empty.csv", "");
  check_refused(w.train_on("empty.csv"), 3, {"empty.csv"});
  w.put("nan.csv", sample_csv(50) + "1,2,NaN\n");
  check_refused(w.train_on("nan.csv"), 3, {"nan.csv", "line 52", "'y'"});
  w.put("inf.csv", sample_csv(50) + "1,inf,2\n");
  check_refused(w.train_on("inf.csv"), 3, {"inf.csv", "line 52", "'b'"});
  w.put("same.csv", [] {
    std::string rows = "a,y\n";
    for (int i = 0; i < 40; ++i) rows += fmt::format("{},1\n", i);
    return rows;
  }());
  check_refused(w.train_on("same.csv"), 3, {"y"});
  w.put("ragged.csv", sample_csv(50) + "1,2\n");
  check_refused(w.train_on("ragged.csv"), 3, {"ragged.csv", "line 52"});
  CHECK_FALSE(fs::exists(w.at("run")));  // nothing was begun

  w.put("constant.csv", sample_csv(100, true));
  const Finished warned = w.train_on("constant.csv");
  REQUIRE_MESSAGE(warned.exit_code == 0, warned.err);
  CHECK(warned.err.find("k") != std::string::npos);  // the dropped column is listed
  w.put("nan.csv", sample_csv(50) + "1,2,NaN\n");
  CHECK(w.train_on("nan.csv", {"--missing-target", "drop", "--overwrite"}).exit_code == 0);
}

TEST_CASE("train power: bad settings") {
  const Folder w;
  w.put("key.toml", "[training]\nepoch = 3\n");
  check_refused(w.train_on("data.csv", {"--config", "key.toml"}), 2,
                {"key.toml", "epoch", "did you mean 'epochs'"});
  w.put("syntax.toml", "[training\n");
  check_refused(w.train_on("data.csv", {"--config", "syntax.toml"}), 2, {"syntax.toml", "line"});
  check_refused(w.train_on("data.csv", {"--config", "none.toml"}), 3, {"none.toml"});
  check_refused(w.train_on("data.csv", {"--hiden", "3"}), 2, {"--hiden", "--hidden"});
  check_refused(w.train_on("data.csv", {"--batch-size", "0"}), 2, {"batch-size"});
  check_refused(w.train_on("data.csv", {"--dropout", "1"}), 2, {"dropout"});
  check_refused(w.train_on("data.csv", {"--train-fraction", "0.9"}), 2, {});
  check_refused(w.train_on("data.csv", {"--split", "group"}), 2, {"--group"});
  check_refused(w.train_on("data.csv", {"--resume", "--overwrite"}), 2, {});
  check_refused(w.train_on("data.csv", {"--members", "4294967297"}), 2, {"--members", "1 to 1000"});
  check_refused(w.train_on("data.csv", {"--max-steps", "9223372036854775807"}), 2, {"--max-steps"});
  check_refused(w.train_on("data.csv", {"--train-fraction", "0", "--test-fraction", "0.9"}), 2,
                {"--train-fraction"});
  check_refused(w.train_on("data.csv", {"--split", "time"}), 2, {"--time"});
  check_refused(w.train({"--target", "y"}), 2, {"--data"});
  check_refused(w.train_on("data.csv", {"--device", "cuda:99"}), 4, {"cuda"});
  check_refused(w.train_on("data.csv", {"--device", "tpu"}), 2, {"tpu"});
  check_refused(w.train_on("data.csv", {"--learning-rate", "1e30", "--no-batch-norm"}), 6, {"epoch", "step"});
  for (const char* word : {"--help", "--version"}) {
    const Finished f = test::run_process(
        {(fs::path(EMSHAP_BINARY_DIR) / "bin" / "emshap_train").string(), word}, w.folder.path());
    CHECK(f.exit_code == 0);
    CHECK(f.out.find("emshap_train") != std::string::npos);
  }
  CHECK(w.train({"--help"}).out.find("Examples:") != std::string::npos);
}

TEST_CASE("train power: runs that are there, damaged or do not fit") {
  const Folder w;
  check_refused(w.train_on("data.csv", {"--resume"}), 2, {"resume"});
  REQUIRE(w.train_on("data.csv").exit_code == 0);
  check_refused(w.train_on("data.csv"), 2, {"run", "--overwrite"});
  CHECK(w.train_on("data.csv", {"--overwrite"}).exit_code == 0);
  CHECK(w.train_on("data.csv", {"--resume"}).exit_code == 0);  // nothing left to do
  const std::string manifest = read_file(w.at("run/manifest.json"));
  check_refused(w.train_on("data.csv", {"--resume", "--hidden", "32"}), 3, {PowerFiles::checkpoint});
  w.put("other.csv", sample_csv(401));
  check_refused(w.train_on("other.csv", {"--resume"}), 3, {"other.csv"});
  // The finished run is as it was.
  CHECK(read_file(w.at("run/manifest.json")) == manifest);
  CHECK_NOTHROW(RunDirectory::open(w.at("run")).verified(PowerFiles::config));

  const std::string checkpoint = read_file(w.at("run") / PowerFiles::checkpoint);
  std::string damaged = checkpoint;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  w.put(std::string("run/") + PowerFiles::checkpoint, damaged);
  check_refused(w.train_on("data.csv", {"--resume"}), 3, {PowerFiles::checkpoint, "damaged"});
  w.put(std::string("run/") + PowerFiles::checkpoint, checkpoint.substr(0, checkpoint.size() / 2));
  check_refused(w.train_on("data.csv", {"--resume"}), 3, {PowerFiles::checkpoint, "cut off"});
  fs::remove(w.at("run") / PowerFiles::checkpoint);
  check_refused(w.train_on("data.csv", {"--resume"}), 3, {PowerFiles::checkpoint});
  w.put("run/manifest.json", "{");
  check_refused(w.train_on("data.csv", {"--resume"}), 3, {"manifest.json"});
  CHECK(w.train_on("data.csv", {"--overwrite"}).exit_code == 0);
}

TEST_CASE("train power: no room to write") {
  const Folder w;
  w.put("blocked", "a file");
  check_refused(w.train_on("data.csv", {"--out", "blocked"}), 2, {"blocked"});
  check_refused(w.train_on("data.csv", {"--out", "blocked/run"}), 4, {"blocked/run"});

  // A limit on file sizes stands for a full disk: writes fail with an error code.
  std::string line = "trap '' XFSZ; ulimit -f 8; exec";
  for (const std::string& word :
       w.command({"--data", "data.csv", "--target", "y", "--epochs", "3", "--quiet", "--out", "limited"}))
    line += " '" + word + "'";
  check_refused(test::run_process({"/bin/sh", "-c", line}, w.folder.path()), 4, {"limited/"});

  // A real one, where this user may mount.
  std::string full = "mkdir full && mount -t tmpfs -o size=40k none full || exit 99; exec";
  for (const std::string& word :
       w.command({"--data", "data.csv", "--target", "y", "--epochs", "3", "--quiet", "--out", "full/run"}))
    full += " '" + word + "'";
  const Finished f = test::run_process(
      {"/usr/bin/unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c", full}, w.folder.path());
  if (f.exit_code == 4)
    check_refused(f, 4, {"No space left on device"});
  else
    MESSAGE("the test with a full tmpfs was skipped: this user cannot mount one");
}
