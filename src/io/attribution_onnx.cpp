#include "emshap/io/attribution_onnx.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "emshap/core/error.h"
#include "emshap/core/version.h"
#include "emshap/explain/explainer.h"
#include "emshap/io/graph_builder.h"
#include "emshap/models/emshap_model.h"
#include "emshap/models/masked_mlp.h"
#include "emshap/models/set_gru.h"
#include "io/attribution_estimate.h"
#include "io/attribution_graph.h"
#include "io/emshap_file.h"
#include "io/emshap_graph.h"

namespace emshap::io {
namespace {

constexpr std::int64_t S = AttributionPlan::block;

const GaussianBase& base_of(const FittedEmshap& fitted) {
  if (fitted.model == nullptr) throw ConfigError("there is no EmSHAP model to export");
  const Proposal* proposal = &fitted.model->proposal();
  if (const auto* gru = dynamic_cast<const SetGru*>(proposal)) return gru->options().base;
  if (const auto* mlp = dynamic_cast<const MaskedMlp*>(proposal)) return mlp->options().base;
  throw ConfigError(fmt::format(
      "the attribution graph has no form for the proposal '{}', expected gru or mlp", fitted.proposal));
}

void check(const AttributionSettings& settings) {
  base_of(settings.emshap);  // throws where there is none
  const Proposal& proposal = settings.emshap.model->proposal();
  const EmshapModel& model = *settings.emshap.model;
  if (proposal.dtype() != DType::f32)
    throw ConfigError(fmt::format("the model holds {}, expected f32 to export", to_string(proposal.dtype())));
  check_fit(settings.emshap.space, proposal.layout());
  if (model.energy_used() && model.energy()->options().form == EnergyForm::absolute)
    throw ConfigError(
        "the attribution graph has no form for weights of the energy's absolute form, expected the residual "
        "one");
  if (settings.draws.noise != ValueNoise::sobol)
    throw ConfigError("the attribution graph has no independent noise, expected sobol");
  if (settings.players.size() < 1)
    throw ConfigError("there are no players to attribute to, expected at least 1");
  if (settings.players.inputs != settings.emshap.space.inputs())
    throw ConfigError(fmt::format("the players are groups of {} columns, expected {} as the model has",
                                  settings.players.inputs, settings.emshap.space.inputs()));
  if (settings.coalitions.players != settings.players.size())
    throw ConfigError(fmt::format("the coalitions are those of {} players, expected {}",
                                  settings.coalitions.players, settings.players.size()));
  constexpr std::int64_t most = 65536;
  if (settings.coalitions.size() > most)
    throw ConfigError(fmt::format("{} coalitions would make a file of gigabytes, expected at most {}",
                                  settings.coalitions.size(), most));
  if (!settings.write_f) throw ConfigError("the predictor has no form as a graph, expected one to export");
  for_each_store(model, [](const ParameterStore& store) {
    for (const ParameterStore::Entry& entry : store.parameters())
      for (const double value : store.get(store.find(entry.name)))
        if (!std::isfinite(value))
          throw NumericalError(
              fmt::format("parameter '{}' holds {}, expected finite numbers to export", entry.name, value));
  });
}

/// The graph with its constants.
class Writer {
 public:
  Writer(GraphBuilder& graph, const AttributionSettings& settings, double phi0)
      : settings_(settings),
        proposal_(settings.emshap.model->proposal()),
        plan_(make_attribution_plan(settings.coalitions, settings.players.masks(settings.coalitions),
                                    dropped_columns(settings.emshap.space).kept(), base_of(settings_.emshap),
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

  struct Outputs {
    GraphValue phi, prediction, standard_error;  ///< (batch, M), (batch, 1), (batch, M)
  };
  /// From complete raw rows (batch, D).
  Outputs write(GraphWriter& graph, const GraphValue& raw) {
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
  const AttributionPlan& plan() const { return plan_; }

 private:
  bool categories() const { return proposal_.layout().total_categories() > 0; }

  void write_constants(GraphWriter& graph) {
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
      const GraphValue by_feature = graph.op("Transpose", {reshaped(graph, mask_, {CP, F})},
                                             {{"perm", std::vector<std::int64_t>{1, 0}}});
      known_ = graph.op("Greater", {unsqueeze(graph, by_feature, 2), graph.scalar(.5f)}, {}, "known");
    }
    std::vector<double> mean = base_of(settings_.emshap).mean;
    mean.push_back(0);
    mean_ = list(graph, "base.mean", mean);
    std::vector<double> group(static_cast<std::size_t>(plan_.draws * plan_.replicates), 0.0);
    for (std::int64_t k = 0; k < plan_.draws; ++k)
      group[static_cast<std::size_t>(k * plan_.replicates + k / (plan_.draws / plan_.replicates))] = 1;
    replicate_ = graph.constant("replicate", {plan_.draws, plan_.replicates}, std::span<const double>(group));
  }

  void write_row(GraphWriter& graph) {
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
    if (!contexts.name.empty())
      inputs.push_back(reshaped(graph, contexts, {plan_.blocks, S, network.width()}));
    const GraphBody body = graph.subgraph("block", [&](GraphWriter& block) {
      BlockStart start;
      start.x = x;
      start.code = code;
      start.mask = block.input("mask", GraphType::f32, {S, F});
      const GraphValue raw_mask = block.input("raw_mask", GraphType::f32, {S, D});
      const GraphValue table = block.input("table", GraphType::i64, {AttributionPlan::entries});
      if (!contexts.name.empty())
        start.context = block.input("context", GraphType::f32, {S, network.width()});
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

  /// Part of a list in the shape [extents...].
  GraphValue part(GraphWriter& graph, const GraphValue& list, const GraphValue& table,
                  AttributionPlan::Entry begin, const GraphValues& extents) const {
    const auto entry = [&](std::int64_t number) {
      return graph.op("Gather", {table, graph.integers({number})});
    };
    const GraphValue values = graph.op("Slice", {list, entry(begin), entry(begin + 1), graph.integers({0})});
    return graph.op("Reshape", {values, graph.op("Concat", extents, {{"axis", 0}})});
  }

  void write_start(GraphWriter& graph, const GraphValue& table, const GraphValue& centred,
                   BlockStart& start) const {
    const GraphWriter::Scope scope(graph, "start");
    const std::int64_t Q = plan_.parts;
    const GraphValue n = graph.op("Gather", {table, graph.integers({AttributionPlan::unknown})}, {}, "steps");
    const GraphValue s = graph.op("Gather", {table, graph.integers({AttributionPlan::known})}, {}, "known");
    const GraphValue coalitions = graph.integers({S}), parts = graph.integers({Q});
    start.steps = n;
    start.feature =
        graph.cast(part(graph, feature_, table, AttributionPlan::positions_begin, {n, coalitions, parts}),
                   GraphType::i64);
    start.log_sd = part(graph, log_sd_, table, AttributionPlan::positions_begin, {n, coalitions, parts});
    start.gains = part(graph, gains_, table, AttributionPlan::gains_begin, {n, coalitions, parts, n});
    // mean + Sigma_US Sigma_SS^-1 (x_S - mean_S), in the order of part 0.
    const GraphValue known_feature = graph.cast(
        part(graph, known_feature_, table, AttributionPlan::known_begin, {coalitions, s}), GraphType::i64);
    const GraphValue regression =
        part(graph, regression_, table, AttributionPlan::regression_begin, {coalitions, n, s});
    const GraphValue away = unsqueeze(graph, graph.op("Gather", {centred, known_feature}), 2);
    const GraphValue zero = graph.integers({0});
    const GraphValue first =
        graph.op("Transpose",
                 {graph.op("Squeeze",
                           {graph.op("Gather", {start.feature, zero}, {{"axis", 2}}), graph.integers({2})})},
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

  void write_block(GraphWriter& graph, const GraphValue& raw, const GraphValue& raw_mask,
                   const BlockStart& start) {
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
      weight =
          graph.op("Softmax", {graph.op("Neg", {reshaped(graph, graph.cast(g, GraphType::f64), {S, K})})},
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

  const AttributionSettings& settings_;
  const Proposal& proposal_;
  const AttributionPlan plan_;
  const std::int64_t F, D;
  const SamplerGraph sampler_;
  const RawGraph raw_;
  const EstimateGraph estimate_;
  std::optional<EnergyGraph> energy_;
  GraphValue table_, mask_, raw_mask_, feature_, log_sd_, gains_, known_feature_, regression_, known_, mean_,
      replicate_;
};

void add_metadata(GraphBuilder& graph, const AttributionSettings& settings, const AttributionOnnxInfo& info,
                  const AttributionPlan& plan) {
  const FittedEmshap& fitted = settings.emshap;
  std::vector<std::string> units = info.feature_units;
  units.resize(static_cast<std::size_t>(fitted.space.inputs()));
  graph.metadata("model", "attribution");
  graph.metadata("version", version());
  graph.metadata("features", nlohmann::json(fitted.space.input_names()).dump());
  graph.metadata("feature_units", nlohmann::json(units).dump());
  graph.metadata("target", info.target);
  graph.metadata("target_unit", info.target_unit);
  graph.metadata("players", nlohmann::json(settings.players.names).dump());
  graph.metadata("player_columns", nlohmann::json(settings.players.columns).dump());
  graph.metadata("coalitions", std::to_string(settings.coalitions.size()));
  graph.metadata("strategy", to_string(settings.coalitions.strategy));
  graph.metadata("coalitions_hash", settings.coalitions.hash());
  graph.metadata("draws", std::to_string(plan.draws));
  graph.metadata("replicates", std::to_string(plan.replicates));
  graph.metadata("orders", std::to_string(plan.parts));
  graph.metadata("seed", std::to_string(settings.draws.seed));
  graph.metadata("energy_used", fitted.model->energy_used() ? "true" : "false");
  graph.metadata("proposal", fitted.proposal);
  graph.metadata("feature_space_hash", fitted.space.hash());
  graph.metadata("weights_hash", weights_hash(*fitted.model));
  for (const auto& [key, value] : info.more) graph.metadata(key, value);
}

}  // namespace

std::string attribution_onnx(TeamPool& pool, const AttributionSettings& settings,
                             const AttributionOnnxInfo& info) {
  check(settings);
  const std::unique_ptr<ValueFunction> values =
      drawn_values("emshap", settings.emshap.space, *settings.emshap.model, settings.f, settings.draws);
  const Explainer explainer(*values, settings.f, settings.players, settings.background, {}, pool);
  const std::int64_t D = settings.emshap.space.inputs(), M = settings.players.size();

  const std::string unit = info.target_unit.empty() ? "" : " in " + info.target_unit;
  GraphBuilder graph("attribution",
                     fmt::format("Shapley values of {}{} for {} players from {} coalitions of {} "
                                 "draws each",
                                 info.target, unit, M, settings.coalitions.size(), settings.draws.draws));
  const GraphValue x = graph.input("x", GraphType::f32, {"batch", D});
  // False for NaN and for infinity; x - x is NaN there and 0 elsewhere.
  const GraphValue present = graph.op(
      "LessOrEqual", {graph.op("Abs", {x}), graph.scalar(std::numeric_limits<float>::max())}, {}, "present");
  const GraphValue raw = graph.op("Where", {present, x, graph.scalar(0.f)}, {}, "raw");
  const GraphValue poison =
      graph.op("ReduceSum", {graph.op("Sub", {x, x}), graph.integers({1})}, {}, "poison");
  Writer writer(graph, settings, explainer.phi0());
  const Writer::Outputs found = writer.write(graph, raw);
  const auto poisoned = [&](const GraphValue& value) { return graph.op("Add", {value, poison}); };
  const GraphValue phi0 = graph.op(
      "Expand",
      {graph.constant("expectation", {1, 1}, std::vector<float>{static_cast<float>(explainer.phi0())}),
       shape_with_rows_of(graph, x, {1})});
  graph.output(poisoned(found.phi), "phi", GraphType::f32, {"batch", M});
  graph.output(phi0, "phi0", GraphType::f32, {"batch", 1});
  graph.output(poisoned(found.prediction), "prediction", GraphType::f32, {"batch", 1});
  graph.output(poisoned(found.standard_error), "standard_error", GraphType::f32, {"batch", M});
  graph.describe("x", fmt::format("{}; raw units, no missing values",
                                  fmt::join(settings.emshap.space.input_names(), ", ")));
  graph.describe("phi", fmt::format("attributions{} to {}; phi0 + their sum is the prediction", unit,
                                    fmt::join(settings.players.names, ", ")));
  graph.describe("phi0", fmt::format("expectation{} with nothing known", unit));
  graph.describe("prediction", info.target + unit);
  graph.describe("standard_error", fmt::format("of phi{}: coalitions and draws", unit));
  add_metadata(graph, settings, info, writer.plan());
  return graph.bytes();
}

}  // namespace emshap::io
