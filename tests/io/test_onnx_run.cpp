// The graph runner that verification uses, operator by operator against hand calculation.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "emshap/core/error.h"
#include "emshap/io/graph_builder.h"
#include "emshap/io/onnx_run.h"
#include "io/sample_graphs.h"

using namespace emshap;

namespace {

using Values = std::vector<float>;
using Build = std::function<GraphValue(GraphWriter&, const GraphValue&)>;

/// y of a graph made by `build`, of any extents, for x (rows, 3).
Tensor run(const Build& build, const Values& x, const GraphDims& dims) {
  io::GraphBuilder graph("test");
  const GraphValue input = graph.input("x", GraphType::f32, {"batch", 3});
  graph.output(build(graph, input), "y", GraphType::f32, dims);
  const Tensor tensor = Tensor::from(x, {static_cast<std::int64_t>(x.size()) / 3, 3});
  auto outputs = io::run_onnx(io::OnnxModel::parse(graph.bytes(), "test"), {{"x", tensor}});
  return std::move(outputs.at("y"));
}

void check(const Build& build, const Values& x, const GraphDims& dims, const Values& expected) {
  const Tensor y = run(build, x, dims);
  REQUIRE(y.elements() == static_cast<std::int64_t>(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(y.ptr<float>()[i] == doctest::Approx(expected[i]).epsilon(1e-6));
  }
}

const GraphDims same{"batch", 3};
const Values two_rows{1, -2, 3, 4, .5f, -6};

}  // namespace

TEST_CASE("functions of one value") {
  const auto unary = [](const char* op) {
    return [op](GraphWriter& g, const GraphValue& x) { return g.op(op, {x}); };
  };
  const auto expected = [](double (*f)(double)) {
    Values result;
    for (const float value : two_rows) result.push_back(static_cast<float>(f(static_cast<double>(value))));
    return result;
  };
  check(unary("Abs"), two_rows, same, expected([](double a) { return std::abs(a); }));
  check(unary("Relu"), two_rows, same, expected([](double a) { return a > 0 ? a : 0; }));
  check(unary("Exp"), two_rows, same, expected([](double a) { return std::exp(a); }));
  check(unary("Tanh"), two_rows, same, expected([](double a) { return std::tanh(a); }));
  check(unary("Sigmoid"), two_rows, same, expected([](double a) { return 1 / (1 + std::exp(-a)); }));
  check(unary("Softplus"), two_rows, same, expected([](double a) { return std::log1p(std::exp(a)); }));
  check(unary("Erf"), two_rows, same, expected([](double a) { return std::erf(a); }));
}

TEST_CASE("broadcasting over leading and inner axes") {
  const Values column{10, 20}, row{1, 2, 3};
  check(
      [&](GraphWriter& g, const GraphValue& x) {
        return g.op("Add", {g.op("Mul", {x, g.constant("row", {3}, std::span<const float>(row))}),
                            g.constant("column", {2, 1}, std::span<const float>(column))});
      },
      two_rows, {2, 3}, {11, 6, 19, 24, 21, 2});
}

TEST_CASE("choosing, comparing and counting") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  check(
      [](GraphWriter& g, const GraphValue& x) {
        const GraphValue low = g.op("LessOrEqual", {g.op("Abs", {x}), g.scalar(2.f)});
        return g.op("Where", {low, x, g.scalar(-1.f)});
      },
      {1, nan, 3, 2, -HUGE_VALF, -2}, same, {1, -1, -1, 2, -1, -2});
  check(
      [](GraphWriter& g, const GraphValue& x) {
        const GraphValue above = g.cast(g.op("Greater", {x, g.scalar(0.f)}), GraphType::i64);
        return g.cast(g.op("ReduceSum", {above, g.integers({1})}), GraphType::f32);
      },
      two_rows, {"batch", 1}, {2, 2});
}

TEST_CASE("moving values: gather, concat, split, slice, transpose, reshape") {
  check(
      [](GraphWriter& g, const GraphValue& x) {
        return g.op("Gather", {x, g.integers({2, 0})}, {{"axis", 1}});
      },
      two_rows, {"batch", 2}, {3, 1, -6, 4});
  check(
      [](GraphWriter& g, const GraphValue& x) {
        const GraphValues parts = g.node("Split", {x}, 3, {{"axis", 1}});
        return g.op("Concat", {parts[2], parts[0]}, {{"axis", 1}});
      },
      two_rows, {"batch", 2}, {3, 1, -6, 4});
  check(
      [](GraphWriter& g, const GraphValue& x) {
        return g.op("Slice", {x, g.integers({1}), g.integers({3}), g.integers({1})});
      },
      two_rows, {"batch", 2}, {-2, 3, .5f, -6});
  check(
      [](GraphWriter& g, const GraphValue& x) {
        return g.op("Transpose", {x}, {{"perm", std::vector<std::int64_t>{1, 0}}});
      },
      two_rows, {3, "batch"}, {1, 4, -2, .5f, 3, -6});
  check(
      [](GraphWriter& g, const GraphValue& x) {
        const GraphValue wide = g.op("Unsqueeze", {x, g.integers({1})});
        return g.op("Reshape", {g.op("Expand", {wide, g.integers({2, 2, 3})}), g.integers({4, 3})});
      },
      two_rows, {4, 3}, {1, -2, 3, 1, -2, 3, 4, .5f, -6, 4, .5f, -6});
}

TEST_CASE("products and a softmax") {
  const Values w{1, 2, 3, 4, 5, 6}, b{.5f, -.5f};
  check(
      [&](GraphWriter& g, const GraphValue& x) {
        return g.op("Gemm", {x, g.constant("w", {3, 2}, std::span<const float>(w)),
                             g.constant("b", {2}, std::span<const float>(b))});
      },
      two_rows, {"batch", 2}, {10.5f, 11.5f, -24 - .5f + .5f, -26.5f});
  const double z = std::exp(1.) + std::exp(-2.) + std::exp(3.);
  check(
      [](GraphWriter& g, const GraphValue& x) {
        return g.op("LogSoftmax", {x}, {{"axis", 1}});
      },
      {1, -2, 3}, same,
      {static_cast<float>(1 - std::log(z)), static_cast<float>(-2 - std::log(z)),
       static_cast<float>(3 - std::log(z))});
}

TEST_CASE("float64 keeps its digits and float32 does not") {
  check(
      [](GraphWriter& g, const GraphValue& x) {
        const GraphValue wide = g.op("Add", {g.cast(x, GraphType::f64), g.scalar(1e-9)});
        const GraphValue back = g.op("Sub", {wide, g.cast(x, GraphType::f64)});
        const GraphValue lost = g.op("Sub", {g.op("Add", {x, g.scalar(1e-9f)}), x});
        return g.op("Add", {g.cast(back, GraphType::f32), lost});
      },
      {1, 2, 4}, same, {1e-9f, 1e-9f, 1e-9f});
}

TEST_CASE("Scan carries its state, stacks what its body gives and sees values around it") {
  io::GraphBuilder graph("scan");
  test::build_scan(graph);
  const Tensor x = Tensor::from(Values{1, 2, 3, 4, 5, 6, 7, 8}, {2, 4});
  const auto outputs = io::run_onnx(io::OnnxModel::parse(graph.bytes(), "scan.onnx"), {{"x", x}});
  const Values expected{1, 2.5f, 3, 3.5f, 5.5f, 7.25f, 8.5f, 9.75f};
  const Tensor &y = outputs.at("y"), &last = outputs.at("last");
  REQUIRE(y.elements() == 8);
  for (std::size_t i = 0; i < 8; ++i) CHECK(y.ptr<float>()[i] == expected[i]);
  for (std::size_t i = 0; i < 4; ++i) CHECK(last.ptr<float>()[i] == expected[4 + i]);
}

TEST_CASE("products of stacks of matrices, and Gemm's attributes") {
  const Values stack{1, 0, 0, 2, 0, 1, 1, 0};
  check(
      [&](GraphWriter& g, const GraphValue& x) {
        const GraphValue pairs = g.op("Reshape", {x, g.integers({2, -1, 2})});  // (2, 3, 2)
        return g.op("MatMul", {pairs, g.constant("stack", {2, 2, 2}, std::span<const float>(stack))});
      },
      {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {2, 3, 2}, {1, 4, 3, 8, 5, 12, 8, 7, 10, 9, 12, 11});
  const Values w{1, 2, 3, 4, 5, 6};
  check(
      [&](GraphWriter& g, const GraphValue& x) {
        return g.op("Gemm", {x, g.constant("w", {2, 3}, std::span<const float>(w))},
                    {{"transB", 1}, {"alpha", .5f}});
      },
      {2, 0, 2}, {"batch", 2}, {4, 10});
}

TEST_CASE("entries chosen along an axis, put back, ranges and limits") {
  check(
      [](GraphWriter& g, const GraphValue& x) {
        const std::vector<std::int64_t> which{2, 0, -2, 1};
        return g.op("GatherElements", {x, g.constant("which", {2, 2}, std::span<const std::int64_t>(which))},
                    {{"axis", 1}});
      },
      {1, 2, 3, 4, 5, 6}, {2, 2}, {3, 1, 5, 5});
  check(
      [](GraphWriter& g, const GraphValue& x) {
        const std::vector<std::int64_t> where{1, 0, 2, 1};
        const Values values{10, 20, 30, 40};
        return g.op("ScatterElements",
                    {x, g.constant("where", {2, 2}, std::span<const std::int64_t>(where)),
                     g.constant("values", {2, 2}, std::span<const float>(values))},
                    {{"axis", 1}});
      },
      {1, 2, 3, 4, 5, 6}, same, {20, 10, 3, 4, 40, 30});
  check(
      [](GraphWriter& g, const GraphValue& x) {
        const Values flags{1, 0, 1}, rows{10, 20, 30, 40, 50, 60};
        const GraphValue chosen = g.op("NonZero", {g.constant("flags", {3}, std::span<const float>(flags))});
        const GraphValue where = g.op("Transpose", {chosen}, {{"perm", std::vector<std::int64_t>{1, 0}}});
        return g.op("ScatterND", {x, where, g.constant("rows", {2, 3}, std::span<const float>(rows))});
      },
      {1, 2, 3, 4, 5, 6, 7, 8, 9}, same, {10, 20, 30, 4, 5, 6, 40, 50, 60});
  check(
      [](GraphWriter& g, const GraphValue& x) {
        const auto number = [&](const char* name, std::int64_t value) {
          return g.constant(name, {}, std::vector<std::int64_t>{value});
        };
        return g.op("Add",
                    {x, g.cast(g.op("Range", {number("begin", 1), number("end", 7), number("step", 2)}),
                               GraphType::f32)});
      },
      {0, 0, 0}, same, {1, 3, 5});
  check(
      [](GraphWriter& g, const GraphValue& x) {
        return g.op("Clip", {x, g.scalar(-1.f), g.scalar(3.f)});
      },
      two_rows, same, {1, -1, 3, 3, .5f, -1});
  check(
      [](GraphWriter& g, const GraphValue& x) {
        return g.op("Softmax", {x}, {{"axis", 1}});
      },
      {0, 0, 0}, same, {1.f / 3, 1.f / 3, 1.f / 3});
  check(
      [](GraphWriter& g, const GraphValue& x) {
        return g.op("Neg", {g.op("Sqrt", {g.op("Pow", {g.op("Elu", {x}), g.scalar(2.f)})})});
      },
      {1, -2, 3}, same, {-1, static_cast<float>(std::exp(-2) - 1), -3});
}

TEST_CASE("what cannot be run is refused in one sentence") {
  io::GraphBuilder graph("unknown");
  const GraphValue input = graph.input("x", GraphType::f32, {"batch", 4});
  const GraphBody body = graph.subgraph("step", [&](GraphWriter& step) {
    step.output(step.op("Tan", {step.input("row", GraphType::f32, {4})}), "y", GraphType::f32, {4});
  });
  graph.output(graph.op("Scan", {input}, {{"body", body}, {"num_scan_inputs", 1}}), "y", GraphType::f32,
               {"batch", 4});
  const io::OnnxModel tangent = io::OnnxModel::parse(graph.bytes(), "tangent.onnx");
  const Tensor x = Tensor::zeros({1, 4});
  CHECK_THROWS_WITH_AS(io::run_onnx(tangent, {{"x", x}}),
                       "tangent.onnx: node 'step.Tan' (Tan): the operator is not supported", IoError);
  CHECK_THROWS_WITH_AS(io::run_onnx(tangent, {}), doctest::Contains("tangent.onnx: input 'x' is not given"),
                       ConfigError);
}
