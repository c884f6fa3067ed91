// What GraphBuilder writes: names, types, constants, bodies, bytes; and what it refuses.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <limits>

#include "emshap/core/error.h"
#include "emshap/io/onnx_model.h"
#include "io/sample_graphs.h"

using namespace emshap;
namespace fs = std::filesystem;

namespace {

io::OnnxModel read_back(const io::GraphBuilder& graph) {
  return io::OnnxModel::parse(graph.bytes(), "test");
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a graph reads back with its inputs, outputs, constants, nodes and metadata") {
  io::GraphBuilder graph("scaler", "scales three columns");
  test::build_scaler(graph);
  const io::OnnxModel model = read_back(graph);

  CHECK(model.ir_version() == 8);
  CHECK(model.opset() == 17);
  CHECK(model.producer().starts_with("emshap "));
  CHECK(model.graph_name() == "scaler");
  CHECK(model.doc() == "scales three columns");
  REQUIRE(model.inputs().size() == 1);
  CHECK(model.inputs()[0].name == "x");
  CHECK(model.inputs()[0].type == "float32");
  CHECK(model.inputs()[0].doc == "raw units");
  REQUIRE(model.inputs()[0].dims.size() == 2);
  CHECK(std::get<std::string>(model.inputs()[0].dims[0].value()) == "batch");
  CHECK(std::get<std::int64_t>(model.inputs()[0].dims[1].value()) == 3);
  REQUIRE(model.outputs().size() == 1);
  CHECK(model.outputs()[0].name == "y");
  REQUIRE(model.nodes().size() == 4);
  CHECK(model.nodes()[1].op_type == "Sub");
  CHECK(model.nodes()[1].inputs[1] == "scaler.mean");
  CHECK(model.nodes()[3].outputs == std::vector<std::string>{"y"});
  CHECK(model.metadata("features") == R"(["a","b","c"])");
  CHECK(model.metadata().size() == 3);  // with the count of entries
}

TEST_CASE("constants keep every bit of float64, float32 and int64") {
  const std::vector<double> f64{1.0 / 3, -0.0, 1e-320, std::numeric_limits<double>::max()};
  const std::vector<float> f32{1.0f / 3, -0.0f, 1e-42f, std::numeric_limits<float>::max()};
  const std::vector<std::int64_t> i64{std::numeric_limits<std::int64_t>::min(), -1, 0, 1};
  io::GraphBuilder graph("constants");
  const GraphValue a = graph.constant("a", {2, 2}, f64);
  const GraphValue b = graph.constant("b", {4}, f32);
  const GraphValue c = graph.constant("c", {4, 1}, i64);
  graph.constant("empty", {0, 3}, std::vector<float>{});
  graph.output(a, "out_a", GraphType::f64, {2, 2});
  graph.output(b, "out_b", GraphType::f32, {4});
  graph.output(c, "out_c", GraphType::i64, {4, 1});
  const io::OnnxModel model = read_back(graph);

  const auto same_bits = [](const auto& left, const auto& right) {
    return left.size() == right.size() &&
           std::memcmp(left.data(), right.data(), left.size() * sizeof(left[0])) == 0;
  };
  CHECK(same_bits(model.values<double>("a"), f64));
  CHECK(same_bits(model.values<float>("b"), f32));
  CHECK(same_bits(model.values<std::int64_t>("c"), i64));
  CHECK(model.extents("a") == GraphExtents{2, 2});
  CHECK(model.values<float>("empty").empty());
  CHECK(contains(error_of([&] { model.values<float>("a"); }), "holds float64, expected float32"));
  CHECK(contains(error_of([&] { model.values<float>("missing"); }), "no initialiser 'missing'"));
  CHECK_FALSE(model.has_initialiser("missing"));
}

TEST_CASE("the same calls give the same bytes") {
  std::string bytes[2];
  for (std::string& b : bytes) {
    io::GraphBuilder graph("scan");
    test::build_scan(graph);
    graph.metadata("k", "v");
    b = graph.bytes();
    CHECK(b == graph.bytes());
  }
  CHECK(bytes[0] == bytes[1]);
}

TEST_CASE("a Scan body sees constants of the main graph and passes the checker") {
  io::GraphBuilder graph("scan");
  test::build_scan(graph);
  const io::OnnxModel model = read_back(graph);
  REQUIRE(model.outputs().size() == 2);
  CHECK(model.outputs()[0].name == "y");
  CHECK(model.outputs()[1].name == "last");
  REQUIRE(model.nodes().size() == 1);
  CHECK(model.nodes()[0].op_type == "Scan");
  CHECK(model.has_initialiser("decay"));
}

TEST_CASE("If takes two bodies, and attributes of every kind are written") {
  io::GraphBuilder graph("kinds");
  const GraphValue x = graph.input("x", GraphType::f32, {"batch", 4});
  const GraphValue left_out;
  const auto branch = [&](const char* op_type) {
    return graph.subgraph(op_type, [&](GraphWriter& body) {
      body.output(body.op(op_type, {x}), "y", GraphType::f32, {"batch", 4});
    });
  };
  const GraphValue positive =
      graph.op("Greater", {graph.op("ReduceMax", {x}, {{"keepdims", 0}}), graph.scalar(0.f)});
  const GraphBody yes = branch("Relu"), no = branch("Neg");
  GraphValue y = graph.op("If", {positive}, {{"then_branch", yes}, {"else_branch", no}});
  y = graph.op("LeakyRelu", {y}, {{"alpha", .01}});
  y = graph.op("Clip", {y, left_out, graph.scalar(6.f)});
  y = graph.op("Transpose", {y}, {{"perm", std::vector<std::int64_t>{1, 0}}});
  y = graph.op("Reshape", {y, graph.integers({-1, 4})});
  graph.output(y, "y", GraphType::f32, {GraphDim("rows"), 4});
  const io::OnnxModel model = read_back(graph);
  CHECK(model.nodes().size() == 7);
  CHECK(model.nodes()[4].inputs[1].empty());
}

TEST_CASE("an input, a constant or one value twice can be outputs") {
  io::GraphBuilder graph("outputs");
  const GraphValue x = graph.input("x", GraphType::f32, {"batch"});
  const GraphValue y = graph.op("Neg", {x});
  graph.output(y, "first", GraphType::f32, {"batch"});
  graph.output(y, "second", GraphType::f32, {"batch"});
  graph.output(x, "same", GraphType::f32, {"batch"});
  graph.output(graph.op("Abs", {y}), "used after its renaming", GraphType::f32, {"batch"});
  const io::OnnxModel model = read_back(graph);
  CHECK(model.outputs().size() == 4);
}

TEST_CASE("misuse is refused with one sentence") {
  io::GraphBuilder graph("misuse");
  const GraphValue x = graph.input("x", GraphType::f32, {"batch", 3});
  CHECK(contains(error_of([&] { graph.input("x", GraphType::f32, {1}); }), "'x' of an input is taken"));
  const std::vector<float> two{1, 2};
  graph.constant("w", {2}, two);
  CHECK(contains(error_of([&] { graph.constant("w", {2}, two); }), "'w' of a constant is taken"));
  CHECK(contains(error_of([&] { graph.constant("v", {3}, two); }), "has 2 values, expected 3"));
  CHECK(contains(error_of([&] { graph.op("Neg", {{"nobody"}}); }), "takes 'nobody'"));
  CHECK(contains(error_of([&] { graph.pop_scope(); }), "without push_scope"));
  CHECK(contains(error_of([&] { graph.describe("q", ""); }), "'q' is neither"));
  graph.metadata("k", "1");
  CHECK(contains(error_of([&] { graph.metadata("k", "2"); }), "'k' is taken"));
  const GraphBody body = graph.subgraph("b", [&](GraphWriter& b) {
    b.output(b.op("Relu", {x}), "y", GraphType::f32, {"batch", 3});
  });
  const GraphValue condition =
      graph.op("Not", {graph.op("IsNaN", {graph.op("ReduceSum", {x}, {{"keepdims", 0}})})});
  CHECK(contains(error_of([&] {
                   graph.op("If", {condition}, {{"then_branch", body}, {"else_branch", body}});
                 }),
                 "was used before"));
}

TEST_CASE("the checker's and the shape inference's complaints reach the caller") {
  io::GraphBuilder unknown("unknown");
  unknown.output(unknown.op("NoSuchOperator", {unknown.input("x", GraphType::f32, {1})}), "y", GraphType::f32,
                 {1});
  CHECK(contains(error_of([&] { unknown.bytes(); }), "the graph 'unknown' is not valid: No Op registered"));

  io::GraphBuilder types("types");
  const GraphValue x = types.input("x", GraphType::f32, {"batch", 3});
  types.output(types.op("Sub", {x, types.scalar(1.0)}), "y", GraphType::f32, {"batch", 3});
  const std::string message = error_of([&] { types.bytes(); });
  CHECK(contains(message, "the graph 'types' is not valid"));
  CHECK_FALSE(contains(message, "\n"));

  io::GraphBuilder shapes("shapes");
  const GraphValue z = shapes.input("x", GraphType::f32, {"batch", 3});
  const GraphValue w = shapes.constant("w", {2, 1}, std::vector<float>{1, 2});
  shapes.output(shapes.op("MatMul", {z, w}), "y", GraphType::f32, {"batch", 1});
  CHECK(contains(error_of([&] { shapes.bytes(); }), "the graph 'shapes' is not valid"));
}

TEST_CASE("save replaces the file only when all of it was written") {
  const fs::path folder = fs::temp_directory_path() / fmt::format("emshap_save_{}", ::getpid());
  fs::create_directories(folder);
  const fs::path path = folder / "model.onnx";
  io::GraphBuilder small("small");
  test::build_scaler(small);
  small.save(path);
  CHECK(io::OnnxModel::load(path).graph_name() == "small");

  // A full disk, as far as this process can make one: no file may grow beyond 1,000 bytes.
  io::GraphBuilder large("large");
  large.output(large.constant("w", {1000}, std::vector<float>(1000)), "y", GraphType::f32, {1000});
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = old;
  tight.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &tight);
  ErrorKind kind = ErrorKind::internal;
  std::string message;
  try {
    large.save(path);
  } catch (const IoError& error) {
    kind = error.kind();
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  CHECK(kind == ErrorKind::environment);
  CHECK(contains(message, "model.onnx"));
  CHECK(io::OnnxModel::load(path).graph_name() == "small");
  CHECK(std::distance(fs::directory_iterator(folder), fs::directory_iterator()) == 1);
  fs::remove_all(folder);
}
