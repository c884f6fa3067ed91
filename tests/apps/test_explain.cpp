// emshap_explain as a user sees it: results, interruptions, and one sentence for everything that can go
// wrong.
#include <doctest/doctest.h>
#include <signal.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/random.h"
#include "emshap/data/csv.h"
#include "emshap/io/emshap_onnx.h"
#include "emshap/io/graph_builder.h"
#include "emshap/io/power_onnx.h"
#include "emshap/train/emshap.h"
#include "emshap/train/power.h"
#include "process.h"
#include "report/child_process.h"

using namespace emshap;
using test::Finished;
using Json = nlohmann::json;
namespace fs = std::filesystem;
using Words = std::vector<std::string>;

namespace {

/// y = 3 a - 2 b + d; c follows a and lacks values where `missing`; k is constant.
std::string sample_csv(int rows, std::uint64_t seed, bool missing) {
  Generator random({.seed = seed, .purpose = RandomPurpose::test});
  std::string text = "time,node_id,a,b,c,k,d,watts\n";
  for (int i = 0; i < rows; ++i) {
    const double a = random.normal(), b = .8 * a + .6 * random.normal(), c = a * b + .3 * random.normal(),
                 d = random.normal();
    text += fmt::format("{},n{},{:.5f},{:.5f},{},5,{:.5f},{:.5f}\n", 1700000000 + 60 * i, i % 3, a, b,
                        missing && i % 5 == 0 ? "" : fmt::format("{:.5f}", c), d, 3 * a - 2 * b + d);
  }
  return text;
}

ColumnSelection columns() {
  ColumnSelection out;
  out.target = "watts";
  out.time = "time";
  out.node_id = "node_id";
  return out;
}

/// A folder with data and a run of both models, their ONNX files and a model of one feature.
const fs::path& workspace() {
  static const report::TemporaryFolder folder;
  static const bool made = [] {
    const fs::path data = folder.path() / "hosts.csv";
    write_file_atomically(data, sample_csv(400, 1, true));
    write_file_atomically(folder.path() / "newer.csv", sample_csv(60, 2, true));
    TeamPool pool(1);
    CsvSource source(data, columns());
    PowerOptions options;
    options.network.hidden = {8};
    options.training.epochs = 3;
    const PowerJob job = prepare_power(source, options);
    RunDirectory run = RunDirectory::prepare(folder.path() / "run", PowerFiles::model, RunMode::create);
    run.edit(PowerFiles::model).notes["unit"] = "W";
    const PowerResult result = train_power(job, pool, &run);
    io::PowerOnnxInfo info;
    info.target = job.target;
    info.target_unit = "W";
    io::export_power_predictor(run.path(PowerFiles::onnx), job.scaler, *result.model.network, info,
                               raw_features(job.table, job.split.validation));
    finish_power(run, {PowerFiles::onnx});
    EmshapOptions density;
    density.hidden = 8;
    density.embedding = 4;
    density.training.max_steps = 30;
    density.energy_training.max_steps = 10;
    density.energy.hidden = 8;
    density.validations = 2;
    density.gate_draws = 10;
    CsvSource again(data, columns());
    const EmshapJob second = prepare_emshap(again, density, run.path(PowerFiles::split));
    RunDirectory both = RunDirectory::prepare(folder.path() / "run", EmshapFiles::model, RunMode::create);
    const EmshapResult fitted = train_emshap(second, pool, &both);
    io::export_emshap(both.path(EmshapFiles::onnx), fitted.fitted, {},
                      raw_features(second.table, second.validation));
    finish_emshap(both, {EmshapFiles::onnx});
    return true;
  }();
  REQUIRE(made);
  return folder.path();
}

Words command(Words words) {
  words.insert(words.begin(), (fs::path(EMSHAP_BINARY_DIR) / "bin" / "emshap_explain").string());
  return words;
}

Finished explain(Words words, const Words& more = {"--no-report", "--samples", "16"}) {
  words.insert(words.end(), more.begin(), more.end());
  return test::run_process(command(std::move(words)), workspace());
}

/// Exit code, and exactly one line on stderr that holds all `parts`.
void check_refused(const Finished& f, int exit_code, const Words& parts) {
  CAPTURE(f.err);
  CHECK(f.exit_code == exit_code);
  CHECK(f.err.starts_with("emshap_explain: "));
  CHECK(f.err.find('\n') == f.err.size() - 1);
  for (const std::string& part : parts) {
    CAPTURE(part);
    CHECK(f.err.find(part) != std::string::npos);
  }
}

Json json(const std::string& folder) {
  return Json::parse(read_file(workspace() / folder / "attributions.json"));
}

/// A model of another program: y = x w + bias.
void write_linear(const std::string& name, const std::vector<float>& w, float bias) {
  const auto D = static_cast<std::int64_t>(w.size());
  io::GraphBuilder graph("linear");
  const GraphValue x = graph.input("x", GraphType::f32, {"batch", D});
  const GraphValue product = graph.op("MatMul", {x, graph.constant("w", {D, 1}, std::span<const float>(w))});
  graph.output(graph.op("Add", {product, graph.scalar(bias)}), "y", GraphType::f32, {"batch", 1});
  write_file_atomically(workspace() / name, graph.bytes());
}

using Line = std::map<std::string, std::string>;
std::vector<Line> csv(const std::string& folder) {
  std::istringstream in(read_file(workspace() / folder / "attributions.csv"));
  const auto split = [](const std::string& text) {
    Words out{""};
    for (const char c : text) c == ',' ? out.emplace_back() : out.back() += c;
    return out;
  };
  std::string text;
  std::getline(in, text);
  const Words names = split(text);
  std::vector<Line> out;
  while (std::getline(in, text)) {
    const Words cells = split(text);
    REQUIRE(cells.size() == names.size());
    Line& line = out.emplace_back();
    for (std::size_t i = 0; i < names.size(); ++i) line[names[i]] = cells[i];
  }
  return out;
}

void check_same(const std::string& a, const std::string& b) {
  for (const char* name : {"attributions.csv", "attributions.json", "coalitions.json"})
    CHECK(read_file(workspace() / a / name) == read_file(workspace() / b / name));
}

}  // namespace

TEST_CASE("explain: a run, rows of its test part, in watts") {
  const Finished f = explain({"--run", "run", "--rows", "0:12", "--out", "plain", "--part", "test"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(f.out.find("mean |phi| (W)") != std::string::npos);
  const std::vector<Line> lines = csv("plain");
  REQUIRE(lines.size() == 12);
  for (const Line& line : lines) {
    CHECK(line.at("node_id").starts_with("n"));
    CHECK_FALSE(line.at("actual").empty());
    double sum = std::stod(line.at("phi0"));
    for (const char* player : {"phi:a", "phi:b", "phi:c", "phi:d"}) sum += std::stod(line.at(player));
    CHECK(std::abs(sum - std::stod(line.at("prediction"))) < 1e-10);
    CHECK(std::stod(line.at("se:a")) > 0);
    CHECK_FALSE(line.at("log_density").empty());
  }
  const Json j = json("plain");
  CHECK(j["unit"] == "W");
  CHECK(j["target"] == "watts");
  CHECK(j["players"].size() == 4);  // without k
  CHECK(j["coalitions"]["count"] == 16);
  CHECK(j["coalitions"]["all"] == true);
  CHECK(j["rows"].size() == 12);
  CHECK(j["data"]["part"] == "test");
  CHECK(j["global"]["sage"].size() == 4);
  CHECK(j["seed"] == 42);
  CHECK_FALSE(fs::exists(workspace() / "plain/attributions.partial"));
}

TEST_CASE("explain: the same for any number of threads, from ONNX files, and with a report") {
  const Words rows{"--data", "newer.csv", "--rows", "0:4,9,7"};
  Words one{"--run", "run", "--out", "one", "--threads", "1"},
      three{"--run", "run", "--out", "three", "--threads", "3"};
  Words onnx{"--model",      "run/power_predictor.onnx",  "--emshap", "run/emshap_model.onnx",
             "--background", "run/emshap_background.npy", "--out",    "onnx"};
  for (Words* words : {&one, &three, &onnx}) words->insert(words->end(), rows.begin(), rows.end());
  for (const Words& words : {one, three}) {
    const Finished f = explain(words);
    REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  }
  check_same("one", "three");
  const Finished f = explain(onnx, {"--samples", "16"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  const std::string page = read_file(workspace() / "onnx/report.html");
  for (const char* part : {"Coverage of the density", "<svg"})
    CHECK_MESSAGE(page.find(part) != std::string::npos, std::string(part));
  const std::vector<Line> a = csv("one"), b = csv("onnx");
  REQUIRE(a.size() == 6);
  CHECK(a[4].at("row") == "9");
  for (std::size_t r = 0; r < 6; ++r)
    for (const char* name : {"phi:a", "phi:b", "phi:c", "phi:d", "prediction"})
      CHECK(std::stod(a[r].at(name)) == doctest::Approx(std::stod(b[r].at(name))).epsilon(1e-3));
  // Row 0 lacks c.
  CHECK(a[0].at("flags").find("missing") != std::string::npos);
  CHECK(a[0].at("phi:c") == "0");
  CHECK(a[1].at("flags").find("missing") == std::string::npos);
}

TEST_CASE("explain: methods, strategies, groups and a comparison") {
  write_file_atomically(workspace() / "groups.toml", "both = [\"a\", \"b\"]\n");
  for (const char* method : {"gaussian", "copula", "independence", "empirical"}) {
    const Finished f =
        explain({"--run", "run", "--rows", "1:4", "--method", method, "--out", method, "--groups",
                 "groups.toml", "--compare", "emshap,independence", "--compare-rows", "3"});
    REQUIRE_MESSAGE(f.exit_code == 0, f.err);
    CHECK(f.out.find("MSEv") != std::string::npos);
    CHECK(json(method)["players"].size() == 3);
    CHECK(fs::exists(workspace() / method / "comparison.json"));
  }
  for (const char* strategy : {"exact", "kernel", "leverage", "permutation"}) {
    const Finished f = explain({"--run", "run", "--rows", "1:3", "--strategy", strategy, "--out", strategy});
    REQUIRE_MESSAGE(f.exit_code == 0, f.err);
    CHECK(json(strategy)["coalitions"]["count"] == 16);
  }
  for (const Words& more : {Words{"--noise", "iid"}, Words{"--replicates", "1", "--energy", "off"},
                            Words{"--orders", "2", "--energy", "off"}}) {
    Words words{"--run", "run", "--rows", "1:3", "--out", "more", "--overwrite"};
    words.insert(words.end(), more.begin(), more.end());
    const Finished f = explain(words);
    REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  }
}

TEST_CASE("explain: interrupted and killed runs are continued to the same files") {
  const Words all{"--run", "run", "--data", "newer.csv", "--budget", "16"};
  const Words slow{"--no-report", "--samples", "2048", "--threads", "1"};
  const auto with_out = [&](const std::string& out) {
    Words words = all;
    words.insert(words.end(), {"--out", out});
    words.insert(words.end(), slow.begin(), slow.end());
    return words;
  };
  REQUIRE(explain(with_out("straight"), {}).exit_code == 0);
  const auto started = [&] { return fs::exists(workspace() / "stopped/attributions.progress"); };
  const Finished stopped = test::run_process(command(with_out("stopped")), workspace(), SIGINT, started);
  CHECK(stopped.exit_code == 130);
  CHECK(stopped.err.find("--resume") != std::string::npos);
  // Not by accident, and not with other settings.
  check_refused(explain(with_out("stopped"), {"--quiet"}), 2, {"unfinished", "--resume"});
  check_refused(explain(with_out("stopped"), {"--quiet", "--resume", "--seed", "7"}), 2, {"other settings"});
  Words resume = with_out("stopped");
  resume.emplace_back("--resume");
  (void)test::run_process(command(resume), workspace(), SIGKILL, started);
  // The settings are those of the folder.
  const Finished resumed = explain({"--resume", "--out", "stopped"}, {});
  REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
  check_same("straight", "stopped");
  const Finished complete = explain({"--resume", "--out", "stopped"}, {});
  CHECK(complete.exit_code == 0);
  CHECK(complete.out.find("complete") != std::string::npos);
  check_refused(explain(with_out("stopped"), {"--quiet"}), 2, {"holds results", "--overwrite"});
}

TEST_CASE("explain: models of other programs, wide, narrow, constant and of one column") {
  write_linear("linear.onnx", {1, -2, .5, 3, 4}, 10);
  const Words density{"--emshap",     "run/emshap_model.onnx",
                      "--background", "run/emshap_background.npy",
                      "--data",       "newer.csv",
                      "--rows",       "1:5"};
  const auto with_density = [&](const std::string& model, const std::string& out) {
    Words words{"--model", model, "--out", out};
    words.insert(words.end(), density.begin(), density.end());
    return explain(words);
  };
  Finished f = with_density("linear.onnx", "linear");
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  for (const Line& line : csv("linear")) {
    double sum = std::stod(line.at("phi0"));
    for (const char* player : {"phi:a", "phi:b", "phi:c", "phi:d"}) sum += std::stod(line.at(player));
    CHECK(std::abs(sum - std::stod(line.at("prediction"))) < 1e-10);
  }
  CHECK(json("linear")["target"] == "y");

  write_linear("narrow.onnx", {1, -2, .5, 3}, 10);
  check_refused(with_density("narrow.onnx", "narrow"), 2, {"narrow.onnx", "4", "5"});
  write_file_atomically(workspace() / "broken.onnx", "not a model");
  check_refused(with_density("broken.onnx", "broken"), 3, {"broken.onnx"});

  write_linear("constant.onnx", {0, 0, 0, 0, 0}, 7);
  f = with_density("constant.onnx", "constant");
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(f.err.find("nothing to attribute") != std::string::npos);
  for (const Line& line : csv("constant")) {
    CHECK(std::abs(std::stod(line.at("phi:a"))) < 1e-6);
    CHECK(line.at("prediction") == "7");
    CHECK(line.at("flags").find("not_converged") == std::string::npos);
  }

  write_linear("one.onnx", {2}, 1);
  const Words one{"--model", "one.onnx",  "--method", "gaussian", "--background", "hosts.csv",
                  "--data",  "newer.csv", "--rows",   "0:3",      "--out",        "one_column"};
  check_refused(explain(one), 2, {"--features"});
  Words named = one;
  named.insert(named.end(), {"--features", "a"});
  f = explain(named);
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  for (const Line& line : csv("one_column"))
    CHECK(std::stod(line.at("phi:a")) ==
          doctest::Approx(std::stod(line.at("prediction")) - std::stod(line.at("phi0"))).epsilon(1e-12));
}

TEST_CASE("explain: all of many coalitions are announced") {
  std::string header, text;
  std::vector<float> weights;
  for (int c = 0; c < 11; ++c) {
    header += (c > 0 ? ",x" : "x") + std::to_string(c);
    weights.push_back(static_cast<float>(c));
  }
  for (int r = 0; r < 12; ++r)
    for (int c = 0; c < 11; ++c)
      text += std::to_string((r * 7 + c * c) % 5 + .25 * r) + (c < 10 ? "," : "\n");
  write_file_atomically(workspace() / "eleven.csv", header + "\n" + text);
  write_linear("eleven.onnx", weights, 0);
  const Finished f = explain({"--model", "eleven.onnx", "--method", "independence", "--background",
                              "eleven.csv", "--data", "eleven.csv", "--rows", "0:2", "--strategy", "exact",
                              "--features", header, "--out", "eleven"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(f.err.find("all 2048 coalitions of 11 players") != std::string::npos);
  CHECK(json("eleven")["coalitions"]["count"] == 2048);
}

TEST_CASE("explain: far outside the training data is flagged") {
  write_file_atomically(workspace() / "far.csv", "a,b,c,k,d\n0.1,0.2,0,5,0\n40,-30,0,5,0\n");
  const Finished f = explain({"--run", "run", "--data", "far.csv", "--out", "far"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(f.err.find("less likely than 99.9 % of the training rows") != std::string::npos);
  CHECK(f.err.find("outside the range") != std::string::npos);
  const std::vector<Line> lines = csv("far");
  CHECK(lines[0].at("flags").find("out_of_distribution") == std::string::npos);
  CHECK(lines[1].at("flags").find("out_of_distribution|outside_range") != std::string::npos);
  const Json j = json("far");
  CHECK(j["quality"]["rows"]["out_of_distribution"] == 1);
  CHECK(j["quality"]["values_outside_range"]["a"] == 1);
  CHECK(j["warnings"].size() >= 2);
}

TEST_CASE("explain: what cannot be done is said in one sentence") {
  const fs::path& at = workspace();
  write_file_atomically(at / "narrow.csv", "a,b,k,d\n1,1,5,0\n");
  write_file_atomically(at / "text.csv", "a,b,c,k,d\n1,x,1,5,0\n");
  write_file_atomically(at / "hole.csv", "a,b,c,k,d\n1,1,1,5,0\n1,,1,5,0\n");
  const auto refused = [](Words words, int code, const Words& parts) {
    words.insert(words.end(), {"--out", "refused", "--quiet"});
    check_refused(explain(words), code, parts);
    CHECK_FALSE(fs::exists(workspace() / "refused/attributions.csv"));
  };
  refused({}, 2, {"--run", "--model"});
  refused({"--run", "nothing"}, 3, {"nothing"});
  refused({"--run", "run", "--data", "none.csv"}, 3, {"none.csv"});
  refused({"--run", "run", "--data", "narrow.csv"}, 3, {"narrow.csv", "c"});
  refused({"--run", "run", "--data", "text.csv"}, 3, {"text.csv", "'x'"});
  refused({"--run", "run", "--data", "hole.csv"}, 3, {"hole.csv", "row 1", "b", "no training row lacks it"});
  refused({"--run", "run", "--rows", "100000:"}, 2, {"no row is chosen"});
  refused({"--run", "run", "--rows", "1,x"}, 2, {"'x'"});
  refused({"--run", "run", "--rows", "3,2:5"}, 2, {"twice"});
  refused({"--run", "run", "--budget", "3"}, 2, {"budget"});
  refused({"--run", "run", "--budget", "many"}, 2, {"--budget", "auto"});
  refused({"--run", "run", "--strategy", "all"}, 2, {"--strategy"});
  refused({"--run", "run", "--method", "magic"}, 2, {"--method"});
  refused({"--run", "run", "--orders", "2", "--energy", "on"}, 2, {"orders"});
  refused({"--run", "run", "--groups", "none.toml"}, 3, {"none.toml"});
  refused({"--run", "run", "--resume", "--overwrite"}, 2, {"exclude"});
  refused({"--model", "run/power_predictor.onnx", "--emshap", "run/emshap_model.onnx", "--data", "newer.csv"},
          2, {"--background"});
  refused({"--model", "run/power_predictor.onnx", "--emshap", "run/emshap_model.onnx", "--background",
           "run/emshap_background.npy"},
          2, {"--data"});
  refused({"--run", "run", "--background", "hosts.csv", "--part", "nothing"}, 2, {"--part"});
  refused({"--run", "run", "--compare", "gaussian,magic"}, 2, {"--compare", "magic", "emshap"});
  refused({"--run", "run", "--device", "magic"}, 2, {"device", "magic"});
  refused({"--resume"}, 2, {"refused", "nothing to resume"});
}

TEST_CASE("explain: new values in a column that never varied are told, and without any player is an error") {
  write_file_atomically(workspace() / "changed.csv", "a,b,c,k,d\n0,0,0,5,0\n0,0,0,9,0\n");
  const Finished f = explain({"--run", "run", "--data", "changed.csv", "--out", "changed"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(f.err.find("never vary there and are no players: k 1;") != std::string::npos);
  CHECK(csv("changed").size() == 2);
  write_linear("sum.onnx", {1, 1}, 0);
  write_file_atomically(workspace() / "same.csv", "a,b\n1,1\n1,1\n");
  for (const char* method : {"independence", "empirical"})
    check_refused(explain({"--model", "sum.onnx", "--features", "a,b", "--background", "same.csv", "--data",
                           "changed.csv", "--method", method, "--out", "same", "--quiet"}),
                  3, {"no column varies"});
}

TEST_CASE("explain: rows above the tolerance are told with what helps") {
  const auto told = [](const Words& more) {
    Words words{"--run", "run", "--rows", "0:9", "--tolerance", "1e-9", "--overwrite", "--out", "errors"};
    words.insert(words.end(), more.begin(), more.end());
    const Finished f = explain(words, {"--no-report"});
    REQUIRE_MESSAGE(f.exit_code == 0, f.err);
    const Json quality = json("errors")["quality"];
    const auto square = [&](const char* name) {
      double sum = 0;
      for (const auto& [player, error] : quality[name].items())
        sum += error.is_null() ? 0 : error.get<double>() * error.get<double>();
      return sum;
    };
    const double noise = square("noise_error"), sampling = square("sampling_error");
    CHECK((f.err.find("a larger --samples") != std::string::npos) == (4 * noise >= sampling));
    CHECK((f.err.find("a larger --budget") != std::string::npos) == (4 * sampling >= noise));
    return f.err;
  };
  CHECK(told({"--samples", "16"}).find("mostly by the noise") != std::string::npos);  // all coalitions
  (void)told({"--samples", "16", "--budget", "12"});
  (void)told({"--samples", "64", "--budget", "12"});
  (void)told({"--samples", "1024", "--budget", "12"});
}

TEST_CASE("explain: a run's own folder is not written to") {
  for (const char* word : {"--no-report", "--overwrite"}) {
    check_refused(explain({"--run", "run", "--rows", "0:2", "--out", "run", "--quiet", word}), 2,
                  {"run is the folder of a run", "run/explanation"});
    CHECK_FALSE(fs::exists(workspace() / "run/attributions.csv"));
    CHECK_FALSE(fs::exists(workspace() / "run/attributions.progress"));
  }
}

TEST_CASE("explain: names that are no UTF-8, and no old report beside new results") {
  write_file_atomically(workspace() / "latin.csv", "node_id,a,b,c,k,d\nh\xf4te,1,1,1,5,0\n");
  const Words words{"--run", "run", "--data", "latin.csv", "--out", "latin"};
  const Finished f = explain(words, {"--samples", "16"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(json("latin")["rows"][0]["node_id"] == "h\xef\xbf\xbdte");
  CHECK(csv("latin")[0].at("node_id") == "h\xf4te");
  CHECK(fs::exists(workspace() / "latin/report.html"));
  const Finished again = explain(words, {"--samples", "16", "--overwrite", "--no-report"});
  REQUIRE_MESSAGE(again.exit_code == 0, again.err);
  CHECK_FALSE(fs::exists(workspace() / "latin/report.html"));
}
