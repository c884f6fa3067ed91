// What a file may say, and which output and columns are taken.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "io/foreign_graphs.h"
#include "io/foreign_models.h"
#include "io/sample_predictor.h"
#include "support/compare.h"

using namespace emshap;
using test::ForeignModel;
using Integers = std::vector<std::int64_t>;

namespace {

io::OnnxPredictorOptions choose(std::string output, std::optional<std::int64_t> index = {},
                                std::string label = {}, std::vector<std::string> columns = {}) {
  return {std::move(output), index, std::move(label), std::move(columns)};
}

/// y for rows of three columns.
std::vector<double> values(const ForeignModel& model, const std::vector<float>& rows,
                           const io::OnnxPredictorOptions& options = {}) {
  const auto f = io::OnnxPredictor::parse(model.bytes(), "file.onnx", options);
  const auto count = static_cast<std::int64_t>(rows.size()) / f.inputs();
  return test::to_doubles(test::predicted(f, Tensor::from(rows, Shape{count, f.inputs()})).view());
}

}  // namespace

TEST_SUITE("onnx_predictor_files") {
  TEST_CASE("outputs, classes and columns are chosen") {
    const std::string lightgbm =
        test::foreign_path("lightgbm_two.onnx");  // labels, and ZipMap's probabilities
    const auto positive = io::OnnxPredictor::load(lightgbm);
    CHECK(positive.target() == "probabilities['1']");
    CHECK(positive.classes() == std::vector<std::string>{"0", "1"});
    CHECK(positive.columns().empty());
    CHECK(io::OnnxPredictor::load(lightgbm, choose("", {}, "0")).target() == "probabilities['0']");
    CHECK_THROWS_AS(io::OnnxPredictor::load(lightgbm, choose("label")), ConfigError);

    // The labels come from ArgMax; the second of two probabilities is the positive class all the same.
    CHECK(io::OnnxPredictor::load(test::foreign_path("mlp_two.onnx")).target() == "probabilities[1]");

    const std::string three = test::foreign_path("logistic_three.onnx");
    CHECK_THROWS_WITH_AS(io::OnnxPredictor::load(three),
                         (three + ": output 'probabilities' has 3 entries, choose one of its classes 'cold', "
                                  "'mild', 'warm'")
                             .c_str(),
                         ConfigError);
    CHECK(io::OnnxPredictor::load(three, choose("", {}, "mild")).target() == "probabilities['mild']");
    CHECK(io::OnnxPredictor::load(three, choose("", 2)).target() == "probabilities['warm']");
    CHECK_THROWS_AS(io::OnnxPredictor::load(three, choose("", 3)), ConfigError);
    CHECK_THROWS_AS(io::OnnxPredictor::load(three, choose("", -1)), ConfigError);
    CHECK_THROWS_AS(io::OnnxPredictor::load(three, choose("", {}, "hot")), ConfigError);
    CHECK_THROWS_AS(io::OnnxPredictor::load(three, choose("", {}, "1")), ConfigError);  // it has labels
    const std::string unlabelled = test::foreign_path("torch_softmax.onnx");
    CHECK(io::OnnxPredictor::load(unlabelled, choose("", {}, "1")).target() == "y[1]");
    CHECK_THROWS_AS(io::OnnxPredictor::load(unlabelled, choose("", {}, "3")), ConfigError);
    CHECK_THROWS_AS(io::OnnxPredictor::load(unlabelled, choose("", {}, "-1")), ConfigError);
    CHECK_THROWS_AS(io::OnnxPredictor::load(three, choose("nothing")), ConfigError);
    const auto named = io::OnnxPredictor::load(three, choose("", 0, "", {"a", "b", "c", "d", "e"}));
    CHECK(named.columns() == std::vector<std::string>{"a", "b", "c", "d", "e"});
    CHECK_THROWS_AS(io::OnnxPredictor::load(three, choose("", 0, "", {"a", "b"})), ConfigError);

    const auto several = test::foreign_path("operators_opset21.onnx");
    CHECK_THROWS_AS(io::OnnxPredictor::load(several), ConfigError);  // many outputs, none chosen
    CHECK(io::OnnxPredictor::load(test::foreign_path("forest_regressor.onnx")).target() == "variable");
    CHECK_THROWS_AS(io::OnnxPredictor::load("no such file.onnx"), IoError);
  }

  TEST_CASE("a file with one input per column takes rows in the caller's order") {
    const std::string path = test::foreign_path("columns_forest.onnx");
    const auto own = io::OnnxPredictor::load(path);
    CHECK(own.columns() == std::vector<std::string>{"wind", "temp", "hour", "load", "rain"});
    const auto turned =
        io::OnnxPredictor::load(path, choose("", {}, "", {"rain", "load", "hour", "temp", "wind"}));
    const Tensor x = read_npy(test::foreign_path("columns_forest.x.npy"));
    Tensor back(x.shape());
    for (std::int64_t r = 0; r < x.rows(); ++r)
      for (int c = 0; c < 5; ++c) back.ptr<float>()[r * 5 + c] = x.ptr<float>()[r * 5 + 4 - c];
    test::check_same_bits("turned", test::to_doubles(test::predicted(turned, back).view()),
                          test::to_doubles(test::predicted(own, x).view()));
    CHECK_THROWS_AS(
        io::OnnxPredictor::load(path, choose("", {}, "", {"rain", "load", "hour", "temp", "sun"})),
        ConfigError);
  }

  TEST_CASE("our own power predictor is one of them") {
    const test::SamplePredictor sample({.features = 6, .hidden = {16, 8}, .activation = Activation::relu},
                                       false);
    const std::string bytes = io::power_predictor_onnx(sample.preprocessor, sample.predictor, sample.info);
    const auto f = io::OnnxPredictor::parse(bytes, "power.onnx");
    CHECK(f.columns() == sample.preprocessor.features.input_names());
    const Tensor x = sample.rows(50);
    Tensor expected(Shape{50, 1});
    Context ctx;
    io::predict_power(ctx, sample.preprocessor, sample.predictor, x, expected);
    test::check_close("power", test::predicted(f, x), expected, {1e-3, 1e-5});
  }

  TEST_CASE("missing values inside a model follow the trees' marks") {
    // x / x is NaN where x is 0.
    for (const bool marked : {false, true}) {
      ForeignModel model;
      onnx::NodeProto& tree = test::add_tree(model);
      tree.set_input(0, "ratio");
      if (marked) test::set(tree, "nodes_missing_value_tracks_true", Integers{1, 0, 0, 0, 0});
      model.floats("two", {3}, {2, 1, 1});
      model.node("Div", {"x", "x"}, {"one"});
      model.node("Mul", {"one", "two"}, {"ratio"});
      std::vector<float> rows;
      for (int r = 0; r < 20; ++r) rows.insert(rows.end(), {r == 7 ? 0.F : 1.F, 1, 1});
      std::vector<double> expected(20, 30.0);
      if (marked) expected[7] = 10;
      CHECK(values(model, rows) == expected);
    }
  }

  TEST_CASE("older operator sets mean other things") {
    SUBCASE("broadcasting along an axis before opset 7") {
      ForeignModel model(6);
      model.integers("shape", {0, 3, 1});
      model.floats("b", {3}, {10, 20, 30});
      model.node("Reshape", {"x", "shape"}, {"cube"});
      onnx::NodeProto& add = model.node("Add", {"cube", "b"}, {"y"});
      test::set(add, "broadcast", 1);
      test::set(add, "axis", 1);
      CHECK(values(model, {1, 2, 3}, choose("", 1)) == std::vector<double>{22});
    }
    SUBCASE("shape of Reshape as an attribute before opset 5, Cast by name before 6") {
      ForeignModel model(4);
      test::set(model.node("Reshape", {"x"}, {"r"}), "shape", Integers{-1, 3});
      test::set(model.node("Cast", {"r"}, {"c"}), "to", std::string("INT64"));
      test::set(model.node("Cast", {"c"}, {"y"}), "to", std::string("FLOAT"));
      CHECK(values(model, {1.5, -2.5, 3}, choose("", 1)) == std::vector<double>{-2});
    }
    SUBCASE("Squeeze's axes") {
      ForeignModel late(13);
      late.integers("axes", {2});
      late.node("Unsqueeze", {"x", "axes"}, {"u"});
      late.node("Squeeze", {"u", "axes"}, {"y"});
      CHECK(values(late, {1, 2, 3}, choose("", 2)) == std::vector<double>{3});
      ForeignModel early(11);
      test::set(early.node("Unsqueeze", {"x"}, {"u"}), "axes", Integers{2});
      test::set(early.node("Squeeze", {"u"}, {"y"}), "axes", Integers{2});
      CHECK(values(early, {1, 2, 3}, choose("", 2)) == std::vector<double>{3});
    }
  }

  TEST_CASE("a value that is not finite is an error of the model") {
    ForeignModel model;
    model.floats("w", {3, 1}, {1, 0, 0});
    model.node("MatMul", {"x", "w"}, {"v"});
    model.node("Log", {"v"}, {"y"});
    CHECK(values(model, {1, 0, 0}) == std::vector<double>{0});
    const auto f = io::OnnxPredictor::parse(model.bytes(), "file.onnx");
    CHECK_THROWS_AS(test::predicted(f, Tensor::from(std::vector<float>{-1, 0, 0}, Shape{1, 3})),
                    NumericalError);
    CHECK_THROWS_AS(test::predicted(f, Tensor::from(std::vector<float>{-1, 0}, Shape{1, 2})), ShapeError);
  }
}
