// Autoregressive draws for a block of coalitions. All draws of the block advance together, one position of
// their sequences after another, so that coalitions of a size take no step in vain and several generation
// orders are no extra work. The first position depends on the coalition alone: its head runs once for all
// draws.
#include <cmath>

#include "emshap/core/error.h"
#include "emshap/models/masked_mlp.h"
#include "emshap/models/set_gru.h"
#include "emshap/ops/density.h"
#include "io/attribution_matrix.h"
#include "io/attribution_networks.h"
#include "io/emshap_graph.h"

namespace emshap::io {
namespace {

constexpr std::int64_t S = AttributionPlan::block;

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

}  // namespace

GraphValue reshaped(GraphWriter& graph, const GraphValue& value, const std::vector<std::int64_t>& shape) {
  return graph.op("Reshape", {value, graph.integers(shape)});
}

StepNetwork::StepNetwork(const FeatureLayout& layout, const AttributionPlan& plan)
    : plan_(plan), F(layout.features()), V(layout.total_categories()) {
  const std::vector<std::int64_t> offsets = layout.offsets();
  for (std::int64_t t = 0; t < F; ++t) slot_.push_back(layout.categorical(t) ? F + 1 + offsets[at(t)] : t);
}
StepNetwork::~StepNetwork() = default;

GraphValue StepNetwork::write_contexts(GraphWriter&, const GraphValue&, const GraphValue&, const GraphValue&,
                                       std::int64_t) const {
  return {};
}

GraphValue StepNetwork::write_slots(GraphWriter& graph, const GraphValue& code) const {
  const GraphValue first = graph.integers(slot_);
  return V > 0 ? graph.op("Add", {first, code}) : first;
}

GraphValue StepNetwork::for_draws(GraphWriter& graph, const GraphValue& of_coalition, std::int64_t k) const {
  const GraphValue all =
      graph.op("Expand", {unsqueeze(graph, of_coalition, 1), graph.integers({S, plan_.parts * k, H})});
  return reshaped(graph, all, {rows(k), H});
}

std::unique_ptr<StepNetwork> make_step_network(GraphWriter& graph, const Proposal& proposal,
                                               const AttributionPlan& plan) {
  if (const auto* gru = dynamic_cast<const SetGru*>(&proposal)) return make_set_gru_steps(graph, *gru, plan);
  if (const auto* mlp = dynamic_cast<const MaskedMlp*>(&proposal))
    return make_masked_mlp_steps(graph, *mlp, plan);
  throw ConfigError("the attribution graph has no form for the proposal, expected gru or mlp");
}

SamplerGraph::SamplerGraph(GraphWriter& graph, const Proposal& proposal, const AttributionPlan& plan)
    : plan_(plan),
      network_(make_step_network(graph, proposal, plan)),
      F(proposal.layout().features()),
      V(proposal.layout().total_categories()),
      H(network_->width()),
      C(network_->components()) {
  const GraphWriter::Scope scope(graph, "draw");
  const FeatureLayout& layout = proposal.layout();
  const std::vector<std::int64_t> offsets = layout.offsets();
  const GraphExtents noise{plan.parts * (F + 1), plan.part_draws()};
  w_.uniform = graph.constant("noise.uniform", noise, std::span<const float>(plan.uniform));
  w_.score = graph.constant("noise.score", noise, std::span<const float>(plan.score));
  std::vector<std::int64_t> part;
  for (std::int64_t q = 0; q < plan.parts; ++q) part.push_back(q * (F + 1));
  w_.part = graph.constant("noise.part", {plan.parts}, std::span<const std::int64_t>(part));
  if (V == 0) return;

  GraphMatrix allowed(F + 1, V), base(F + 1, V), all_before(V, V), ones(V, 1);
  std::vector<float> is_category(at(F + 1), 0.f);
  std::fill(allowed.v.begin(), allowed.v.end(), -1e30f);
  std::vector<float> values;
  for (std::int64_t t = 0; t < F; ++t)
    for (std::int64_t v = offsets[at(t)]; v < offsets[at(t + 1)]; ++v) {
      allowed(t, v) = 0;
      base(t, v) = static_cast<float>(.01 * layout.frequencies[at(v)]);
      is_category[at(t)] = 1;
      for (std::int64_t later = v; later < V; ++later) all_before(v, later) = 1;
      ones(v, 0) = 1;
      values.push_back(static_cast<float>(layout.values[at(v)]));
    }
  w_.allowed = allowed.write(graph, "category.allowed");
  w_.base = base.write(graph, "category.base");
  w_.is_category = write_list(graph, "category.is", is_category);
  w_.all_before = all_before.write(graph, "category.all_before");
  w_.ones = ones.write(graph, "category.ones");
  w_.values = write_list(graph, "category.values", values);
}

// Coalitions whose feature is categorical are few: they are picked out and put back.
void SamplerGraph::write_category(GraphWriter& graph, const GraphValue& u, const GraphValue& feature,
                                  const GraphValue& uniform, std::int64_t k, Drawn& drawn) const {
  const GraphWriter::Scope scope(graph, "category");
  const std::int64_t Q = plan_.parts, each = plan_.part_draws();
  const GraphValue of_pair = reshaped(graph, feature, {S * Q});
  const GraphValue is =
      graph.op("Greater", {graph.op("Gather", {w_.is_category, of_pair}), graph.scalar(.5f)});
  const GraphValue chosen =
      graph.op("Squeeze", {graph.op("NonZero", {is}), graph.integers({0})}, {}, "chosen");  // (m)
  const auto picked = [&](const GraphValue& value, std::int64_t width) {
    return graph.op("Gather", {reshaped(graph, value, {S * Q, width}), chosen}, {{"axis", 0}});
  };
  const GraphValue own = graph.op("Gather", {of_pair, chosen});
  const auto of_feature = [&](const GraphValue& table) {
    return unsqueeze(graph, graph.op("Gather", {table, own}, {{"axis", 0}}), 1);  // (m, 1, V)
  };
  const GraphValue logits = reshaped(graph,
                                     graph.op("Gemm", {reshaped(graph, picked(u, k * H), {-1, H}),
                                                       network_->category, network_->category_bias}),
                                     {-1, k, V});
  const GraphValue share =
      graph.op("Softmax", {graph.op("Add", {logits, of_feature(w_.allowed)})}, {{"axis", 2}});
  const GraphValue p =
      graph.op("Add", {graph.op("Mul", {share, graph.scalar(.99f)}), of_feature(w_.base)}, {}, "probability");
  const GraphValue sums = graph.op("MatMul", {p, w_.all_before});
  // The sums are 0 before the feature's categories and their total behind: what is counted is the number of
  // the category among those of all features.
  const GraphValue total = graph.op("Gather", {sums, graph.integers({V - 1})}, {{"axis", 2}});
  const GraphValue level = graph.op("Mul", {unsqueeze(graph, picked(uniform, each), 2), total});
  const GraphValue reached = graph.cast(graph.op("GreaterOrEqual", {level, sums}), GraphType::f32);
  const GraphValue count = graph.op(
      "Min", {graph.cast(reshaped(graph, graph.op("MatMul", {reached, w_.ones}), {-1, each}), GraphType::i64),
              graph.integers({V - 1})});  // (m, K_q)
  const GraphValue place = unsqueeze(graph, chosen, 1);
  const auto put_back = [&](const GraphValue& all, const GraphValue& values) {
    return reshaped(graph, graph.op("ScatterND", {reshaped(graph, all, {S * Q, each}), place, values}),
                    {S, Q, each});
  };
  drawn.x = put_back(drawn.x, graph.op("Gather", {w_.values, count}));
  drawn.slot = put_back(graph.op("Expand", {unsqueeze(graph, feature, 2), graph.integers({S, Q, each})}),
                        graph.op("Add", {count, graph.integers({F + 1})}));
}

namespace {

GraphValue sum_of(GraphWriter& graph, const GraphValue& components) {
  return graph.op("ReduceSum", {components, graph.integers({0})}, {{"keepdims", 0}});
}

}  // namespace

// math/mixture_quantile.h in operators. Components stand in front, so that operators run along draws.
GraphValue SamplerGraph::write_quantile(GraphWriter& graph, const GraphValue& out, const GraphValue& uniform,
                                        const GraphValue& score, std::int64_t k) const {
  const GraphWriter::Scope scope(graph, "quantile");
  constexpr std::int64_t steps = 12;
  const std::int64_t Q = plan_.parts, each = plan_.part_draws();
  const GraphValue head = graph.op("Transpose", {out}, {{"perm", GraphAttribute::Integers{1, 0}}});
  const auto of_head = [&](std::int64_t begin) {
    const GraphValue one =
        graph.op("Slice", {head, graph.integers({begin}), graph.integers({begin + C}), graph.integers({0})});
    return reshaped(graph, one, {C, S, Q, k});
  };
  const GraphValue least = graph.scalar(static_cast<float>(ops::mixture_min_scale));
  const GraphValue spread = graph.op("Add", {graph.op("Softplus", {of_head(2 * C)}), least}, {}, "spread");
  if (C == 1) return sum_of(graph, graph.op("Add", {of_head(C), graph.op("Mul", {spread, score})}));

  const GraphValue weight = graph.op("Softmax", {of_head(0)}, {{"axis", 0}}, "weight");
  const GraphValue half = graph.scalar(.5f), none = graph.scalar(0.f);
  // The smaller half of the distribution, turned so that it lies below.
  const GraphValue upper = graph.op("Greater", {uniform, half});
  const GraphValue level =
      graph.op("Where", {upper, graph.op("Sub", {graph.scalar(1.f), uniform}), uniform}, {}, "level");
  const GraphValue sign = graph.op("Where", {upper, graph.scalar(-1.f), graph.scalar(1.f)}, {}, "sign");
  const GraphValue place = graph.op("Mul", {of_head(C), sign}, {}, "place");  // (C, S, Q, K_q)
  const GraphValue quantiles =
      graph.op("Add", {place, graph.op("Mul", {spread, graph.op("Mul", {score, sign})})});
  const auto over_components = [&](const char* op) {
    GraphValues parts;
    for (std::int64_t c = 0; c < C; ++c)
      parts.push_back(
          graph.op("Slice", {quantiles, graph.integers({c}), graph.integers({c + 1}), graph.integers({0})}));
    return reshaped(graph, graph.op(op, parts), {S, Q, each});
  };
  const GraphValue low = over_components("Min"), high = over_components("Max");
  const GraphValue start = sum_of(graph, graph.op("Mul", {weight, quantiles}));
  const GraphValue narrow = graph.op("Reciprocal", {spread}, {}, "narrow");
  const GraphValue height = graph.op("Mul", {weight, narrow}, {}, "height");
  const GraphDims dims{S, Q, each};
  const GraphBody body = graph.subgraph("step", [&](GraphWriter& g) {
    const GraphValue x = g.input("x", GraphType::f32, dims), left_end = g.input("low", GraphType::f32, dims),
                     right_end = g.input("high", GraphType::f32, dims);
    g.input("number", GraphType::f32, {});
    const GraphValue d = g.op("Mul", {g.op("Sub", {x, place}), narrow}, {}, "distance");
    const GraphValue cdf = g.op(
        "Mul",
        {g.op("Add", {g.op("Erf", {g.op("Mul", {d, g.scalar(.70710678f)})}), g.scalar(1.f)}), g.scalar(.5f)});
    const GraphValue bell = g.op(
        "Mul", {g.op("Exp", {g.op("Mul", {g.op("Mul", {d, d}), g.scalar(-.5f)})}), g.scalar(.39894228f)});
    const GraphValue below =
        g.op("Max", {sum_of(g, g.op("Mul", {weight, cdf})), g.scalar(1e-30f)}, {}, "below");
    const GraphValue density = sum_of(g, g.op("Mul", {height, bell}));
    const GraphValue off = g.op("Log", {g.op("Div", {below, level})}, {}, "off");
    const GraphValue left = g.op("Less", {off, none});
    const GraphValue next_low = g.op("Where", {left, x, left_end}),
                     next_high = g.op("Where", {left, right_end, x});
    const GraphValue newton =
        g.op("Sub", {x, g.op("Mul", {off, g.op("Div", {below, density})})}, {}, "newton");
    const GraphValue inside =
        g.op("And", {g.op("GreaterOrEqual", {newton, next_low}), g.op("LessOrEqual", {newton, next_high})});
    const GraphValue middle = g.op("Mul", {g.op("Add", {next_low, next_high}), half});
    g.output(g.op("Where", {inside, newton, middle}), "next", GraphType::f32, dims);
    g.output(next_low, "next_low", GraphType::f32, dims);
    g.output(next_high, "next_high", GraphType::f32, dims);
  });
  const GraphValue numbers = graph.op("Expand", {none, graph.integers({steps})});
  const GraphValues ends =
      graph.node("Scan", {start, low, high, numbers}, 3, {{"body", body}, {"num_scan_inputs", 1}}, "search");
  return graph.op("Mul", {ends[0], sign});
}

Drawn SamplerGraph::write_value(GraphWriter& graph, const StepNetwork::Head& head,
                                const StepNetwork::Place& place, const GraphValue& log_sd) const {
  const std::int64_t k = place.k;
  const GraphValue &mean = place.mean, &feature = place.feature, &out = head.mixture;
  const GraphValue noise = graph.op("Add", {feature, w_.part});
  const GraphValue uniform = graph.op("Gather", {w_.uniform, noise}, {{"axis", 0}}, "uniform");
  const GraphValue score = graph.op("Gather", {w_.score, noise}, {{"axis", 0}}, "score");
  const GraphValue standardised = write_quantile(graph, out, uniform, score, k);
  const GraphValue sd = unsqueeze(graph, graph.op("Exp", {log_sd}), 2);
  Drawn drawn;
  drawn.x = graph.op("Add", {mean, graph.op("Mul", {sd, standardised})}, {}, "x");
  if (V > 0) write_category(graph, head.u, feature, uniform, k, drawn);
  return drawn;
}

SamplerGraph::Result SamplerGraph::write_draws(GraphWriter& graph, const BlockStart& start) const {
  const GraphWriter::Scope scope(graph, "draw");
  const std::int64_t Q = plan_.parts, each = plan_.part_draws(), R = rows(each);
  const GraphValue zero = graph.integers({0}), one = graph.integers({1});
  const auto entry = [&](const GraphValue& list) {
    return graph.op("Squeeze", {graph.op("Gather", {list, zero}, {{"axis", 0}}), zero});
  };
  const auto part = [&](const GraphValue& list, const GraphValue& begin, const GraphValue& end) {
    return graph.op("Slice", {list, begin, end, zero});
  };
  const auto at_position = [](GraphWriter& g, const GraphValue& means, const GraphValue& index) {
    return g.op("Squeeze", {g.op("Gather", {means, index}, {{"axis", 3}}), g.integers({3})});
  };

  const StepNetwork::OfBlock block = network_->write_block(graph, start);
  StepNetwork::Place place;
  place.means = start.mean;
  place.mean = at_position(graph, start.mean, zero);
  place.feature = entry(start.feature);
  place.of_coalition = entry(block.of_coalition);
  place.index = zero;
  const StepNetwork::Head head =
      network_->write_head(graph, network_->write_state(graph, start, 1), block, place);
  const Drawn first = write_value(graph, head, place, entry(start.log_sd));
  const GraphValue means = graph.op(
      "Expand", {start.mean, graph.op("Concat", {graph.integers({S, Q, each}), start.steps}, {{"axis", 0}})});
  const GraphValue first_mean = graph.op("Expand", {place.mean, graph.integers({S, Q, each})});

  const GraphBody body = graph.subgraph("position", [&](GraphWriter& step) {
    const GraphDims draws{S, Q, each}, all{S, Q, each, "steps"};
    const GraphValue state = step.input("state", GraphType::f32, {R, H});
    const GraphValue last_means = step.input("means", GraphType::f32, all);
    const GraphValue last_mean = step.input("mean", GraphType::f32, draws);
    Drawn last;
    last.x = step.input("x", GraphType::f32, draws);
    if (V > 0) last.slot = step.input("slot", GraphType::i64, draws);
    const GraphValue last_feature = step.input("last_feature", GraphType::i64, {S, Q});
    const GraphValue gain = step.input("gain", GraphType::f32, {S, Q, "steps"});
    const GraphValue log_sd = step.input("log_sd", GraphType::f32, {S, Q});
    StepNetwork::Place now;
    now.feature = step.input("feature", GraphType::i64, {S, Q});
    now.of_coalition = step.input("of_coalition", GraphType::f32, {S, Q, H});
    now.index = unsqueeze(step, step.input("index", GraphType::i64, {}), 0);
    now.k = each;

    const GraphValue surprise = step.op("Sub", {last.x, last_mean});
    now.means =
        step.op("Add", {last_means, step.op("Mul", {unsqueeze(step, surprise, 3), unsqueeze(step, gain, 2)})},
                {}, "means");
    now.mean = at_position(step, now.means, now.index);
    const GraphValue next = network_->write_next(step, state, last, last_feature);
    const Drawn drawn = write_value(step, network_->write_head(step, next, block, now), now, log_sd);
    step.output(next, "state_next", GraphType::f32, {R, H});
    step.output(now.means, "means_next", GraphType::f32, all);
    step.output(now.mean, "mean_next", GraphType::f32, draws);
    step.output(drawn.x, "x_next", GraphType::f32, draws);
    if (V > 0) step.output(drawn.slot, "slot_next", GraphType::i64, draws);
    step.output(drawn.x, "drawn", GraphType::f32, draws);
  });
  const GraphValue begin = graph.constant("first_index", {}, std::vector<std::int64_t>{1});
  const GraphValue indices =
      graph.op("Range", {begin, graph.op("Squeeze", {start.steps, zero}), begin}, {}, "indices");
  const GraphValue before_last = graph.op("Sub", {start.steps, one});
  GraphValues inputs{network_->write_state(graph, start, each), means, first_mean, first.x};
  if (V > 0) inputs.push_back(first.slot);
  const int states = static_cast<int>(inputs.size());
  inputs.insert(inputs.end(), {part(start.feature, zero, before_last), part(start.gains, zero, before_last),
                               part(start.log_sd, one, start.steps), part(start.feature, one, start.steps),
                               part(block.of_coalition, one, start.steps), indices});
  const GraphValues results =
      graph.node("Scan", inputs, states + 1, {{"body", body}, {"num_scan_inputs", 6}}, "walk");
  const GraphValue drawn =
      graph.op("Concat", {unsqueeze(graph, first.x, 0), results.back()}, {{"axis", 0}}, "drawn");
  return {graph.op("Transpose", {drawn}, {{"perm", std::vector<std::int64_t>{1, 2, 3, 0}}}),
          network_->write_context(graph, start, head)};
}

}  // namespace emshap::io
