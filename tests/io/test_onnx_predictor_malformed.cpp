// Files that cannot be used, malformed ones and some with changed bits: one sentence, never a crash.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "emshap/core/error.h"
#include "io/foreign_graphs.h"
#include "io/foreign_models.h"
#include "support/compare.h"

using namespace emshap;
using test::ForeignModel;
using Integers = std::vector<std::int64_t>;

namespace {

/// The sentence that reading gives, empty when it gives none; the error must be of this kind.
std::string error_of(const std::string& bytes, const io::OnnxPredictorOptions& options = {},
                     ErrorKind kind = ErrorKind::data) {
  try {
    io::OnnxPredictor::parse(bytes, "file.onnx", options);
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    const std::string text = error.what();
    CHECK(text.find("file.onnx: ") == 0);
    CHECK(text.find('\n') == std::string::npos);
    return text;
  }
  return {};
}

void check_error(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
}

/// y for rows of three columns.
std::vector<double> values(const ForeignModel& model, const std::vector<float>& rows,
                           const io::OnnxPredictorOptions& options = {}) {
  const auto f = io::OnnxPredictor::parse(model.bytes(), "file.onnx", options);
  const auto count = static_cast<std::int64_t>(rows.size()) / f.inputs();
  return test::to_doubles(test::predicted(f, Tensor::from(rows, Shape{count, f.inputs()})).view());
}

}  // namespace

TEST_SUITE("onnx_predictor_malformed") {
  TEST_CASE("an operator that is not supported is named, where it is needed") {
    ForeignModel model;
    model.node("NonZero", {"x"}, {"hidden"});
    model.node("Mystery", {"x"}, {"y"}, "com.example");
    check_error(error_of(model.bytes()),
                "node 'Mystery2' (com.example.Mystery) is an operator that is not supported");
    ForeignModel unneeded;
    unneeded.node("NonZero", {"x"}, {"hidden"});
    unneeded.floats("w", {3, 1}, {1, 2, 3});
    unneeded.node("MatMul", {"x", "w"}, {"y"});
    CHECK(values(unneeded, {1, 1, 1}) == std::vector<double>{6});
  }

  TEST_CASE("operators that mix rows are refused") {
    const auto refused = [](const std::string& op, const std::vector<std::string>& inputs,
                            const char* attribute, const Integers& axes, const std::string& part) {
      ForeignModel model(12);
      model.floats("row", {1, 3}, {1, 2, 3});
      model.floats("column", {3, 1}, {1, 2, 3});
      model.integers("first", {0});
      onnx::NodeProto& node = model.node(op, inputs, {"y"});
      if (attribute != nullptr && axes.size() == 1 && std::string(attribute) == "axis")
        test::set(node, attribute, axes[0]);
      else if (attribute != nullptr)
        test::set(node, attribute, axes);
      check_error(error_of(model.bytes()), part);
    };
    refused("ReduceMean", {"x"}, "axes", {0}, "would combine the rows of the batch");
    refused("ReduceMean", {"x"}, nullptr, {}, "would combine the rows of the batch");
    refused("Softmax", {"x"}, "axis", {0}, "would combine the rows of the batch");
    refused("Gather", {"x", "first"}, "axis", {0}, "would pick rows of the batch");
    refused("Concat", {"x", "x"}, "axis", {0}, "would join batches of rows");
    refused("MatMul", {"column", "x"}, nullptr, {}, "is not supported");
    refused("Squeeze", {"x"}, "axes", {0}, "has not extent 1");
    refused("Flatten", {"x"}, "axis", {0}, "joins the rows");
    refused("Add", {"x", "column"}, nullptr, {}, "do not fit");
    ForeignModel reshaped;
    reshaped.integers("shape", {3, -1});
    reshaped.node("Reshape", {"x", "shape"}, {"y"});
    check_error(error_of(reshaped.bytes()), "rows would not stay rows");
    ForeignModel outer;
    outer.node("Transpose", {"x"}, {"t"});
    outer.node("MatMul", {"x", "t"}, {"y"});
    check_error(error_of(outer.bytes()), "is not supported");
  }

  TEST_CASE("malformed files give one sentence") {
    check_error(error_of(""), "not an ONNX file");
    check_error(error_of("this is not a model"), "not an");
    ForeignModel good;
    good.floats("w", {3, 1}, {1, 2, 3});
    good.node("MatMul", {"x", "w"}, {"y"});
    REQUIRE(error_of(good.bytes()).empty());
    check_error(error_of(good.bytes().substr(0, good.bytes().size() / 2)), "");

    ForeignModel cycle = good;
    cycle.graph().mutable_node(0)->set_input(0, "later");
    cycle.node("Relu", {"y"}, {"later"});
    check_error(error_of(cycle.bytes()), "is part of a cycle");
    ForeignModel itself = good;
    itself.graph().mutable_node(0)->set_input(0, "y");
    check_error(error_of(itself.bytes()), "is part of a cycle");
    ForeignModel missing = good;
    missing.graph().mutable_node(0)->set_input(1, "nowhere");
    check_error(error_of(missing.bytes()), "reads 'nowhere', which nothing makes");
    ForeignModel no_output = good;
    no_output.graph().mutable_node(0)->set_output(0, "z");
    check_error(error_of(no_output.bytes()), "nothing makes the output 'y'");
    ForeignModel twice = good;
    twice.node("Relu", {"x"}, {"y"});
    check_error(error_of(twice.bytes()), "the value 'y' is made twice");
    ForeignModel shapes = good;
    shapes.graph().mutable_initializer(0)->set_dims(0, 4);
    check_error(error_of(shapes.bytes()), "initialiser 'w' holds 3 values, expected 4");
    shapes.graph().mutable_initializer(0)->add_float_data(1);
    check_error(error_of(shapes.bytes()), "shapes (N, 3) and (4, 1) does not fit");
    shapes.graph().mutable_initializer(0)->set_dims(0, -1);
    check_error(error_of(shapes.bytes()), "negative extent");
    shapes.graph().mutable_initializer(0)->set_dims(0, std::int64_t{1} << 40);
    check_error(error_of(shapes.bytes()), "larger than an ONNX file can be");

    ForeignModel outside = good;
    auto* tensor = outside.graph().mutable_initializer(0);
    tensor->set_data_location(onnx::TensorProto::EXTERNAL);
    check_error(error_of(outside.bytes()),
                "initialiser 'w' is kept in another file, expected its values in the ONNX file");
    ForeignModel half = good;
    half.graph().mutable_initializer(0)->set_data_type(onnx::TensorProto::FLOAT16);
    check_error(error_of(half.bytes()), "initialiser 'w' holds float16");
    ForeignModel ir = good;
    ir.model.set_ir_version(14);
    check_error(error_of(ir.bytes()), "has ONNX IR version 14, expected 3 to 13");
    ir.model.set_ir_version(13);
    CHECK(error_of(ir.bytes()).empty());
    ForeignModel opset = good;
    opset.model.mutable_opset_import(0)->set_version(24);
    check_error(error_of(opset.bytes()), "uses opset 24 of ONNX, expected 1 to 23");
    ForeignModel words = good;
    words.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
        onnx::TensorProto::STRING);
    check_error(error_of(words.bytes()), "input 'x' takes string, expected numbers");
    ForeignModel constant;
    constant.floats("y", {1, 1}, {1});
    check_error(error_of(constant.bytes()), "does not depend on the input");
    ForeignModel attribute = good;
    test::set(attribute.node("LeakyRelu", {"y"}, {"z"}), "alpha", 1);
    attribute.graph().mutable_output(0)->set_name("z");
    check_error(error_of(attribute.bytes()), "its attribute 'alpha' has type INT, expected FLOAT");
    ForeignModel types = good;
    types.node("And", {"y", "y"}, {"z"});
    types.graph().mutable_output(0)->set_name("z");
    check_error(error_of(types.bytes()), "its input 'y' holds float32, expected bool");
  }

  TEST_CASE("malformed trees give one sentence") {
    ForeignModel good;
    test::add_tree(good);
    CHECK(values(good, {.5F, 9, 0, .6F, .25F, 0, .6F, .3F, 0}) == std::vector<double>{10, 20, 30});
    const auto broken = [](const char* name, std::size_t entry, std::int64_t value, const std::string& part) {
      ForeignModel model;
      test::attribute(test::add_tree(model), name).set_ints(static_cast<int>(entry), value);
      check_error(error_of(model.bytes()), part);
    };
    broken("nodes_truenodeids", 2, 0, "a tree comes back to one of its nodes");
    broken("nodes_falsenodeids", 0, 0, "a tree comes back to one of its nodes");
    broken("nodes_falsenodeids", 0, 17, "its tree 0 has no node 17");
    broken("nodes_nodeids", 1, 0, "its tree 0 has two nodes 0");
    broken("nodes_featureids", 2, 3, "a tree asks for column 3 of 3");
    broken("nodes_featureids", 2, -1, "a tree asks for column -1 of 3");
    broken("nodes_featureids", 2, std::int64_t{1} << 40, "'nodes_featureids' has an entry of");
    broken("target_nodeids", 0, 9, "its tree 0 has no node 9");
    broken("target_ids", 0, 1, "a leaf votes for target 1 of 1");
    ForeignModel mode;
    test::attribute(test::add_tree(mode), "nodes_modes").set_strings(0, "BRANCH_MAYBE");
    check_error(error_of(mode.bytes()), "mode 'BRANCH_MAYBE'");
    ForeignModel lengths;
    test::attribute(test::add_tree(lengths), "nodes_values").add_floats(1);
    check_error(error_of(lengths.bytes()), "have different lengths");
    ForeignModel targets;
    test::attribute(test::add_tree(targets), "n_targets").set_i(0);
    check_error(error_of(targets.bytes()), "has 0 targets");
  }
}

namespace {

/// Files with some bits changed are read and run, or refused by an error of ours. Returns how many were
/// refused.
int changed_files(int rounds, std::size_t largest) {
  std::vector<std::string> names;
  for (const auto& output : test::foreign_outputs())
    if (names.empty() || names.back() != output.model) names.push_back(output.model);
  int refused = 0;
  std::uint64_t state = 88172645463325252;
  const auto random = [&](std::uint64_t below) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state % below;
  };
  for (const auto& name : names) {
    const std::string original = read_file(test::foreign_path(name + ".onnx"));
    if (original.size() > largest) continue;
    const Tensor x = read_npy(test::foreign_path(name + ".x.npy"));
    for (int round = 0; round < rounds; ++round) {
      std::string bytes = original;
      const auto changes = 1 + random(3);
      for (std::uint64_t k = 0; k < changes; ++k)
        bytes[random(bytes.size())] ^= static_cast<char>(1 << random(8));
      if (random(10) == 0) bytes.resize(random(bytes.size()));
      CAPTURE(name);
      CAPTURE(round);
      try {
        const auto f = io::OnnxPredictor::parse(bytes, "file.onnx",
                                                {.output = {}, .index = 0, .class_name = {}, .columns = {}});
        if (f.inputs() == x.cols()) test::predicted(f, x.view().rows(0, 3));
      } catch (const Error& error) {
        ++refused;
        const bool known = error.kind() == ErrorKind::data || error.kind() == ErrorKind::usage ||
                           error.kind() == ErrorKind::numerical;
        if (!known) FAIL_CHECK(std::string(error.what()));
      } catch (const std::exception& error) {
        FAIL_CHECK(std::string(error.what()));
      }
    }
  }
  return refused;
}

}  // namespace

TEST_SUITE("onnx_predictor_malformed") {
  TEST_CASE("changed bits never crash") {
    CHECK(changed_files(12, 6000) > 20);
  }
}
TEST_SUITE("slow onnx_predictor_malformed") {
  TEST_CASE("changed bits never crash, many times") {
    CHECK(changed_files(2000, 60000) > 1000);
  }
}
