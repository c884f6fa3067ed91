#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/report/evaluation.h"
#include "report_fixture.h"

using namespace emshap;
using namespace emshap::report;

namespace {

/// y = 3 a + b, c is noise that the predictor below ignores.
Table sample_table(int rows) {
  Table table({{"node", ColumnType::text, ColumnRole::node_id},
               {"b", ColumnType::f32, ColumnRole::feature},
               {"y", ColumnType::f32, ColumnRole::target},
               {"a", ColumnType::f32, ColumnRole::feature},
               {"c", ColumnType::f32, ColumnRole::feature}});
  for (int r = 0; r < rows; ++r) {
    const float a = std::sin(static_cast<float>(r)), b = std::cos(static_cast<float>(3 * r));
    table.columns()[0].push_text("n");
    table.columns()[1].push_f32(b);
    table.columns()[2].push_f32(3 * a + b);
    table.columns()[3].push_f32(a);
    table.columns()[4].push_f32(static_cast<float>(r));
  }
  table.provenance().source = "sample";
  return table;
}

const std::vector<std::string> inputs{"a", "b", "c"};

/// The truth plus `offset`.
Predict predictor(float offset) {
  return [offset](ConstTensorView raw, TensorView y) {
    REQUIRE(raw.cols() == 3);
    REQUIRE(y.rows() == raw.rows());
    for (std::int64_t r = 0; r < raw.rows(); ++r)
      y.ptr<float>()[r] = 3 * raw.ptr<float>()[3 * r] + raw.ptr<float>()[3 * r + 1] + offset;
  };
}

std::vector<std::int64_t> range(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(end - begin));
  std::iota(rows.begin(), rows.end(), begin);
  return rows;
}

std::string json_with(const std::string& part, const std::string& rmse, const std::string& r2) {
  return "{\"" + part + "\": {\"rows\": 5, \"rmse\": " + rmse + ", \"r2\": " + r2 + "}}";
}

}  // namespace

TEST_CASE("features are found by name, whatever the order of the columns") {
  const Table table = sample_table(10);
  const std::vector<std::int64_t> rows{7, 2};
  const Tensor raw = features_by_name(table, rows, {"c", "a"});
  CHECK(raw.shape() == Shape{2, 2});
  CHECK(raw.ptr<float>()[0] == 7);
  CHECK(raw.ptr<float>()[1] == std::sin(7.0f));
  CHECK(raw.ptr<float>()[2] == 2);
  CHECK_THROWS_AS(features_by_name(table, rows, {"d"}), DataError);
  CHECK_THROWS_AS(features_by_name(table, rows, {"node"}), DataError);
}

TEST_CASE("each part is measured on its rows") {
  const Table table = sample_table(100);
  const Evaluation e =
      evaluate(table, {{"train", range(0, 70)}, {"validation", {}}, {"test", range(70, 100)}}, predictor(.5f),
               {inputs});
  REQUIRE(e.parts.size() == 2);
  CHECK(e.target == "y");
  CHECK(e.parts[0].name == "train");
  CHECK(e.parts[1].metrics.rows == 30);
  CHECK(e.parts[1].metrics.rmse == doctest::Approx(.5));
  CHECK(e.parts[1].actual[0] == 3 * std::sin(70.0f) + std::cos(210.0f));
  CHECK_THROWS_AS(evaluate(table, {{"test", {}}}, predictor(0), {inputs}), DataError);
}

TEST_CASE("permutation importance follows the weights and spares what is not used") {
  const Table table = sample_table(3000);
  const EvaluationOptions options{inputs, 1000, 7};
  const Evaluation e = evaluate(table, {{"all", range(0, 3000)}}, predictor(0), options);
  REQUIRE(e.importance.increase.size() == 3);
  CHECK(e.importance.rows == 1000);
  CHECK(e.importance.increase[0].first == "a");
  // Shuffling a value of variance 1/2 moves the prediction by weight * sqrt(2 * 1/2).
  CHECK(e.importance.increase[0].second == doctest::Approx(3).epsilon(.1));
  CHECK(e.importance.increase[1].second == doctest::Approx(1).epsilon(.1));
  CHECK(e.importance.increase[2].second == 0);
  const Evaluation again = evaluate(table, {{"all", range(0, 3000)}}, predictor(0), options);
  CHECK(again.importance.increase == e.importance.increase);
  CHECK(evaluate(table, {{"all", range(0, 30)}}, predictor(0), {inputs, 0}).importance.increase.empty());
  CHECK(evaluate(table, {{"all", range(0, 1)}}, predictor(0), {inputs}).importance.rows == 1);
}

TEST_CASE("an evaluation writes metrics, predictions and pictures") {
  const Table table = sample_table(50);
  Evaluation e = evaluate(table, {{"train", range(0, 40)}, {"test", range(40, 50)}}, predictor(1), {inputs});
  e.model = {{"kind", "run"}, {"source", "RUN \"x\" \xff"}};
  e.unit = "W";
  const TemporaryFolder folder;
  test::RecordingSink sink;
  Plotter plotter({}, sink);
  const auto files = write_evaluation(e, table, folder.path() / "out", &plotter);
  for (const auto& file : files) CHECK(std::filesystem::exists(file));
  CHECK(files.size() == (test::have_gnuplot() ? 6 : 2));
  const std::string csv = read_file(folder.path() / "out" / "predictions.csv");
  CHECK(csv.rfind("row,part,actual,predicted\n0,train,", 0) == 0);
  CHECK(csv.find("\n49,test,") != std::string::npos);
  const std::string json = read_file(folder.path() / "out" / "metrics.json");
  CHECK(json.find("\"rmse_increase\"") != std::string::npos);
  CHECK(json.find("\"unit\": \"W\"") != std::string::npos);
  CHECK(check_gate(json, folder.path() / "out", {})
            .rfind("quality gate passed: test rmse 1 against 1 of ", 0) == 0);
  CHECK(write_evaluation(e, table, folder.path() / "bare", nullptr).size() == 2);
  CHECK_THROWS_AS(write_evaluation(e, table, "/proc/no/such", nullptr), IoError);
}

TEST_CASE("the table of metrics says what MAPE leaves out") {
  const float actual[]{0, 2}, predicted[]{1, 1};
  CHECK(metrics_table({{"test", regression_metrics(predicted, actual)}}) ==
        "part  rows  RMSE  MAE       R2  MAPE %\n"
        "----  ----  ----  ---  -------  ------\n"
        "test     2     1    1  0.00000      50\n"
        "MAPE of test leaves out 1 rows whose target is 0.\n");
}

TEST_CASE("the quality gate") {
  const TemporaryFolder folder;
  const auto baseline = folder.path() / "metrics.json";
  write_file_atomically(baseline, json_with("test", "2", "0.9"));
  const auto gate = [&](const std::string& rmse, const std::string& r2, const GateOptions& options) {
    return check_gate(json_with("test", rmse, r2), baseline, options);
  };
  SUBCASE("passes when equal, better, or worse within the tolerance") {
    CHECK_NOTHROW(gate("2", "0.9", {}));
    CHECK_NOTHROW(gate("1.5", "0.9", {}));
    CHECK_NOTHROW(gate("2.1", "0.9", {"rmse", .06}));
    CHECK_NOTHROW(gate("9", "0.89", {"r2", .02}));
    CHECK_NOTHROW(gate("9", "0.95", {"r2", 0}));
  }
  SUBCASE("fails when worse or not a number") {
    CHECK_THROWS_AS(gate("2.1", "0.9", {}), QualityError);
    CHECK_THROWS_AS(gate("2.1", "0.9", {"rmse", .04}), QualityError);
    CHECK_THROWS_AS(gate("1", "0.87", {"r2", .02}), QualityError);
    CHECK_THROWS_AS(gate("null", "0.9", {}), QualityError);
    try {
      gate("3", "0.9", {"rmse", .1});
      FAIL("a worse model passed");
    } catch (const QualityError& e) {
      CHECK(exit_code(e.kind()) == 5);
      CHECK(std::string(e.what()) ==
            "quality gate: the model is worse than the baseline: test rmse 3 against 2 of " +
                baseline.string() + ", limit 2.2");
    }
  }
  SUBCASE("a folder stands for its metrics.json; without test rows all of them count") {
    CHECK_NOTHROW(check_gate(json_with("test", "2", "0.9"), folder.path(), {}));
    write_file_atomically(baseline, json_with("all", "2", "0.9"));
    CHECK_NOTHROW(check_gate(json_with("all", "2", "0.9"), baseline, {}));
    CHECK_THROWS_AS(gate("1", "1", {}), DataError);
  }
  SUBCASE("names what cannot be compared") {
    CHECK_THROWS_AS(gate("1", "1", {"mae", 0}), DataError);
    CHECK_THROWS_AS(gate("1", "1", {"speed", 0}), ConfigError);
    CHECK_THROWS_AS(gate("1", "1", {"rmse", -1}), ConfigError);
    CHECK_THROWS_AS(check_gate("{}", folder.path() / "none.json", {}), IoError);
    for (const char* text :
         {"", "[1]", "{", "{\"test\": 3}", "{\"test\": {\"rmse\": \"2\"}}", "{\"test\": {\"rmse\": null}}"}) {
      CAPTURE(text);
      write_file_atomically(baseline, text);
      CHECK_THROWS_AS(gate("1", "1", {}), Error);
    }
  }
}
