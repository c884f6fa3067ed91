// The set-GRU in ONNX: one GRU node over all features in ascending order. An unknown feature must leave the
// state as it is. Its token is 0, and an extra input column of 1 feeds the update gate alone, with a weight
// that makes the gate 1 in float32 whatever the state: h <- (1 - z) n + z h = h. So sequence_lens, which
// could only hide features at the end, is not needed.
#include <algorithm>
#include <cmath>

#include "emshap/models/set_gru.h"
#include "io/emshap_graph.h"

namespace emshap::io {
namespace {

/// The gates (r, z, n) of (rows, 3H) in ONNX's order (z, r, n).
GraphValue reorder_gates(GraphWriter& graph, const GraphValue& gates, std::int64_t axis) {
  const GraphValues parts = graph.node("Split", {gates}, 3, {{"axis", axis}}, "gate");
  return graph.op("Concat", {parts[1], parts[0], parts[2]}, {{"axis", axis}});
}

/// At least 60; more where the rest of the update gate's argument could outweigh it: with a token of 0 that
/// is at most |b_z| + sum |W_hh,z| max(1, |h_{}|), since the state stays within the hull of -1, 1 and its
/// start.
double closing_weight(const ParameterStore& store, std::int64_t hidden) {
  const std::vector<double> bias_ih = store.get(store.find("gru.bias_ih"));
  const std::vector<double> bias_hh = store.get(store.find("gru.bias_hh"));
  const std::vector<double> weight = store.get(store.find("gru.weight_hh"));
  double state = 1;
  for (const double value : store.get(store.find("start"))) state = std::max(state, std::abs(value));
  double bound = 0;
  for (std::int64_t j = hidden; j < 2 * hidden; ++j) {
    double sum =
        std::abs(bias_ih[static_cast<std::size_t>(j)]) + std::abs(bias_hh[static_cast<std::size_t>(j)]);
    for (std::int64_t i = 0; i < hidden; ++i)
      sum += state * std::abs(weight[static_cast<std::size_t>(i * 3 * hidden + j)]);
    bound = std::max(bound, sum);
  }
  return std::max(60.0, 30 + std::ceil(bound));
}

/// tau_t (B, F, E) with 0 for unknown features, and 1 - mask behind it: (B, F, E + 1).
GraphValue write_tokens(GraphWriter& graph, const SetGru& proposal, const KnownValues& values) {
  const FeatureLayout& layout = proposal.layout();
  const std::int64_t features = layout.features();
  GraphValue shift = parameter(graph, proposal.store(), "token.shift");
  if (layout.total_categories() > 0) {
    const std::vector<std::int64_t> offsets = layout.offsets();
    std::vector<std::int64_t> rows;
    for (std::int64_t t = 0; t < features; ++t)
      rows.push_back(layout.categorical(t) ? features + offsets[static_cast<std::size_t>(t)] : t);
    shift = graph.op("Gather", {shift, graph.op("Add", {values.code, graph.integers(rows)})}, {{"axis", 0}});
  }
  const GraphValue scaled =
      graph.op("Mul", {unsqueeze(graph, values.x, 2), parameter(graph, proposal.store(), "token.scale")});
  const GraphValue known = unsqueeze(graph, values.known32, 2);
  const GraphValue token = graph.op("Mul", {graph.op("Add", {scaled, shift}), known});
  return graph.op("Concat", {token, graph.op("Sub", {graph.scalar(1.f), known})}, {{"axis", 2}}, "tokens");
}

/// h_S (B, H).
GraphValue write_state(GraphWriter& graph, const SetGru& proposal, const KnownValues& values) {
  const ParameterStore& store = proposal.store();
  const std::int64_t hidden = proposal.options().hidden;
  std::vector<float> closing(static_cast<std::size_t>(3 * hidden), 0.f);
  std::fill_n(closing.begin(), hidden, static_cast<float>(closing_weight(store, hidden)));

  const GraphValue gates = reorder_gates(graph, parameter(graph, store, "gru.weight_ih"), 1);
  const GraphValue extended = graph.op(
      "Concat", {gates, graph.constant("closing_weight", {1, 3 * hidden}, std::span<const float>(closing))},
      {{"axis", 0}});
  const auto transposed = [&](const GraphValue& weight) {
    return unsqueeze(graph, graph.op("Transpose", {weight}, {{"perm", std::vector<std::int64_t>{1, 0}}}), 0);
  };
  const GraphValue w = transposed(extended);
  const GraphValue r = transposed(reorder_gates(graph, parameter(graph, store, "gru.weight_hh"), 1));
  const GraphValue bias =
      unsqueeze(graph,
                graph.op("Concat",
                         {reorder_gates(graph, parameter(graph, store, "gru.bias_ih"), 0),
                          reorder_gates(graph, parameter(graph, store, "gru.bias_hh"), 0)},
                         {{"axis", 0}}),
                0);
  const GraphValue rows = graph.op("Shape", {values.x}, {{"start", 0}, {"end", 1}});
  const GraphValue start = graph.op(
      "Expand", {parameter(graph, store, "start"),
                 graph.op("Concat", {graph.integers({1}), rows, graph.integers({hidden})}, {{"axis", 0}})});
  const GraphValue sequence = graph.op("Transpose", {write_tokens(graph, proposal, values)},
                                       {{"perm", std::vector<std::int64_t>{1, 0, 2}}});
  const GraphValues states = graph.node("GRU", {sequence, w, r, bias, GraphValue{}, start}, 2,
                                        {{"hidden_size", hidden}, {"linear_before_reset", 1}}, "state");
  return graph.op("Squeeze", {states[1], graph.integers({0})});
}

}  // namespace

ProposalHeads write_set_gru(GraphWriter& graph, const SetGru& proposal, const KnownValues& values) {
  const ParameterStore& store = proposal.store();
  const FeatureLayout& layout = proposal.layout();
  ProposalHeads heads;
  heads.context = write_state(graph, proposal, values);

  // u = relu(W1 [h; mu; log s] + e_t), then u + relu(W2 u), for all features at once: (B, F, H).
  const GraphValue moments =
      graph.op("Concat", {unsqueeze(graph, values.mu, 2), unsqueeze(graph, values.log_sd, 2)}, {{"axis", 2}});
  const GraphValue from_state =
      unsqueeze(graph, graph.op("MatMul", {heads.context, parameter(graph, store, "head.state")}), 1);
  const GraphValue from_moments = graph.op("MatMul", {moments, parameter(graph, store, "head.moments")});
  const GraphValue sum =
      graph.op("Add", {graph.op("Add", {from_state, from_moments}), parameter(graph, store, "head.feature")});
  GraphValue u = graph.op("Relu", {sum});
  u = graph.op("Add",
               {u, graph.op("Relu", {graph.op("MatMul", {u, parameter(graph, store, "head.hidden")})})});
  heads.mixture = graph.op("Add", {graph.op("MatMul", {u, parameter(graph, store, "head.mixture")}),
                                   parameter(graph, store, "head.mixture_bias")});
  if (layout.total_categories() == 0) return heads;

  const GraphValue weight = parameter(graph, store, "head.category");
  const GraphValue bias = parameter(graph, store, "head.category_bias");
  const std::vector<std::int64_t> offsets = layout.offsets();
  for (std::int64_t t = 0; t < layout.features(); ++t) {
    if (!layout.categorical(t)) continue;
    const GraphValue begin = graph.integers({offsets[static_cast<std::size_t>(t)]});
    const GraphValue end = graph.integers({offsets[static_cast<std::size_t>(t) + 1]});
    const GraphValue scores = graph.op(
        "Gemm", {graph.op("Squeeze",
                          {graph.op("Gather", {u, graph.integers({t})}, {{"axis", 1}}), graph.integers({1})}),
                 graph.op("Slice", {weight, begin, end, graph.integers({1})}),
                 graph.op("Slice", {bias, begin, end, graph.integers({0})})});
    heads.log_shares.push_back(graph.op("LogSoftmax", {scores}, {{"axis", 1}}, "category"));
  }
  return heads;
}

}  // namespace emshap::io
