#include "emshap/io/attribution_onnx.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "emshap/core/error.h"
#include "emshap/core/version.h"
#include "emshap/explain/explainer.h"
#include "emshap/io/graph_builder.h"
#include "emshap/models/emshap_model.h"
#include "io/attribution_writer.h"
#include "io/emshap_file.h"
#include "io/emshap_graph.h"

namespace emshap::io {
namespace {

void check(const AttributionSettings& settings) {
  gaussian_base_of(settings.emshap);  // throws where there is none
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
  const GraphValue raw =
      graph.op("Where", {present, settings.emshap.space.clip_onnx(graph, x), graph.scalar(0.f)}, {}, "raw");
  const GraphValue poison =
      graph.op("ReduceSum", {graph.op("Sub", {x, x}), graph.integers({1})}, {}, "poison");
  AttributionWriter writer(graph, settings, explainer.phi0());
  const AttributionWriter::Outputs found = writer.write(graph, raw);
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
