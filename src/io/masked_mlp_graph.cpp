// The masked MLP in ONNX: one pass for all features.
#include <fmt/format.h>

#include "emshap/models/masked_mlp.h"
#include "io/emshap_graph.h"

namespace emshap::io {
namespace {

GraphValue write_linear(GraphWriter& graph, const ParameterStore& store, const std::string& name,
                        const GraphValue& x) {
  return graph.op("Gemm",
                  {x, parameter(graph, store, name + ".weight"), parameter(graph, store, name + ".bias")});
}

/// (B, V) f32: 1 for the category of each known categorical feature.
GraphValue write_one_hot(GraphWriter& graph, const FeatureLayout& layout, const KnownValues& values) {
  std::vector<std::int64_t> feature, category;
  for (std::int64_t t = 0; t < layout.features(); ++t)
    for (std::int64_t v = 0; v < layout.categories[static_cast<std::size_t>(t)]; ++v) {
      feature.push_back(t);
      category.push_back(v);
    }
  const GraphValue owner = graph.integers(feature);
  const GraphValue same =
      graph.op("Equal", {graph.op("Gather", {values.code, owner}, {{"axis", 1}}), graph.integers(category)});
  const GraphValue known = graph.op("Gather", {values.known, owner}, {{"axis", 1}});
  return graph.cast(graph.op("And", {same, known}), GraphType::f32);
}

}  // namespace

ProposalHeads write_masked_mlp(GraphWriter& graph, const MaskedMlp& proposal, const KnownValues& values) {
  const ParameterStore& store = proposal.store();
  const FeatureLayout& layout = proposal.layout();
  const MaskedMlpOptions& options = proposal.options();
  const bool categories = layout.total_categories() > 0;

  const GraphValue unknown = graph.op("Sub", {graph.scalar(1.f), values.known32});
  GraphValues parts{values.x, values.known32, graph.op("Mul", {unknown, values.mu}),
                    graph.op("Mul", {unknown, values.log_sd})};
  if (categories) parts.push_back(write_one_hot(graph, layout, values));
  const GraphValue z = graph.op("Concat", parts, {{"axis", 1}});

  GraphValue h = graph.op("Relu", {write_linear(graph, store, "input.linear", z)});
  for (int i = 0; i < options.blocks; ++i) {
    const GraphValue inner =
        graph.op("Relu", {write_linear(graph, store, fmt::format("block{}.first.linear", i), h)});
    h = graph.op("Add", {h, write_linear(graph, store, fmt::format("block{}.second", i), inner)});
  }
  ProposalHeads heads;
  heads.context = graph.op("Relu", {h});
  heads.mixture =
      graph.op("Reshape", {write_linear(graph, store, "mixture", heads.context),
                           shape_with_rows_of(graph, values.x, {layout.features(), 3 * options.components})});
  if (!categories) return heads;

  const GraphValue scores = write_linear(graph, store, "category", heads.context);
  const std::vector<std::int64_t> offsets = layout.offsets();
  for (std::int64_t t = 0; t < layout.features(); ++t) {
    if (!layout.categorical(t)) continue;
    const GraphValue own =
        graph.op("Slice", {scores, graph.integers({offsets[static_cast<std::size_t>(t)]}),
                           graph.integers({offsets[static_cast<std::size_t>(t) + 1]}), graph.integers({1})});
    heads.log_shares.push_back(graph.op("LogSoftmax", {own}, {{"axis", 1}}, "category"));
  }
  return heads;
}

}  // namespace emshap::io
