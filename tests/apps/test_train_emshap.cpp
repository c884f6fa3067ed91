// emshap_train emshap and all as a user sees them: runs, stops and resumes, and one sentence for everything
// that can go wrong.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/random.h"
#include "emshap/models/emshap_model.h"
#include "emshap/train/emshap.h"
#include "emshap/train/power_model.h"
#include "process.h"
#include "report/child_process.h"

using namespace emshap;
using test::Finished;
namespace fs = std::filesystem;
using Words = std::vector<std::string>;

namespace {

/// y = 3 a - 2 b + noise; c follows a; k is constant; c is empty in every fifth row and every 40th row is
/// empty when asked for.
std::string sample_csv(int rows, bool missing = false) {
  Generator random({.seed = 4, .purpose = RandomPurpose::test});
  std::string text = "a,b,c,k,y\n";
  for (int i = 0; i < rows; ++i) {
    const double a = random.normal(), b = random.normal(), c = a * b + .3 * random.normal();
    const double y = 3 * a - 2 * b + .05 * random.uniform();
    if (missing && i % 40 == 7)
      text += fmt::format(",,,5,{:.5f}\n", y);
    else
      text += fmt::format("{:.5f},{:.5f},{},5,{:.5f}\n", a, b,
                          missing && i % 5 == 0 ? "" : fmt::format("{:.5f}", c), y);
  }
  return text;
}

/// Small networks and few steps.
const Words tiny{"--hidden",        "8",           "--embedding",    "4",      "--components", "2",
                 "--energy-hidden", "8",           "--energy-draws", "3",      "--gate-draws", "10",
                 "--transform",     "standardise", "--no-plots",     "--quiet"};

struct Folder {
  report::TemporaryFolder folder;
  Folder() { put("data.csv", sample_csv(300)); }
  fs::path at(const std::string& name) const { return folder.path() / name; }
  void put(const std::string& name, const std::string& text) const { write_file_atomically(at(name), text); }
  Words command(Words words, const Words& more = {}) const {
    words.insert(words.begin(), (fs::path(EMSHAP_BINARY_DIR) / "bin" / "emshap_train").string());
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  Finished run(Words words, const Words& more = {}) const {
    return test::run_process(command(std::move(words), more), folder.path());
  }
  /// A short training on `data`.
  Finished train_on(const std::string& data, const Words& more = {}) const {
    Words words{"emshap", "--data", data, "--out", "run", "--max-steps", "3", "--energy-steps", "2"};
    words.insert(words.end(), tiny.begin(), tiny.end());
    return run(words, more);
  }
  nlohmann::json json(const std::string& name) const { return nlohmann::json::parse(read_file(at(name))); }
};

/// Exit code, and exactly one line on stderr that holds all `parts`.
void check_refused(const Finished& f, int exit_code, const Words& parts) {
  CAPTURE(f.err);
  CHECK(f.exit_code == exit_code);
  CHECK(f.err.starts_with("emshap_train: "));
  CHECK(f.err.find('\n') == f.err.size() - 1);
  CHECK(f.out.empty());
  for (const std::string& part : parts) {
    CAPTURE(part);
    CHECK(f.err.find(part) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("train emshap: the seed's command line") {
  const Folder w;
  const Finished f = w.run({"emshap", "--data", "data.csv", "--out", "run", "--epochs", "20", "--batch-size",
                            "32", "--learning-rate", "0.0005", "--masking", "linear", "--min-mask-rate",
                            "0.2", "--max-mask-rate", "0.8", "--gate-draws", "50"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(f.out.find("held-out log-likelihood") != std::string::npos);
  for (const char* name : {"manifest.json", EmshapFiles::checkpoint, EmshapFiles::space, EmshapFiles::split,
                           EmshapFiles::background, EmshapFiles::history, EmshapFiles::metrics,
                           EmshapFiles::config, EmshapFiles::log, EmshapFiles::onnx}) {
    CAPTURE(name);
    CHECK(fs::exists(w.at("run") / name));
  }
  const RunDirectory opened = RunDirectory::open(w.at("run"));
  for (const auto& [name, file] : opened.files()) CHECK_NOTHROW(opened.verified(name));
  const FittedEmshap fitted = load_emshap(opened);
  CHECK(fitted.space.features() == 4);  // without k
  CHECK(opened.model("emshap").features == Words{"a", "b", "c", "k", "y"});
  const auto metrics = w.json("run/emshap_metrics.json");
  CHECK(metrics.at("energy_used").get<bool>() == fitted.energy_used);
  CHECK(metrics.at("training").at("proposal").at("epochs") <= 20);
  CHECK(read_file(w.at("run/emshap_log.txt")).find("its weights are") != std::string::npos);
}

TEST_CASE("train emshap: a saved configuration gives the same run again, whatever the number of threads") {
  const Folder w;
  const Finished f = w.train_on("data.csv", {"--threads", "1"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  const Finished again =
      w.run({"emshap", "--config", "run/emshap_config.toml", "--out", "again", "--threads", "3"});
  REQUIRE_MESSAGE(again.exit_code == 0, again.err);
  CHECK(read_file(w.at("run/emshap_metrics.json")) == read_file(w.at("again/emshap_metrics.json")));
  for (const char* name : {EmshapFiles::space, EmshapFiles::onnx})
    CHECK(read_file(w.at("run") / name) == read_file(w.at("again") / name));
}

TEST_CASE("train emshap: SIGINT saves and exits with 130, a resume continues bit for bit") {
  const Folder w;
  Words common{"emshap", "--data",  "data.csv", "--energy-steps", "4", "--batch-size",  "64", "--patience",
               "0",      "--floor", "1",        "--warmup-steps", "0", "--validations", "1"};
  common.insert(common.end(), tiny.begin(), tiny.end());
  const Finished stopped =
      test::run_process(w.command(common, {"--max-steps", "100000000", "--out", "stopped"}), w.folder.path(),
                        SIGINT, [&] { return fs::exists(w.at("stopped/emshap_checkpoint.bin")); });
  check_refused(stopped, 130, {"--resume", "after step"});
  const auto at = stopped.err.find("after step ") + 11;
  const std::string steps = std::to_string(std::stoll(stopped.err.substr(at)) + 17);
  const Finished resumed = w.run({"emshap", "--resume", "--out", "stopped", "--max-steps", steps});
  REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
  const Finished straight = w.run(common, {"--max-steps", steps, "--out", "straight"});
  REQUIRE_MESSAGE(straight.exit_code == 0, straight.err);
  CHECK(read_file(w.at("stopped/emshap_metrics.json")) == read_file(w.at("straight/emshap_metrics.json")));
}

TEST_CASE("train emshap: beside a power model it takes features, target and split from it") {
  const Folder w;
  const Finished power = w.run({"power", "--data", "data.csv", "--target", "y", "--out", "run", "--epochs",
                                "1", "--seed", "5", "--quiet", "--no-plots"});
  REQUIRE_MESSAGE(power.exit_code == 0, power.err);
  const std::string split = read_file(w.at("run/split.csv"));
  const Finished f = w.train_on("data.csv");
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(read_file(w.at("run/split.csv")) == split);
  const RunDirectory opened = RunDirectory::open(w.at("run"));
  CHECK(load_emshap(opened).space.features() == 3);
  CHECK(opened.model("emshap").target == "y");
  CHECK(opened.model("emshap").features == opened.model("power").features);
  CHECK_NOTHROW(load_power_model(opened));
  // A power model trained anew beside it keeps the split, whatever its seed.
  const Finished again = w.run({"power", "--data", "data.csv", "--target", "y", "--out", "run", "--epochs",
                                "1", "--seed", "6", "--overwrite", "--quiet", "--no-plots"});
  REQUIRE_MESSAGE(again.exit_code == 0, again.err);
  CHECK(read_file(w.at("run/split.csv")) == split);
  CHECK_NOTHROW(load_emshap(RunDirectory::open(w.at("run"))));
  // The same folder with other data is refused.
  w.put("other.csv", sample_csv(200));
  check_refused(w.train_on("other.csv", {"--overwrite"}), 3, {"split.csv", "other data"});
}

TEST_CASE("train all: both models in one run, each of which can be repeated alone") {
  const Folder w;
  Words words{"all", "--data", "data.csv", "--target",       "y", "--max-steps",    "3", "--energy-steps",
              "2",   "--out",  "run",      "--power-epochs", "2", "--power-hidden", "8"};
  words.insert(words.end(), tiny.begin(), tiny.end());
  const Finished f = w.run(words);
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  const RunDirectory opened = RunDirectory::open(w.at("run"));
  CHECK(load_power_model(opened).network->options().hidden == std::vector<std::int64_t>{8});
  CHECK(load_emshap(opened).space.features() == 3);

  const Finished power = w.run({"power", "--config", "run/config.toml", "--out", "power"});
  REQUIRE_MESSAGE(power.exit_code == 0, power.err);
  CHECK(read_file(w.at("run/predictions.csv")) == read_file(w.at("power/predictions.csv")));
  const Finished emshap = w.run({"emshap", "--config", "run/emshap_config.toml", "--out", "emshap"});
  REQUIRE_MESSAGE(emshap.exit_code == 0, emshap.err);
  CHECK(read_file(w.at("run/emshap_metrics.json")) == read_file(w.at("emshap/emshap_metrics.json")));

  check_refused(w.run(words), 2, {"--overwrite"});
  const Finished over = w.run(words, {"--overwrite", "--seed", "7"});
  REQUIRE_MESSAGE(over.exit_code == 0, over.err);
  CHECK_NOTHROW(load_emshap(RunDirectory::open(w.at("run"))));
}

TEST_CASE("train all: stopped in either model and resumed") {
  const Folder w;
  Words words{"all", "--data",         "data.csv", "--target",       "y",  "--max-steps",
              "20",  "--energy-steps", "2",        "--power-epochs", "20", "--power-hidden",
              "8"};
  words.insert(words.end(), tiny.begin(), tiny.end());
  const Finished straight = w.run(words, {"--out", "straight"});
  REQUIRE_MESSAGE(straight.exit_code == 0, straight.err);
  for (const char* file : {PowerFiles::checkpoint, EmshapFiles::checkpoint}) {
    const std::string name = fmt::format("stopped_{}", file);
    const Finished stopped = test::run_process(w.command(words, {"--out", name}), w.folder.path(), SIGINT,
                                               [&] { return fs::exists(w.at(name) / file); });
    if (stopped.exit_code != 0) {  // else it was faster than the signal
      CHECK(stopped.exit_code == 130);
      CHECK(stopped.err.find("continue with --resume") != std::string::npos);
      const Finished resumed = w.run({"all", "--resume", "--out", name});
      REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
    }
    for (const char* result : {PowerFiles::predictions, EmshapFiles::metrics})
      CHECK(read_file(w.at(name) / result) == read_file(w.at("straight") / result));
  }
}

TEST_CASE("train emshap: rows with missing values train, and what is left out is told") {
  const Folder w;
  w.put("holes.csv", sample_csv(400, true));
  Words words{"emshap", "--data",         "holes.csv", "--out",     "run", "--max-steps",
              "5",      "--energy-steps", "2",         "--exclude", "y"};
  words.insert(words.end(), tiny.begin(), tiny.end() - 1);  // without --quiet
  const Finished f = w.run(words);
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(f.err.find("10 ") != std::string::npos);
  CHECK(f.err.find("without any value") != std::string::npos);
}

TEST_CASE("train emshap: bad data") {
  const Folder w;
  check_refused(w.train_on("nope.csv"), 3, {"nope.csv"});
  check_refused(w.train_on("data.csv", {"--target", "why"}), 3, {"why"});
  w.put("text.csv", "a,b\n1,2\n4,abc\n7,8\n");
  check_refused(w.train_on("text.csv"), 3, {"text.csv", "line 3", "'b'", "'abc'"});
  std::string never = "a,b\n", flat = "a,b\n", empty = "a,b\n";
  for (int i = 0; i < 60; ++i) {
    never += fmt::format("{},\n", i * .37);
    flat += "1,2\n";
    empty += ",\n";
  }
  w.put("never.csv", never);
  check_refused(w.train_on("never.csv"), 3, {"b"});
  w.put("flat.csv", flat);
  check_refused(w.train_on("flat.csv"), 3, {"flat.csv"});
  w.put("void.csv", empty);
  check_refused(w.train_on("void.csv"), 3, {"void.csv", "value"});
  w.put("one.csv", "a,b\n1,2\n");
  check_refused(w.train_on("one.csv"), 3, {"one.csv"});
  w.put("zero.csv", "a,b\n");
  check_refused(w.train_on("zero.csv"), 3, {"zero.csv"});
  w.put("inf.csv", "a,b\n1,2\n1,inf\n");
  check_refused(w.train_on("inf.csv"), 3, {"inf.csv", "line 3"});
  CHECK_FALSE(fs::exists(w.at("run")));
}

TEST_CASE("train emshap: bad options") {
  const Folder w;
  check_refused(w.train_on("data.csv", {"--masking", "random"}), 2, {"--masking", "progressive"});
  check_refused(w.train_on("data.csv", {"--min-mask-rate", "0.9"}), 2, {"--min-mask-rate", "0.9"});
  check_refused(w.train_on("data.csv", {"--max-mask-rate", "1.5"}), 2, {"--max-mask-rate"});
  check_refused(w.train_on("data.csv", {"--proposal", "rnn"}), 2, {"--proposal", "gru"});
  check_refused(w.train_on("data.csv", {"--energy-loss", "mse"}), 2, {"--energy-loss", "nce"});
  check_refused(w.train_on("data.csv", {"--energy-draws", "0"}), 2, {"--energy-draws"});
  check_refused(w.train_on("data.csv", {"--batch-size", "0"}), 2, {"--batch-size"});
  check_refused(w.train_on("data.csv", {"--resume", "--overwrite"}), 2, {"--resume", "--overwrite"});
  check_refused(w.train_on("data.csv", {"--split", "group"}), 2, {"--group"});
  check_refused(w.run({"emshap", "--resume", "--out", "none"}), 2, {"none"});
  check_refused(w.run({"all", "--data", "data.csv"}), 2, {"--target"});
  check_refused(w.run({"all", "--resume", "--out", "none"}), 2, {"none", "resume"});
  check_refused(w.train_on("data.csv", {"--target", "a", "--features", "a,b"}), 2, {"'a'", "target"});
  check_refused(w.run({"emshap"}), 2, {"--data"});
}

TEST_CASE("train emshap: a loss that is not finite ends with exit code 6") {
  const Folder w;
  check_refused(w.train_on("data.csv", {"--learning-rate", "1e6", "--clip", "0", "--warmup-steps", "0",
                                        "--max-steps", "200"}),
                6, {"stage proposal", "epoch", "step"});
}

TEST_CASE("train emshap: a run is not replaced unasked, and only its own checkpoint is resumed") {
  const Folder w;
  REQUIRE(w.train_on("data.csv").exit_code == 0);
  check_refused(w.train_on("data.csv"), 2, {"already holds", "--overwrite"});
  const std::string before = read_file(w.at("run/emshap_checkpoint.bin"));
  check_refused(w.run({"emshap", "--resume", "--out", "run", "--hidden", "9"}), 3, {"emshap_checkpoint.bin"});
  check_refused(w.run({"emshap", "--resume", "--out", "run", "--exclude", "c"}), 3,
                {"emshap_checkpoint.bin"});
  w.put("data.csv", sample_csv(299));
  check_refused(w.run({"emshap", "--resume", "--out", "run"}), 3, {"data.csv"});
  CHECK(read_file(w.at("run/emshap_checkpoint.bin")) == before);
  w.put("data.csv", sample_csv(300));
  w.put("run/emshap_checkpoint.bin", before.substr(0, before.size() / 3));
  check_refused(w.run({"emshap", "--resume", "--out", "run"}), 3, {"emshap_checkpoint.bin"});
  const Finished f = w.train_on("data.csv", {"--overwrite"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
}
