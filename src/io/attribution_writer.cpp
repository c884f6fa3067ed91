#include "io/attribution_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "emshap/core/error.h"
#include "emshap/models/emshap_model.h"
#include "emshap/models/masked_mlp.h"
#include "emshap/models/set_gru.h"
#include "io/emshap_graph.h"

namespace emshap::io {
namespace {

constexpr std::int64_t S = AttributionPlan::block;

}  // namespace

const GaussianBase& gaussian_base_of(const FittedEmshap& fitted) {
  if (fitted.model == nullptr) throw ConfigError("there is no EmSHAP model to export");
  const Proposal* proposal = &fitted.model->proposal();
  if (const auto* gru = dynamic_cast<const SetGru*>(proposal)) return gru->options().base;
  if (const auto* mlp = dynamic_cast<const MaskedMlp*>(proposal)) return mlp->options().base;
  throw ConfigError(fmt::format(
      "the attribution graph has no form for the proposal '{}', expected gru or mlp", fitted.proposal));
}

AttributionWriter::AttributionWriter(GraphWriter& graph, const AttributionSettings& settings, double phi0)
    : settings_(settings),
      proposal_(settings.emshap.model->proposal()),
      plan_(make_attribution_plan(settings.coalitions, settings.players.masks(settings.coalitions),
                                  dropped_columns(settings.emshap.space).kept(),
                                  gaussian_base_of(settings_.emshap),
                                  SharedNoise::make(proposal_.layout().features(), settings.draws,
                                                    settings.emshap.model->energy_used()))),
      F(plan_.features),
      D(plan_.inputs),
      sampler_(graph, proposal_, plan_),
      raw_(graph, settings.emshap.space),
      estimate_(graph, settings.coalitions, plan_, phi0) {
  if (settings.emshap.model->energy_used()) energy_.emplace(graph, *settings.emshap.model->energy());
  write_constants(graph);
}

AttributionWriter::Outputs AttributionWriter::write(GraphWriter& graph, const GraphValue& raw) const {
  GraphValue x;
  {
    const GraphWriter::Scope scope(graph, "space");
    x = settings_.emshap.space.to_onnx(graph, raw);
  }
  GraphValues inputs{raw, x};
  if (categories()) inputs.push_back(write_codes(graph, settings_.emshap.space, raw));
  const GraphBody body = graph.subgraph("row", [&](GraphWriter& row) { write_row(row); });
  const GraphValues results =
      graph.node("Scan", inputs, 3,
                 {{"body", body}, {"num_scan_inputs", static_cast<std::int64_t>(inputs.size())}}, "rows");
  return {results[0], results[1], results[2]};
}

void AttributionWriter::write_constants(GraphWriter& graph) {
  const std::int64_t B = plan_.blocks, CP = plan_.rows();
  const auto flat = [&](const char* name, const auto& values) {
    using T = typename std::decay_t<decltype(values)>::value_type;
    return graph.constant(name, {static_cast<std::int64_t>(values.size())}, std::span<const T>(values));
  };
  {
    const GraphWriter::Scope scope(graph, "coalitions");
    table_ =
        graph.constant("table", {B, AttributionPlan::entries}, std::span<const std::int64_t>(plan_.table));
    mask_ = graph.constant("mask", {B, S, F}, std::span<const float>(plan_.mask));
    raw_mask_ = graph.constant("raw_mask", {B, S, D}, std::span<const float>(plan_.raw_mask));
    feature_ = flat("feature", plan_.feature);
    log_sd_ = flat("log_sd", plan_.log_sd);
    gains_ = flat("gains", plan_.gains);
    known_feature_ = flat("known_feature", plan_.known_feature);
    regression_ = flat("regression", plan_.regression);
    const GraphValue by_feature =
        graph.op("Transpose", {reshaped(graph, mask_, {CP, F})}, {{"perm", std::vector<std::int64_t>{1, 0}}});
    known_ = graph.op("Greater", {unsqueeze(graph, by_feature, 2), graph.scalar(.5f)}, {}, "known");
  }
  std::vector<double> mean = gaussian_base_of(settings_.emshap).mean;
  mean.push_back(0);
  mean_ = list(graph, "base.mean", mean);
  std::vector<double> group(static_cast<std::size_t>(plan_.draws * plan_.replicates), 0.0);
  for (std::int64_t k = 0; k < plan_.draws; ++k)
    group[static_cast<std::size_t>(k * plan_.replicates + k / (plan_.draws / plan_.replicates))] = 1;
  replicate_ = graph.constant("replicate", {plan_.draws, plan_.replicates}, std::span<const double>(group));
}

void AttributionWriter::write_row(GraphWriter& graph) const {
  const std::int64_t CP = plan_.rows(), G = plan_.replicates, M = settings_.players.size();
  const GraphValue raw = graph.input("raw", GraphType::f32, {D});
  const GraphValue x = graph.input("x", GraphType::f32, {F});
  const GraphValue code = categories() ? graph.input("code", GraphType::i64, {F}) : GraphValue{};
  const std::vector<double> nothing{0};
  const GraphValue centred = graph.op(
      "Sub",
      {graph.op(
           "Concat",
           {graph.cast(x, GraphType::f64), graph.constant("none", {1}, std::span<const double>(nothing))},
           {{"axis", 0}}),
       mean_},
      {}, "centred");
  const StepNetwork& network = sampler_.network();
  const GraphValue contexts = network.write_contexts(graph, x, code, known_, CP);
  GraphValues inputs{mask_, raw_mask_, table_};
  if (!contexts.name.empty()) inputs.push_back(reshaped(graph, contexts, {plan_.blocks, S, network.width()}));
  const GraphBody body = graph.subgraph("block", [&](GraphWriter& block) {
    BlockStart start;
    start.x = x;
    start.code = code;
    start.mask = block.input("mask", GraphType::f32, {S, F});
    const GraphValue raw_mask = block.input("raw_mask", GraphType::f32, {S, D});
    const GraphValue table = block.input("table", GraphType::i64, {AttributionPlan::entries});
    if (!contexts.name.empty()) start.context = block.input("context", GraphType::f32, {S, network.width()});
    write_start(block, table, centred, start);
    write_block(block, raw, raw_mask, start);
  });
  const GraphValues values =
      graph.node("Scan", inputs, 2,
                 {{"body", body}, {"num_scan_inputs", static_cast<std::int64_t>(inputs.size())}}, "blocks");
  const GraphValue v = reshaped(graph, values[0], {CP});
  const EstimateGraph::Result result = estimate_.write(graph, v, reshaped(graph, values[1], {CP, G}));
  const auto full = std::find(plan_.coalition.begin(), plan_.coalition.end(), 1) - plan_.coalition.begin();
  const GraphValue prediction = graph.cast(graph.op("Gather", {v, graph.integers({full})}), GraphType::f32);
  graph.output(result.phi, "phi", GraphType::f32, {M});
  graph.output(prediction, "prediction", GraphType::f32, {1});
  graph.output(result.standard_error, "standard_error", GraphType::f32, {M});
}

GraphValue AttributionWriter::part(GraphWriter& graph, const GraphValue& list, const GraphValue& table,
                                   AttributionPlan::Entry begin, const GraphValues& extents) const {
  const auto entry = [&](std::int64_t number) {
    return graph.op("Gather", {table, graph.integers({number})});
  };
  const GraphValue values = graph.op("Slice", {list, entry(begin), entry(begin + 1), graph.integers({0})});
  return graph.op("Reshape", {values, graph.op("Concat", extents, {{"axis", 0}})});
}

void AttributionWriter::write_start(GraphWriter& graph, const GraphValue& table, const GraphValue& centred,
                                    BlockStart& start) const {
  const GraphWriter::Scope scope(graph, "start");
  const std::int64_t Q = plan_.parts;
  const GraphValue n = graph.op("Gather", {table, graph.integers({AttributionPlan::unknown})}, {}, "steps");
  const GraphValue s = graph.op("Gather", {table, graph.integers({AttributionPlan::known})}, {}, "known");
  const GraphValue coalitions = graph.integers({S}), parts = graph.integers({Q});
  start.steps = n;
  start.feature = graph.cast(
      part(graph, feature_, table, AttributionPlan::positions_begin, {n, coalitions, parts}), GraphType::i64);
  start.log_sd = part(graph, log_sd_, table, AttributionPlan::positions_begin, {n, coalitions, parts});
  start.gains = part(graph, gains_, table, AttributionPlan::gains_begin, {n, coalitions, parts, n});
  // mean + Sigma_US Sigma_SS^-1 (x_S - mean_S), in the order of part 0.
  const GraphValue known_feature = graph.cast(
      part(graph, known_feature_, table, AttributionPlan::known_begin, {coalitions, s}), GraphType::i64);
  const GraphValue regression =
      part(graph, regression_, table, AttributionPlan::regression_begin, {coalitions, n, s});
  const GraphValue away = unsqueeze(graph, graph.op("Gather", {centred, known_feature}), 2);
  const GraphValue zero = graph.integers({0});
  const GraphValue first = graph.op(
      "Transpose",
      {graph.op("Squeeze", {graph.op("Gather", {start.feature, zero}, {{"axis", 2}}), graph.integers({2})})},
      {{"perm", std::vector<std::int64_t>{1, 0}}}, "first_order");
  const GraphValue mean = graph.cast(
      graph.op("Add", {graph.op("Gather", {mean_, first}),
                       graph.op("Squeeze", {graph.op("MatMul", {regression, away}), graph.integers({2})})}),
      GraphType::f32);
  const GraphValue shape = graph.op("Concat", {graph.integers({S, Q, 1}), n}, {{"axis", 0}});
  if (Q == 1) {
    start.mean = graph.op("Reshape", {mean, shape});
    return;
  }
  // By feature, then in the order of each part.
  const std::vector<float> zeros(static_cast<std::size_t>(S * (F + 1)), 0.f);
  const GraphValue by_feature = graph.op(
      "ScatterElements", {graph.constant("zeros", {S, F + 1}, std::span<const float>(zeros)), first, mean},
      {{"axis", 1}});
  const GraphValue features =
      graph.op("Transpose", {start.feature}, {{"perm", std::vector<std::int64_t>{1, 2, 0}}});
  start.mean = graph.op(
      "Reshape",
      {graph.op("GatherElements", {by_feature, reshaped(graph, features, {S, -1})}, {{"axis", 1}}), shape});
}

void AttributionWriter::write_block(GraphWriter& graph, const GraphValue& raw, const GraphValue& raw_mask,
                                    const BlockStart& start) const {
  const std::int64_t Q = plan_.parts, each = plan_.part_draws(), K = plan_.draws, G = plan_.replicates;
  const auto [drawn, context] = sampler_.write_draws(graph, start);

  // From positions to features; empty positions go nowhere.
  std::vector<std::int64_t> numbers;
  for (std::int64_t t = 0; t < F; ++t) numbers.push_back(t);
  const GraphValue by_position =
      graph.op("Transpose", {start.feature}, {{"perm", std::vector<std::int64_t>{1, 2, 0}}});
  const GraphValue place = graph.cast(
      graph.op("Equal", {unsqueeze(graph, by_position, 3), graph.integers(numbers)}), GraphType::f32);
  const GraphValue unknown = reshaped(graph, graph.op("MatMul", {drawn, place}), {S * Q * each, F});
  const auto known = [&](const GraphValue& of, const GraphValue& given, const GraphValue& otherwise,
                         std::int64_t width) {
    const GraphValue is = graph.op("Greater", {unsqueeze(graph, of, 1), graph.scalar(.5f)});
    return reshaped(graph, graph.op("Where", {is, given, reshaped(graph, otherwise, {S, K, width})}),
                    {S * K, width});
  };
  const GraphValue rows = known(raw_mask, raw, raw_.write(graph, unknown), D);
  GraphValue y;
  {
    const GraphWriter::Scope scope(graph, "f");
    y = settings_.write_f(graph, rows);
  }
  const GraphValue f = reshaped(graph, graph.cast(y, GraphType::f64), {S, K});
  GraphValue weight;
  if (!energy_) {
    weight = graph.scalar(1 / static_cast<double>(K));
  } else {
    const GraphValue g =
        energy_->write(graph, known(start.mask, start.x, unknown, F), start.mask, context, S, K);
    weight = graph.op("Softmax", {graph.op("Neg", {reshaped(graph, graph.cast(g, GraphType::f64), {S, K})})},
                      {{"axis", 1}}, "weight");
  }
  // Differences to the first prediction: a constant f has its value exactly.
  const GraphValue one = graph.integers({1});
  const GraphValue first = graph.op("Gather", {f, graph.integers({0})}, {{"axis", 1}});
  const GraphValue v = graph.op(
      "Add", {first, graph.op("ReduceSum", {graph.op("Mul", {weight, graph.op("Sub", {f, first})}), one})},
      {}, "v");
  const GraphValue deviation =
      graph.op("MatMul", {graph.op("Mul", {weight, graph.op("Sub", {f, v})}), replicate_});
  graph.output(graph.op("Squeeze", {v, one}), "value", GraphType::f64, {S});
  graph.output(deviation, "deviation", GraphType::f64, {S, G});
}

}  // namespace emshap::io
