// Links everything that was installed; with io it writes a graph, which ONNX's checker looks at, and reads it
// back.
#include <cstdio>

#include "emshap/core/version.h"
#if CONSUMER_HAS_IO
#include "emshap/io/graph_builder.h"
#include "emshap/io/onnx_model.h"
#endif

int main() {
  std::printf("emshap %s\n%s\n", emshap::version(), emshap::build_configuration());
#if CONSUMER_HAS_IO
  emshap::io::GraphBuilder graph("twice");
  const emshap::GraphValue x = graph.input("x", emshap::GraphType::f32, {"batch", 3});
  graph.output(graph.op("Add", {x, x}), "y", emshap::GraphType::f32, {"batch", 3});
  const auto model = emshap::io::OnnxModel::parse(graph.bytes(), "twice.onnx");
  std::printf("%zu node of opset %lld\n", model.nodes().size(), static_cast<long long>(model.opset()));
  return model.nodes().size() == 1 ? 0 : 1;
#endif
}
