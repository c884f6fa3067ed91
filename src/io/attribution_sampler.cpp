// The set-GRU's autoregressive draws for a block of coalitions. All draws of the block advance together, one
// position of their sequences after another, so that coalitions of a size take no step in vain and several
// generation orders are no extra work. The first position depends on the coalition alone: its head runs once
// for all draws.
#include <cmath>

#include "emshap/core/error.h"
#include "emshap/ops/density.h"
#include "io/attribution_graph.h"
#include "io/emshap_graph.h"

namespace emshap::io {
namespace {

constexpr std::int64_t S = AttributionPlan::block;

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// A matrix under construction, row-major.
struct Matrix {
  std::int64_t rows, cols;
  std::vector<float> v;
  Matrix(std::int64_t r, std::int64_t c) : rows(r), cols(c), v(at(r * c), 0.f) {}
  float& operator()(std::int64_t r, std::int64_t c) { return v[at(r * cols + c)]; }
  GraphValue write(GraphWriter& graph, const char* name) const {
    return graph.constant(name, {rows, cols}, std::span<const float>(v));
  }
};

GraphValue vector(GraphWriter& graph, const char* name, const std::vector<float>& values) {
  return graph.constant(name, {static_cast<std::int64_t>(values.size())}, std::span<const float>(values));
}

/// Parameters of a store as (rows, cols) with columns [begin, begin + count).
Matrix columns(const ParameterStore& store, const char* name, std::int64_t rows, std::int64_t begin,
               std::int64_t count) {
  const std::vector<double> all = store.get(store.find(name));
  const std::int64_t width = static_cast<std::int64_t>(all.size()) / rows;
  Matrix m(rows, count);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < count; ++c) m(r, c) = static_cast<float>(all[at(r * width + begin + c)]);
  return m;
}

Matrix stacked(const Matrix& a, const Matrix& b) {
  Matrix m(a.rows + b.rows, a.cols);
  std::copy(a.v.begin(), a.v.end(), m.v.begin());
  std::copy(b.v.begin(), b.v.end(), m.v.begin() + static_cast<std::ptrdiff_t>(a.v.size()));
  return m;
}

}  // namespace

GraphValue reshaped(GraphWriter& graph, const GraphValue& value, const std::vector<std::int64_t>& shape) {
  return graph.op("Reshape", {value, graph.integers(shape)});
}

SamplerGraph::SamplerGraph(GraphWriter& graph, const SetGru& proposal, const AttributionPlan& plan)
    : plan_(plan),
      F(proposal.layout().features()),
      H(proposal.options().hidden),
      E(proposal.options().embedding),
      C(proposal.components()),
      V(proposal.layout().total_categories()) {
  const GraphWriter::Scope scope(graph, "proposal");
  const ParameterStore& store = proposal.store();
  const FeatureLayout& layout = proposal.layout();
  const std::vector<std::int64_t> offsets = layout.offsets();
  for (std::int64_t t = 0; t < F; ++t) slot_.push_back(layout.categorical(t) ? F + 1 + offsets[at(t)] : t);

  // Row F of the tables is that of empty positions.
  Matrix scale(F + 1, E), shift(F + 1 + V, E), feature(F + 1, H);
  const Matrix a = columns(store, "token.scale", F, 0, E), b = columns(store, "token.shift", F + V, 0, E),
               e = columns(store, "head.feature", F, 0, H);
  std::copy(a.v.begin(), a.v.end(), scale.v.begin());
  std::copy(e.v.begin(), e.v.end(), feature.v.begin());
  for (std::int64_t r = 0; r < F + V; ++r)
    for (std::int64_t c = 0; c < E; ++c) shift(r < F ? r : r + 1, c) = b.v[at(r * E + c)];
  w_.scale = scale.write(graph, "token.scale");
  w_.shift = shift.write(graph, "token.shift");
  w_.start = columns(store, "start", 1, 0, H).write(graph, "start");

  const std::vector<double> bias_ih = store.get(store.find("gru.bias_ih")),
                            bias_hh = store.get(store.find("gru.bias_hh"));
  const auto gate = [&](std::int64_t g, const char* name) {
    return stacked(columns(store, "gru.weight_ih", E, g * H, H), columns(store, "gru.weight_hh", H, g * H, H))
        .write(graph, name);
  };
  const auto bias = [&](std::int64_t g, const char* name, bool input, bool state) {
    std::vector<float> values;
    for (std::int64_t i = g * H; i < (g + 1) * H; ++i)
      values.push_back(static_cast<float>((input ? bias_ih[at(i)] : 0) + (state ? bias_hh[at(i)] : 0)));
    return vector(graph, name, values);
  };
  w_.reset = gate(0, "gru.reset");
  w_.reset_bias = bias(0, "gru.reset_bias", true, true);
  w_.update = gate(1, "gru.update");
  w_.update_bias = bias(1, "gru.update_bias", true, true);
  w_.input = columns(store, "gru.weight_ih", E, 2 * H, H).write(graph, "gru.input");
  w_.input_bias = bias(2, "gru.input_bias", true, false);
  w_.state = columns(store, "gru.weight_hh", H, 2 * H, H).write(graph, "gru.state");
  w_.state_bias = bias(2, "gru.state_bias", false, true);

  const Matrix moments = columns(store, "head.moments", 2, 0, H);
  Matrix of_mean(1, H), of_log_sd(1, H);
  std::copy_n(moments.v.begin(), H, of_mean.v.begin());
  std::copy_n(moments.v.begin() + H, H, of_log_sd.v.begin());
  w_.first = stacked(columns(store, "head.state", H, 0, H), of_mean).write(graph, "head.first");
  w_.log_sd = of_log_sd.write(graph, "head.log_sd");
  w_.feature = feature.write(graph, "head.feature");
  w_.hidden = parameter(graph, store, "head.hidden");
  w_.mixture = parameter(graph, store, "head.mixture");
  w_.bias = parameter(graph, store, "head.mixture_bias");
  if (C > 1) {
    Matrix sums(C, C - 1);
    for (std::int64_t r = 0; r < C; ++r)
      for (std::int64_t c = r; c < C - 1; ++c) sums(r, c) = 1;
    w_.cumulate = sums.write(graph, "cumulate");
  }
  const GraphExtents noise{plan.parts * (F + 1), plan.part_draws()};
  w_.component = graph.constant("noise.component", noise, std::span<const float>(plan.component));
  w_.score = graph.constant("noise.score", noise, std::span<const float>(plan.score));
  std::vector<std::int64_t> part;
  for (std::int64_t q = 0; q < plan.parts; ++q) part.push_back(q * (F + 1));
  w_.part = graph.constant("noise.part", {plan.parts}, std::span<const std::int64_t>(part));
  if (V == 0) return;

  Matrix allowed(F + 1, V), base(F + 1, V), all_before(V, V), ones(V, 1);
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
  w_.category = parameter(graph, store, "head.category");
  w_.category_bias = parameter(graph, store, "head.category_bias");
  w_.allowed = allowed.write(graph, "category.allowed");
  w_.base = base.write(graph, "category.base");
  w_.is_category = vector(graph, "category.is", is_category);
  w_.all_before = all_before.write(graph, "category.all_before");
  w_.ones = ones.write(graph, "category.ones");
  w_.values = vector(graph, "category.values", values);
}

/// h' = n + z (h - n), r and z = sigmoid(W [token; h] + b), n = tanh(W_i token + b_i + r (W_h h + b_h)).
GraphValue SamplerGraph::write_gru(GraphWriter& graph, const GraphValue& token, const GraphValue& h) const {
  const GraphValue both = graph.op("Concat", {token, h}, {{"axis", 1}});
  const GraphValue r = graph.op("Sigmoid", {graph.op("Gemm", {both, w_.reset, w_.reset_bias})}, {}, "r");
  const GraphValue z = graph.op("Sigmoid", {graph.op("Gemm", {both, w_.update, w_.update_bias})}, {}, "z");
  const GraphValue from_state = graph.op("Mul", {r, graph.op("Gemm", {h, w_.state, w_.state_bias})});
  const GraphValue n = graph.op(
      "Tanh", {graph.op("Add", {graph.op("Gemm", {token, w_.input, w_.input_bias}), from_state})}, {}, "n");
  return graph.op("Add", {n, graph.op("Mul", {z, graph.op("Sub", {h, n})})}, {}, "h");
}

GraphValue SamplerGraph::write_contexts(GraphWriter& graph, const GraphValue& x, const GraphValue& code,
                                        const GraphValue& known, std::int64_t rows) const {
  const GraphWriter::Scope scope(graph, "context");
  GraphValue slot = graph.integers(slot_);
  if (V > 0) slot = graph.op("Add", {slot, code});
  const GraphValue scale =
      graph.op("Slice", {w_.scale, graph.integers({0}), graph.integers({F}), graph.integers({0})});
  const GraphValue tokens = graph.op("Add", {graph.op("Mul", {unsqueeze(graph, x, 1), scale}),
                                             graph.op("Gather", {w_.shift, slot}, {{"axis", 0}})});
  const GraphValue start = graph.op("Expand", {w_.start, graph.integers({rows, H})});
  const GraphBody body = graph.subgraph("take_in", [&](GraphWriter& step) {
    const GraphValue h = step.input("h", GraphType::f32, {rows, H});
    const GraphValue token = step.input("token", GraphType::f32, {E});
    const GraphValue is_known = step.input("known", GraphType::boolean, {rows, 1});
    const GraphValue all = step.op("Expand", {token, step.integers({rows, E})});
    step.output(step.op("Where", {is_known, write_gru(step, all, h), h}), "h_next", GraphType::f32,
                {rows, H});
  });
  return graph.op("Scan", {start, tokens, known}, {{"body", body}, {"num_scan_inputs", 2}}, "states");
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
  const GraphValue logits = reshaped(
      graph, graph.op("Gemm", {reshaped(graph, picked(u, k * H), {-1, H}), w_.category, w_.category_bias}),
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

SamplerGraph::Drawn SamplerGraph::write_value(GraphWriter& graph, const GraphValue& h, const GraphValue& mean,
                                              const GraphValue& feature, const GraphValue& log_sd,
                                              std::int64_t k) const {
  const GraphWriter::Scope scope(graph, "head");
  const std::int64_t Q = plan_.parts, each = plan_.part_draws();
  const GraphValue with_mean =
      graph.op("Concat", {h, reshaped(graph, mean, {rows(k), 1})}, {{"axis", 1}}, "with_mean");
  const GraphValue of_coalition =
      graph.op("Add", {graph.op("Gather", {w_.feature, feature}, {{"axis", 0}}),
                       graph.op("Mul", {unsqueeze(graph, log_sd, 2), w_.log_sd})});
  const GraphValue first = reshaped(graph, graph.op("MatMul", {with_mean, w_.first}), {S, Q, k, H});
  GraphValue u = reshaped(
      graph, graph.op("Relu", {graph.op("Add", {first, unsqueeze(graph, of_coalition, 2)})}), {rows(k), H});
  u = graph.op("Add", {u, graph.op("Relu", {graph.op("MatMul", {u, w_.hidden})})}, {}, "u");
  const GraphValue out = graph.op("Gemm", {u, w_.mixture, w_.bias}, {}, "mixture");

  const GraphValue noise = graph.op("Add", {feature, w_.part});
  const GraphValue uniform = graph.op("Gather", {w_.component, noise}, {{"axis", 0}}, "uniform");
  const GraphValue score = graph.op("Gather", {w_.score, noise}, {{"axis", 0}}, "score");
  // The first component whose cumulative weight exceeds the uniform number.
  GraphValue chosen;  // (S Q k, K_q / k)
  if (C == 1) {
    chosen = graph.op("Expand", {graph.integers({0}), graph.integers({rows(k), each / k})});
  } else {
    const GraphValue logits =
        graph.op("Slice", {out, graph.integers({0}), graph.integers({C}), graph.integers({1})});
    const GraphValue sums =
        reshaped(graph, graph.op("MatMul", {graph.op("Softmax", {logits}, {{"axis", 1}}), w_.cumulate}),
                 {S, Q, k, C - 1});
    const GraphValue passed = graph.op("GreaterOrEqual", {unsqueeze(graph, uniform, 3), sums});
    const GraphValue count =
        graph.op("ReduceSum", {graph.cast(passed, GraphType::i64), graph.integers({3})}, {{"keepdims", 0}});
    chosen = reshaped(graph, count, {rows(k), each / k});
  }
  const auto of_chosen = [&](std::int64_t begin) {
    const GraphValue which = graph.op("Add", {chosen, graph.integers({begin})});
    return reshaped(graph, graph.op("GatherElements", {out, which}, {{"axis", 1}}), {S, Q, each});
  };
  const GraphValue spread = graph.op("Add", {graph.op("Softplus", {of_chosen(2 * C)}),
                                             graph.scalar(static_cast<float>(ops::mixture_min_scale))});
  const GraphValue standardised = graph.op("Add", {of_chosen(C), graph.op("Mul", {spread, score})});
  const GraphValue sd = unsqueeze(graph, graph.op("Exp", {log_sd}), 2);
  Drawn drawn;
  drawn.x = graph.op("Add", {mean, graph.op("Mul", {sd, standardised})}, {}, "x");
  if (V > 0) write_category(graph, u, feature, uniform, k, drawn);
  return drawn;
}

GraphValue SamplerGraph::write_tokens(GraphWriter& graph, const Drawn& drawn,
                                      const GraphValue& feature) const {
  const GraphValue scale = unsqueeze(graph, graph.op("Gather", {w_.scale, feature}, {{"axis", 0}}), 2);
  const GraphValue shift = V > 0
                               ? graph.op("Gather", {w_.shift, drawn.slot}, {{"axis", 0}})
                               : unsqueeze(graph, graph.op("Gather", {w_.shift, feature}, {{"axis", 0}}), 2);
  const GraphValue token = graph.op("Add", {graph.op("Mul", {unsqueeze(graph, drawn.x, 3), scale}), shift});
  return reshaped(graph, token, {rows(plan_.part_draws()), E});
}

GraphValue SamplerGraph::write_draws(GraphWriter& graph, const BlockStart& start) const {
  const GraphWriter::Scope scope(graph, "draw");
  const std::int64_t Q = plan_.parts, each = plan_.part_draws(), R = rows(each);
  const GraphValue zero = graph.integers({0}), one = graph.integers({1});
  const auto entry = [&](GraphWriter& g, const GraphValue& list, const GraphValue& index) {
    return g.op("Squeeze", {g.op("Gather", {list, index}, {{"axis", 0}}), g.integers({0})});
  };
  const auto part = [&](const GraphValue& list, const GraphValue& begin, const GraphValue& end) {
    return graph.op("Slice", {list, begin, end, zero});
  };
  const auto at_position = [&](GraphWriter& g, const GraphValue& mean, const GraphValue& index) {
    return g.op("Squeeze", {g.op("Gather", {mean, index}, {{"axis", 3}}), g.integers({3})});
  };

  const auto of_parts = [&](const GraphValue& context, std::int64_t k) {
    return reshaped(graph, graph.op("Expand", {unsqueeze(graph, context, 1), graph.integers({S, Q * k, H})}),
                    {S * Q * k, H});
  };
  const GraphValue first_mean = at_position(graph, start.mean, zero);  // (S, Q, 1)
  const Drawn first = write_value(graph, of_parts(start.context, 1), first_mean,
                                  entry(graph, start.feature, zero), entry(graph, start.log_sd, zero), 1);
  const GraphValue mean = graph.op(
      "Expand", {start.mean, graph.op("Concat", {graph.integers({S, Q, each}), start.steps}, {{"axis", 0}})});
  const GraphValue current_mean = graph.op("Expand", {first_mean, graph.integers({S, Q, each})});

  const GraphBody body = graph.subgraph("position", [&](GraphWriter& step) {
    const GraphDims draws{S, Q, each}, means{S, Q, each, "steps"};
    const GraphValue h = step.input("h", GraphType::f32, {R, H});
    const GraphValue all_means = step.input("means", GraphType::f32, means);
    const GraphValue last_mean = step.input("mean", GraphType::f32, draws);
    Drawn last;
    last.x = step.input("x", GraphType::f32, draws);
    if (V > 0) last.slot = step.input("slot", GraphType::i64, draws);
    const GraphValue last_feature = step.input("last_feature", GraphType::i64, {S, Q});
    const GraphValue gain = step.input("gain", GraphType::f32, {S, Q, "steps"});
    const GraphValue feature = step.input("feature", GraphType::i64, {S, Q});
    const GraphValue log_sd = step.input("log_sd", GraphType::f32, {S, Q});
    const GraphValue index = step.input("index", GraphType::i64, {});

    const GraphValue surprise = step.op("Sub", {last.x, last_mean});
    const GraphValue next_means =
        step.op("Add", {all_means, step.op("Mul", {unsqueeze(step, surprise, 3), unsqueeze(step, gain, 2)})},
                {}, "means");
    const GraphValue next_h = write_gru(step, write_tokens(step, last, last_feature), h);
    const GraphValue next_mean = at_position(step, next_means, unsqueeze(step, index, 0));
    const Drawn next = write_value(step, next_h, next_mean, feature, log_sd, each);
    step.output(next_h, "h_next", GraphType::f32, {R, H});
    step.output(next_means, "means_next", GraphType::f32, means);
    step.output(next_mean, "mean_next", GraphType::f32, draws);
    step.output(next.x, "x_next", GraphType::f32, draws);
    if (V > 0) step.output(next.slot, "slot_next", GraphType::i64, draws);
    step.output(next.x, "drawn", GraphType::f32, draws);
  });
  const GraphValue steps = graph.op("Squeeze", {start.steps, zero});
  const GraphValue begin = graph.constant("first_index", {}, std::vector<std::int64_t>{1});
  const GraphValue indices = graph.op("Range", {begin, steps, begin}, {}, "indices");
  const GraphValue before_last = graph.op("Sub", {start.steps, one});
  GraphValues inputs{of_parts(start.context, each), mean, current_mean, first.x};
  if (V > 0) inputs.push_back(first.slot);
  const int states = static_cast<int>(inputs.size());
  inputs.insert(inputs.end(),
                {part(start.feature, zero, before_last), part(start.gains, zero, before_last),
                 part(start.feature, one, start.steps), part(start.log_sd, one, start.steps), indices});
  const GraphValues results =
      graph.node("Scan", inputs, states + 1, {{"body", body}, {"num_scan_inputs", 5}}, "walk");
  const GraphValue drawn =
      graph.op("Concat", {unsqueeze(graph, first.x, 0), results.back()}, {{"axis", 0}}, "drawn");
  return graph.op("Transpose", {drawn}, {{"perm", std::vector<std::int64_t>{1, 2, 3, 0}}});
}

}  // namespace emshap::io
