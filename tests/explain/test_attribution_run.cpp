// Results that survive an interruption: log, run and files.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/explain/attribution_run.h"
#include "explain/games.h"
#include "report/child_process.h"

using namespace emshap;
namespace fs = std::filesystem;
using report::TemporaryFolder;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
const std::vector<std::string> names{"a", "b, c", "d", "e"};

ExplainedRow row(std::int64_t number) {
  ExplainedRow out;
  out.row = number;
  out.prediction = .1 * static_cast<double>(number);
  out.effective_min = 3;
  out.effective_mean = 4;
  out.msev = nan_value;
  out.flags = ExplainedRow::missing | ExplainedRow::unusual;
  out.phi = {1. / 3, static_cast<double>(number)};
  out.standard_error = {0, nan_value};
  return out;
}

/// A game of four players with noise; `before` is called with the number of the first row of each call.
struct Setting {
  test::TableValues values;
  CallablePredictor f;
  Tensor background = Tensor::zeros({3, 4}), x;
  std::vector<float> actual;
  std::function<void(std::int64_t)> before;
  static double sum(std::span<const std::uint8_t> known, std::span<const float> x) {
    double y = 2;
    for (std::size_t j = 0; j < x.size(); ++j)
      if (known[j] != 0)
        y += static_cast<double>(j + 1) * x[j] * (j > 0 && known[j - 1] != 0 ? x[j - 1] : 1.f);
    return y;
  }
  explicit Setting(std::int64_t rows)
      : values(names, sum, {.sd = .01}),
        f(4,
          [](ConstTensorView raw, TensorView y) {
            const std::vector<std::uint8_t> all(4, 1);
            for (std::int64_t r = 0; r < raw.rows(); ++r)
              y.ptr<float>()[r] = static_cast<float>(sum(all, {raw.ptr<float>() + 4 * r, 4}));
          }),
        x({rows, 4}) {
    Generator random({.seed = 8, .purpose = RandomPurpose::test});
    for (std::int64_t i = 0; i < x.elements(); ++i) x.ptr<float>()[i] = static_cast<float>(random.normal());
    if (rows > 5) x.ptr<float>()[21] = std::numeric_limits<float>::quiet_NaN();
    for (std::int64_t r = 0; r < rows; ++r) actual.push_back(static_cast<float>(r % 7));
  }
};

/// The values of a setting, noticing each row.
class Watched final : public ValueFunction {
 public:
  Watched(const Setting& setting, std::function<void(std::int64_t)> before)
      : of_(setting.values), before_(std::move(before)) {}
  std::string name() const override { return of_.name(); }
  const std::vector<std::string>& columns() const override { return of_.columns(); }
  std::vector<bool> modelled() const override { return of_.modelled(); }
  std::int64_t replicates() const override { return of_.replicates(); }
  bool shared_noise() const override { return of_.shared_noise(); }
  std::int64_t evaluations() const override { return of_.evaluations(); }
  std::int64_t scratch_bytes() const override { return of_.scratch_bytes(); }
  void evaluate(TeamPool& pool, const Explicands& rows, ConstTensorView masks, CoalitionValues& out,
                const StopToken* stop) const override {
    if (before_) before_(rows.numbers.back());
    of_.evaluate(pool, rows, masks, out, stop);
  }

 private:
  const ValueFunction& of_;
  std::function<void(std::int64_t)> before_;
};

/// Explains all rows of a setting into a folder, going on where a log is.
void explain(const Setting& s, const fs::path& folder, const std::function<void(std::int64_t)>& before = {},
             std::int64_t block_bytes = std::int64_t{1} << 30) {
  TeamPool pool(2);
  const Watched values(s, before);
  ExplainOptions options;
  options.memory_limit = block_bytes;
  Explainer explainer(values, s.f, Players::single(names), s.background, options, pool);
  const bool unfinished = AttributionLog::exists(folder);
  AttributionLog log = unfinished ? AttributionLog::resume(folder, "settings", 4)
                                  : AttributionLog::create(folder, "settings", 4);
  if (unfinished) {
    explainer.use_coalitions(coalitions_from(log.note()));
  } else {
    explainer.choose_coalitions(pool, s.x);
  }
  AttributionRun run(explainer, nullptr, log);
  run.run(pool, {s.x, {}, s.actual});
  AttributionAbout about;
  about.method = "table";
  about.unit = "W";
  about.settings_hash = "settings";
  about.settings_json = R"({"samples": 8})";
  about.json_rows = 100;
  const ResultColumn node{"node", [](std::int64_t i) { return "n" + std::to_string(i % 2); }};
  CHECK(write_attributions(folder, run, about, {node}).size() == 3);
  log.remove();
  CHECK_FALSE(AttributionLog::exists(folder));
  CHECK(finished_attributions(folder) == "settings");
}

void check_same(const fs::path& a, const fs::path& b) {
  for (const char* name : {"attributions.csv", "attributions.json", "coalitions.json"})
    CHECK(read_file(a / name) == read_file(b / name));
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

}  // namespace

TEST_SUITE("attribution log") {
  TEST_CASE("what was committed is found again, what was not is gone") {
    const TemporaryFolder folder;
    const fs::path at = folder.path() / "deep" / "er";
    CHECK_FALSE(AttributionLog::exists(at));
    {
      AttributionLog log = AttributionLog::create(at, "s", 2);
      for (int r = 0; r < 5; ++r) log.append(row(r));
      log.commit(std::vector<double>{1. / 7, 2}, "a note");
      log.append(row(5));
      CHECK(log.rows() == 6);
      CHECK_THROWS_AS(log.append(ExplainedRow{}), ShapeError);
      CHECK_THROWS_AS(log.read(0, 6), ShapeError);
    }
    {  // a crash while a block was written
      std::FILE* file = std::fopen((at / "attributions.partial").c_str(), "ab");
      std::fputs("half a reco", file);
      std::fclose(file);
    }
    AttributionLog log = AttributionLog::resume(at, "s", 2);
    CHECK(log.rows() == 5);
    CHECK(log.sums() == std::vector<double>{1. / 7, 2});
    CHECK(log.note() == "a note");
    log.append(row(5));
    log.commit({}, "");
    const std::vector<ExplainedRow> rows = log.read(3, 3);
    for (int r = 0; r < 3; ++r) {
      const ExplainedRow expected = row(r + 3), &got = rows[static_cast<std::size_t>(r)];
      CHECK(got.row == expected.row);
      CHECK(got.prediction == expected.prediction);
      CHECK(got.effective_min == 3);
      CHECK(got.effective_mean == 4);
      CHECK(std::isnan(got.msev));
      CHECK(got.flags == expected.flags);
      CHECK(got.phi == expected.phi);
      CHECK(std::isnan(got.standard_error[1]));
    }
    log.remove();
    CHECK_FALSE(AttributionLog::exists(at));
    CHECK(flag_names(0).empty());
    CHECK(flag_names(5) == "missing|out_of_distribution");
    CHECK(flag_names(10) == "not_converged|outside_range");
  }

  TEST_CASE("other settings and damaged files are refused") {
    const TemporaryFolder folder;
    {
      AttributionLog log = AttributionLog::create(folder.path(), "s", 2);
      log.append(row(1));
      log.append(row(2));
      log.commit({}, "");
    }
    CHECK_THROWS_WITH_AS(AttributionLog::resume(folder.path(), "t", 2), doctest::Contains("other settings"),
                         ConfigError);
    const fs::path file = folder.path() / "attributions.partial";
    const std::string good = read_file(file);
    std::string bad = good;
    bad[40] = static_cast<char>(bad[40] ^ 1);
    for (const std::string& content :
         {bad, good.substr(0, good.size() - 1), std::string("x"), std::string()}) {
      write_file_atomically(file, content);
      CHECK_THROWS_AS(AttributionLog::resume(folder.path(), "s", 2), IoError);
    }
    write_file_atomically(file, good);
    CHECK(AttributionLog::resume(folder.path(), "s", 2).rows() == 2);
    fs::remove(file);
    CHECK_THROWS_AS(AttributionLog::resume(folder.path(), "s", 2), IoError);
  }
}

TEST_SUITE("attribution run") {
  TEST_CASE("the files hold what was explained") {
    const Setting s(30);
    const TemporaryFolder folder;
    explain(s, folder.path());
    const std::vector<std::string> csv = lines(read_file(folder.path() / "attributions.csv"));
    REQUIRE(csv.size() == 31);
    CHECK(csv[0] ==
          "row,node,prediction,phi0,phi:a,\"phi:b, c\",phi:d,phi:e,se:a,\"se:b, c\",se:d,se:e,"
          "ess_min,ess_mean,msev,log_density,flags");
    CHECK(csv[2].starts_with("1,n1,"));
    CHECK(csv[6].find(",missing") != std::string::npos);
    const std::string json = read_file(folder.path() / "attributions.json");
    for (const char* text : {"\"method\": \"table\"", "\"sage\"", "\"mean_absolute\"", "\"settings\"",
                             "\"rows\": [", "\"row\":29", "\"b, c\"", "\"missing\": 1"})
      CHECK_MESSAGE(json.find(text) != std::string::npos, text);
    // More rows than the JSON file takes are in the CSV only.
    explain(Setting(101), folder.path() / "many");
    CHECK(read_file(folder.path() / "many/attributions.json").find("\"rows\": null") != std::string::npos);
    CHECK(lines(read_file(folder.path() / "many/attributions.csv")).size() == 102);
  }

  TEST_CASE("killed anywhere and continued: the same files as without interruption") {
    const Setting s(60);
    const TemporaryFolder folder;
    explain(s, folder.path() / "straight");
    for (const std::int64_t last : {0, 7, 8, 40, 59}) {
      CAPTURE(last);
      const fs::path at = folder.path() / std::to_string(last);
      const pid_t child = fork();
      if (child == 0) {
        // A block too large for the limit: rows one by one. Two kills, of which the second meets a log that
        // was continued; exit codes say which.
        int calls = 0;
        try {
          explain(
              s, at,
              [&](std::int64_t number) {
                if (number >= last && ++calls > 1) throw Interrupted("stop");
              },
              1);
        } catch (const Interrupted&) {
        } catch (...) {
          _exit(3);
        }
        try {
          explain(
              s, at,
              [&](std::int64_t number) {
                if (number >= last + 5) _exit(9);
              },
              1);
        } catch (...) {
          _exit(4);
        }
        _exit(0);
      }
      int status = 0;
      REQUIRE(waitpid(child, &status, 0) == child);
      CHECK(WIFEXITED(status));
      CHECK((WEXITSTATUS(status) == 9 || last > 54));
      explain(s, at);
      check_same(at, folder.path() / "straight");
    }
  }

  TEST_CASE("an interruption commits what is finished and says so") {
    const Setting s(50);
    const TemporaryFolder folder;
    CHECK_THROWS_WITH_AS(explain(
                             s, folder.path(),
                             [](std::int64_t number) {
                               if (number > 20) throw Interrupted("x");
                             },
                             1),
                         doctest::Contains("interrupted after 21 of 50 rows, which are saved"), Interrupted);
    CHECK(AttributionLog::resume(folder.path(), "settings", 4).rows() == 21);
  }

  TEST_CASE("a set of coalitions is made again from its description") {
    const Coalitions set = Coalitions::make(12, CoalitionStrategy::kernel, 100, 5);
    CHECK(coalitions_from(describe(set)).hash() == set.hash());
    CHECK_THROWS_AS(coalitions_from("12 kernel 100 5 0123456789abcdef"), IoError);
    CHECK_THROWS_AS(coalitions_from("nonsense"), IoError);
  }
}
