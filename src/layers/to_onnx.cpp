// What infer computes, as nodes of a graph (operators of ONNX opset 17).
#include <cmath>
#include <vector>

#include "emshap/data/graph_writer.h"
#include "emshap/layers/residual_block.h"
#include "emshap/layers/skip_mlp.h"

namespace emshap {
namespace {

GraphValue activation_to_onnx(GraphWriter& graph, Activation activation, const GraphValue& x) {
  switch (activation) {
    case Activation::identity:
      return x;
    case Activation::relu:
      return graph.op("Relu", {x});
    case Activation::leaky_relu:
      return graph.op("LeakyRelu", {x}, {{"alpha", .01f}});
    case Activation::gelu: {  // z Phi(z) = z/2 (1 + erf(z / sqrt 2)); Gelu itself came with opset 20
      const GraphValue erf =
          graph.op("Erf", {graph.op("Mul", {x, graph.scalar(static_cast<float>(std::sqrt(.5)))})});
      return graph.op("Mul",
                      {graph.op("Mul", {x, graph.scalar(.5f)}), graph.op("Add", {erf, graph.scalar(1.f)})});
    }
    case Activation::tanh:
      return graph.op("Tanh", {x});
    case Activation::sigmoid:
      return graph.op("Sigmoid", {x});
    case Activation::softplus:
      return graph.op("Softplus", {x});
    case Activation::silu:
      return graph.op("Mul", {x, graph.op("Sigmoid", {x})});
  }
  return x;
}

template <class Id>
GraphValue constant(GraphWriter& graph, const ParameterStore& store,
                    const std::vector<ParameterStore::Entry>& entries, Id id) {
  const ParameterStore::Entry& e = entries.at(static_cast<std::size_t>(id.index));
  const std::vector<double> wide = store.get(id);
  const std::vector<float> values(wide.begin(), wide.end());
  GraphExtents extents;
  for (int axis = 0; axis < e.shape.rank(); ++axis) extents.push_back(e.shape[axis]);
  return graph.constant(e.name, extents, std::span<const float>(values));
}
GraphValue constant(GraphWriter& graph, const ParameterStore& store, ParameterId id) {
  return constant(graph, store, store.parameters(), id);
}
GraphValue constant(GraphWriter& graph, const ParameterStore& store, BufferId id) {
  return constant(graph, store, store.buffers(), id);
}

}  // namespace

GraphValue ActivationLayer::to_onnx(GraphWriter& graph, const GraphValue& x) const {
  return activation_to_onnx(graph, activation_, x);
}

GraphValue Linear::to_onnx(GraphWriter& graph, const GraphValue& x) const {
  GraphValues inputs{x, constant(graph, *store_, weight_)};
  if (options_.bias) inputs.push_back(constant(graph, *store_, bias_));
  return activation_to_onnx(graph, options_.activation, graph.op(options_.bias ? "Gemm" : "MatMul", inputs));
}

GraphValue BatchNorm::to_onnx(GraphWriter& graph, const GraphValue& x) const {
  const GraphValue y =
      graph.op("BatchNormalization",
               {x, constant(graph, *store_, gamma_), constant(graph, *store_, beta_),
                constant(graph, *store_, running_mean_), constant(graph, *store_, running_var_)},
               {{"epsilon", options_.eps}});
  return activation_to_onnx(graph, options_.activation, y);
}

GraphValue MlpBlock::to_onnx(GraphWriter& graph, const GraphValue& x) const {
  GraphValue h = linear_.to_onnx(graph, x);
  if (norm_) h = norm_->to_onnx(graph, h);
  if (activation_) h = activation_->to_onnx(graph, h);
  return h;
}

GraphValue ResidualBlock::to_onnx(GraphWriter& graph, const GraphValue& x) const {
  return graph.op("Add", {x, second_.to_onnx(graph, first_.to_onnx(graph, x))});
}

GraphValue SkipMlp::to_onnx(GraphWriter& graph, const GraphValue& x) const {
  const auto stream = [&](const GraphValue& h) {
    return options_.skip == Skip::concat ? graph.op("Concat", {h, x}, {{"axis", 1}}) : h;
  };
  GraphValue h = input_.to_onnx(graph, x);
  for (int b = 0; b < options_.blocks; ++b) {
    GraphValue u = stream(h);
    for (int j = 0; j < options_.depth; ++j)
      u = layers_[static_cast<std::size_t>(b * options_.depth + j)].to_onnx(graph, u);
    h = options_.skip == Skip::concat ? u : graph.op("Add", {h, u});
  }
  return output_.to_onnx(graph, stream(h));
}

}  // namespace emshap
