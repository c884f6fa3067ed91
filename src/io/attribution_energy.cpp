// The energy network for many completions of a few conditions: the part of the first layer that belongs to
// mask and context is computed once a condition, as in models/energy_network.h.
#include <fmt/format.h>

#include "emshap/layers/activation.h"
#include "io/attribution_graph.h"
#include "io/emshap_graph.h"

namespace emshap::io {

EnergyGraph::EnergyGraph(GraphWriter& graph, const EnergyNetwork& energy) : energy_(energy) {
  const ParameterStore& store = energy.store();
  const auto layer = [&](const std::string& name, bool bias) {
    return Layer{parameter(graph, store, name + ".weight"),
                 bias ? parameter(graph, store, name + ".bias") : GraphValue{}};
  };
  completion_ = layer("energy.completion", false);
  condition_ = layer("energy.condition", true);
  for (int b = 0; b < energy.options().blocks; ++b)
    for (int j = 0; j < energy.options().depth; ++j)
      layers_.push_back(layer(fmt::format("energy.block{}.{}.linear", b, j), true));
  output_ = layer("energy.output", true);
}

GraphValue EnergyGraph::write(GraphWriter& graph, const GraphValue& x, const GraphValue& mask,
                              const GraphValue& context, std::int64_t conditions, std::int64_t draws) const {
  const GraphWriter::Scope scope(graph, "energy");
  const EnergyNetworkOptions& o = energy_.options();
  const auto activated = [&](const GraphValue& value) {
    return ActivationLayer(o.activation).to_onnx(graph, value);
  };
  const auto linear = [&](const Layer& layer, const GraphValue& value) {
    return graph.op("Gemm", {value, layer.weight, layer.bias});
  };
  const GraphValue shared = linear(condition_, graph.op("Concat", {mask, context}, {{"axis", 1}}));
  const GraphValue own =
      reshaped(graph, graph.op("MatMul", {x, completion_.weight}), {conditions, draws, o.hidden});
  GraphValue h = reshaped(graph, activated(graph.op("Add", {own, unsqueeze(graph, shared, 1)})),
                          {conditions * draws, o.hidden});
  for (int b = 0; b < o.blocks; ++b) {
    GraphValue u = h;
    for (int j = 0; j < o.depth; ++j)
      u = activated(linear(layers_[static_cast<std::size_t>(b * o.depth + j)], u));
    h = graph.op("Add", {h, u});
  }
  const GraphValue raw = linear(output_, h);
  const auto bound = static_cast<float>(o.bound);
  return graph.op("Mul",
                  {graph.op("Tanh", {graph.op("Mul", {raw, graph.scalar(1 / bound)})}), graph.scalar(bound)});
}

}  // namespace emshap::io
