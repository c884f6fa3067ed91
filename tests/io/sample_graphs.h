#pragma once
// Graphs that several tests build.
#include <vector>

#include "emshap/io/graph_builder.h"

namespace emshap::test {

/// y = float((double(x) - mean) / scale), x (batch, 3).
inline void build_scaler(io::GraphBuilder& graph) {
  const GraphValue x = graph.input("x", GraphType::f32, {"batch", 3});
  const std::vector<double> mean{1.0 / 3, -2.5e9, 0.1}, scale{1e-3, 7.0 / 11, 2};
  GraphValue y;
  {
    GraphWriter::Scope scope(graph, "scaler");
    const GraphValue m = graph.constant("mean", {3}, mean);
    const GraphValue s = graph.constant("scale", {3}, scale);
    y = graph.cast(graph.op("Div", {graph.op("Sub", {graph.cast(x, GraphType::f64), m}), s}), GraphType::f32);
  }
  graph.output(y, "y", GraphType::f32, {"batch", 3});
  graph.describe("x", "raw units");
  graph.metadata("features", R"(["a","b","c"])");
  graph.metadata("units", R"(["W","K","%"])");
}

/// Running sums along the rows of x (steps, 4): a Scan whose body uses a constant of the main graph.
///   h <- .5 h + x_t;  y_t = h;  also gives the last h.
inline void build_scan(io::GraphBuilder& graph) {
  const GraphValue x = graph.input("x", GraphType::f32, {"steps", 4});
  const GraphValue decay = graph.constant("decay", {}, std::vector<float>{.5f});
  const GraphValue start = graph.constant("start", {4}, std::vector<float>{0, 1, 0, -1});
  const GraphBody body = graph.subgraph("step", [&](GraphWriter& step) {
    const GraphValue h = step.input("h", GraphType::f32, {4});
    const GraphValue xt = step.input("x", GraphType::f32, {4});
    const GraphValue next = step.op("Add", {step.op("Mul", {h, decay}), xt});
    step.output(next, "next", GraphType::f32, {4});
    step.output(next, "row", GraphType::f32, {4});
  });
  const GraphValues results = graph.node("Scan", {start, x}, 2, {{"body", body}, {"num_scan_inputs", 1}});
  graph.output(results[1], "y", GraphType::f32, {"steps", 4});
  graph.output(results[0], "last", GraphType::f32, {4});
}

}  // namespace emshap::test
