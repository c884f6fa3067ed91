// Cleaning in emshap_train as a user sees it: the same bits again, stops and resumes, both models of a run.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/data/npy.h"
#include "emshap/train/emshap.h"
#include "emshap/train/power_model.h"
#include "emshap/train/run_cleaning.h"
#include "process.h"
#include "report/child_process.h"

using namespace emshap;
using test::Finished;
namespace fs = std::filesystem;
using Words = std::vector<std::string>;

namespace {

const Words everything{"--split",
                       "time",
                       "--lags",
                       "1,2",
                       "--rolling",
                       "3",
                       "--outliers",
                       "clip",
                       "--products",
                       "cpu_util*frequency",
                       "--calendar",
                       "--derive-from",
                       "cpu_util,context_switch",
                       "--fill-missing",
                       "forward"};
const Words small_power{"--epochs", "3", "--hidden", "8", "--members", "1", "--no-plots", "--quiet"};
const Words small_emshap{"--max-steps",    "3",      "--energy-steps", "2",  "--hidden",        "8",
                         "--embedding",    "4",      "--components",   "2",  "--energy-hidden", "8",
                         "--energy-draws", "3",      "--gate-draws",   "10", "--transform",     "standardise",
                         "--no-plots",     "--quiet"};

struct Folder {
  report::TemporaryFolder folder;
  Folder() {
    const Finished f =
        start("emshap_datagen",
              {{"--rows", "600", "--nodes", "4", "--missing", "0.05", "--out", "hosts.csv", "--quiet"}});
    REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  }
  fs::path at(const std::string& name) const { return folder.path() / name; }
  static Words command(const std::string& app, const std::vector<Words>& lists) {
    Words words{(fs::path(EMSHAP_BINARY_DIR) / "bin" / app).string()};
    for (const Words& list : lists) words.insert(words.end(), list.begin(), list.end());
    return words;
  }
  Finished start(const std::string& app, const std::vector<Words>& lists) const {
    return test::run_process(command(app, lists), folder.path());
  }
  Finished power(const std::string& out, const std::vector<Words>& more) const {
    std::vector<Words> lists{{"power", "--data", "hosts.csv", "--target", "power_consumption", "--out", out},
                             small_power};
    lists.insert(lists.end(), more.begin(), more.end());
    return start("emshap_train", lists);
  }
  Finished emshap(const std::string& out, const std::vector<Words>& more) const {
    std::vector<Words> lists{{"emshap", "--data", "hosts.csv", "--out", out}, small_emshap};
    lists.insert(lists.end(), more.begin(), more.end());
    return start("emshap_train", lists);
  }
  std::string read(const std::string& name) const { return read_file(at(name)); }
  nlohmann::json json(const std::string& name) const { return nlohmann::json::parse(read(name)); }
};

void check_fine(const Finished& f) {
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
}

void check_refused(const Finished& f, const std::string& part) {
  CAPTURE(f.err);
  CHECK(f.exit_code == 2);
  CHECK(f.err.starts_with("emshap_train: "));
  CHECK(f.err.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("train with cleaning: the same bits again, and everything that is saved is in cleaned features") {
  const Folder w;
  check_fine(w.power("run", {everything, {"--threads", "1"}}));
  check_fine(w.power("again", {everything, {"--threads", "2"}}));
  check_fine(w.start("emshap_train", {{"power", "--config", "run/config.toml", "--out", "repeated"}}));
  for (const char* name : {cleaning_file, PowerFiles::predictions, PowerFiles::scaler, PowerFiles::background,
                           PowerFiles::metrics})
    for (const std::string other : {"again/", "repeated/"})
      CHECK(w.read(std::string("run/") + name) == w.read(other + name));

  const RunDirectory run = RunDirectory::open(w.at("run"));
  const Cleaning cleaning = load_cleaning(run, PowerFiles::model);
  CHECK(run.model("power").features == cleaning.input_names());
  CHECK(cleaning.input_names().size() == 20);
  CHECK(cleaning.output_names().size() == 20 + 3 + 2 * 4 + 1);
  CHECK(load_power_model(run).scaler.features.input_names() == cleaning.output_names());
  CHECK(read_npy(w.at("run/background.npy")).cols() == 32);
  const auto metrics = w.json("run/metrics.json").at("cleaning");
  CHECK(metrics.at("hash") == cleaning.hash());
  CHECK(metrics.at("clipped").size() > 0);
  CHECK(metrics.at("filled").size() == 20);
  const std::string log = w.read("run/log.txt");
  CHECK(log.find("column 'context_switch'") != std::string::npos);
  CHECK(log.find("12 features derived from 20") != std::string::npos);
}

TEST_CASE("train with cleaning: stopped and resumed it gives the same bits") {
  const Folder w;
  Words words =
      Folder::command("emshap_train", {{"all", "--data", "hosts.csv", "--target", "power_consumption",
                                        "--power-epochs", "20", "--power-hidden", "8"},
                                       small_emshap,
                                       everything});
  const auto with = [&](const std::string& out) {
    Words all = words;
    all.insert(all.end(), {"--out", out});
    return all;
  };
  check_fine(test::run_process(with("straight"), w.folder.path()));
  for (const char* file : {PowerFiles::checkpoint, EmshapFiles::checkpoint}) {
    const std::string out = std::string("stopped_") + file;
    const Finished stopped =
        test::run_process(with(out), w.folder.path(), SIGINT, [&] { return fs::exists(w.at(out) / file); });
    if (stopped.exit_code != 0) {  // else it was faster than the signal
      CHECK(stopped.exit_code == 130);
      check_fine(w.start("emshap_train", {{"all", "--resume", "--out", out}}));
    }
    for (const char* result : {PowerFiles::predictions, EmshapFiles::metrics, EmshapFiles::space,
                               EmshapFiles::background, cleaning_file})
      CHECK(w.read(out + "/" + result) == w.read(std::string("straight/") + result));
  }
}

TEST_CASE("train with cleaning: the second model of a run follows the first, and no other is taken") {
  const Folder w;
  check_fine(w.power("run", {everything}));
  const std::string saved = w.read("run/cleaning.json");
  check_refused(w.emshap("run", {{"--lags", "3"}}), "both models of a run use the same cleaning");
  check_refused(w.emshap("run", {{"--outliers", "off"}}), "--lags 1,2 --rolling 3");
  check_fine(w.emshap("run", {}));
  CHECK(w.read("run/cleaning.json") == saved);
  const RunDirectory run = RunDirectory::open(w.at("run"));
  const Cleaning cleaning = load_cleaning(run, EmshapFiles::model);
  CHECK(cleaning.hash() == load_cleaning(run, PowerFiles::model).hash());
  CHECK(load_emshap(run).space.input_names() == cleaning.output_names());
  CHECK(run.model("emshap").features == run.model("power").features);
  CHECK(read_npy(w.at("run/emshap_background.npy")).cols() == 32);
  CHECK(w.read("run/emshap_config.toml").find("lags = [1, 2]") != std::string::npos);
  check_refused(w.start("emshap_train", {{"emshap", "--resume", "--out", "run", "--lags", "3"}}),
                "same cleaning");
  // Trained anew beside it, by a seed of its own.
  check_fine(w.power("run", {{"--overwrite", "--seed", "9"}}));
  CHECK(w.read("run/cleaning.json") == saved);
  CHECK_NOTHROW(load_cleaning(RunDirectory::open(w.at("run")), EmshapFiles::model));

  check_fine(w.emshap("plain", {{"--exclude", "power_consumption"}}));
  check_refused(w.power("plain", {{"--split", "row", "--outliers", "clip"}}), "no cleaning");
  write_file_atomically(w.at("run/cleaning.json"), saved + " ");
  CHECK_THROWS_AS(load_cleaning(RunDirectory::open(w.at("run")), PowerFiles::model), IoError);
}

TEST_CASE("train with cleaning: dropped rows are counted, and what does not go together is said") {
  const Folder w;
  check_fine(w.power("run", {{"--outliers", "drop", "--iqr-factor", "3"}}));
  const auto metrics = w.json("run/metrics.json");
  const auto dropped = metrics.at("cleaning").at("dropped_rows").get<std::int64_t>();
  CHECK(dropped > 0);
  CHECK(metrics.at("train").at("rows").get<std::int64_t>() == 420 - dropped);
  CHECK(metrics.at("test").at("rows").get<std::int64_t>() == 120);

  check_refused(w.power("other", {{"--lags", "1"}}), "split by time or group");
  check_refused(w.power("other", {{"--rolling", "5"}}), "split by time or group");
  check_refused(w.power("other", {{"--rolling", "1"}}), "expected 0, or 2 to 10000");
  check_refused(w.power("other", {{"--rolling", "10001"}}), "expected 0, or 2 to 10000");
  check_refused(w.power("other", {{"--lags", "0"}}), "numbers of 1 or more");
  check_refused(w.power("other", {{"--outliers", "cut"}}), "one of off, clip, drop");
  check_refused(w.power("other", {{"--missing", "drop", "--fill-missing", "forward"}}),
                "both dropped and filled");
  check_refused(w.power("other", {{"--products", "cpu_util*frequenzy"}}), "did you mean 'frequency'");
  check_refused(w.power("other", {{"--calendar", "--exclude", "time"}}), "time column");
  CHECK(!fs::exists(w.at("other")));
}
