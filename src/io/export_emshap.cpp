#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/core/version.h"
#include "emshap/io/emshap_onnx.h"
#include "emshap/io/graph_builder.h"
#include "emshap/models/emshap_model.h"
#include "emshap/models/masked_mlp.h"
#include "emshap/models/set_gru.h"
#include "io/emshap_file.h"
#include "io/emshap_graph.h"

namespace emshap::io {
namespace {

const GaussianBase* base_of(const Proposal& proposal) {
  if (const auto* gru = dynamic_cast<const SetGru*>(&proposal)) return &gru->options().base;
  if (const auto* mlp = dynamic_cast<const MaskedMlp*>(&proposal)) return &mlp->options().base;
  return nullptr;
}

void check_finite(const ParameterStore& store) {
  for (const ParameterStore::Entry& entry : store.parameters())
    for (const double value : store.get(store.find(entry.name)))
      if (!std::isfinite(value))
        throw NumericalError(
            fmt::format("parameter '{}' holds {}, expected finite numbers to export", entry.name, value));
}

void check(const FittedEmshap& fitted) {
  if (fitted.model == nullptr) throw ConfigError("there is no EmSHAP model to export");
  const Proposal& proposal = fitted.model->proposal();
  if (base_of(proposal) == nullptr)
    throw ConfigError(
        fmt::format("the proposal '{}' has no ONNX form, expected gru or mlp", fitted.proposal));
  if (proposal.dtype() != DType::f32)
    throw ConfigError(fmt::format("the model holds {}, expected f32 to export", to_string(proposal.dtype())));
  if (fitted.model->energy() == nullptr)
    throw ConfigError("the model has no energy network, expected one to export");
  check_fit(fitted.space, proposal.layout());
  for_each_store(*fitted.model, check_finite);
}

/// Inputs of the graph with what is derived from them.
struct Inputs {
  GraphValue raw;        ///< (B, inputs) f32, missing entries 0
  GraphValue known_raw;  ///< (B, inputs) boolean
  GraphValue x;          ///< (B, F) f32, model space, unknown values kept, missing ones 0
};

/// Columns of the model's features among those of the input.
GraphValue kept_columns(GraphWriter& graph, const FeatureSpace& space, const GraphValue& value) {
  const DropConstant& drop = dropped_columns(space);
  if (drop.dropped_names().empty()) return value;
  return graph.op("Gather", {value, graph.integers(drop.kept())}, {{"axis", 1}}, "kept");
}

KnownValues write_known(GraphBuilder& graph, const FittedEmshap& fitted, Inputs& inputs) {
  const FeatureSpace& space = fitted.space;
  const GraphValue x = graph.input("x", GraphType::f32, {"batch", space.inputs()});
  const GraphValue mask = graph.input("mask", GraphType::f32, {"batch", space.inputs()});
  // False for NaN and for infinity.
  const GraphValue present = graph.op(
      "LessOrEqual", {graph.op("Abs", {x}), graph.scalar(std::numeric_limits<float>::max())}, {}, "present");
  inputs.raw = graph.op("Where", {present, space.clip_onnx(graph, x), graph.scalar(0.f)}, {}, "raw");
  inputs.known_raw =
      graph.op("And", {present, graph.op("Greater", {mask, graph.scalar(.5f)})}, {}, "known_raw");
  {
    const GraphWriter::Scope scope(graph, "space");
    inputs.x = graph.op(
        "Where", {kept_columns(graph, space, present), space.to_onnx(graph, inputs.raw), graph.scalar(0.f)});
  }
  KnownValues values;
  values.known = kept_columns(graph, space, inputs.known_raw);
  values.known32 = graph.cast(values.known, GraphType::f32);
  values.known64 = graph.cast(values.known, GraphType::f64);
  values.x = graph.op("Where", {values.known, inputs.x, graph.scalar(0.f)}, {}, "known_x");
  values.x64 = graph.cast(values.x, GraphType::f64);
  if (fitted.model->proposal().layout().total_categories() > 0)
    values.code = write_codes(graph, space, inputs.raw);
  write_gaussian_base(graph, *base_of(fitted.model->proposal()), values);
  return values;
}

/// (B, F) boolean: unknown, and numeric (or categorical).
GraphValue unknown_of_kind(GraphWriter& graph, const FeatureLayout& layout, const KnownValues& values,
                           bool categorical) {
  std::vector<float> kind;
  for (std::int64_t t = 0; t < layout.features(); ++t)
    kind.push_back(layout.categorical(t) == categorical ? 1.f : 0.f);
  const GraphValue of_kind = graph.constant(categorical ? "is_categorical" : "is_numeric",
                                            {layout.features()}, std::span<const float>(kind));
  return graph.op("Greater", {graph.op("Sub", {of_kind, values.known32}), graph.scalar(.5f)});
}

struct Predicted {
  GraphValue mixture, categorical;  ///< as the file's outputs
  GraphValue mean, log_variance;    ///< (B, F)
};

/// The mixtures and their moments, categorical and known features included for the time being.
Predicted write_mixtures(GraphWriter& graph, const ProposalHeads& heads, const KnownValues& values) {
  const GraphWriter::Scope scope(graph, "mixtures");
  const GraphAttributes last{{"axis", 2}};
  const GraphValue mu = unsqueeze(graph, values.mu, 2), log_sd = unsqueeze(graph, values.log_sd, 2);
  const GraphValues parts = graph.node("Split", {heads.mixture}, 3, last, "part");
  const GraphValue log_weight = graph.op("LogSoftmax", {parts[0]}, last, "log_weight");
  const GraphValue mean =
      graph.op("Add", {mu, graph.op("Mul", {graph.op("Exp", {log_sd}), parts[1]})}, {}, "mean");
  const GraphValue spread =
      graph.op("Log", {graph.op("Add", {graph.op("Softplus", {parts[2]}), graph.scalar(1e-3f)})});
  const GraphValue log_scale = graph.op("Add", {log_sd, spread}, {}, "log_scale");

  const auto mean_of = [&](const GraphValue& value, std::int64_t keepdims) {
    return graph.op("ReduceSum",
                    {graph.op("Mul", {graph.op("Exp", {log_weight}), value}), graph.integers({2})},
                    {{"keepdims", keepdims}});
  };
  Predicted result;
  result.mixture = graph.op("Concat", {log_weight, mean, log_scale}, last);
  const GraphValue scale = graph.op("Exp", {log_scale});
  const GraphValue off = graph.op("Sub", {mean, mean_of(mean, 1)});
  const GraphValue square = graph.op("Add", {graph.op("Mul", {scale, scale}), graph.op("Mul", {off, off})});
  result.mean = mean_of(mean, 0);
  result.log_variance = graph.op("Log", {mean_of(square, 0)});
  return result;
}

/// Log-probabilities of the categories, and their moments in place of the mixtures'.
void write_categories(GraphWriter& graph, const FeatureLayout& layout, const ProposalHeads& heads,
                      const KnownValues& values, Predicted& result) {
  const GraphWriter::Scope scope(graph, "categories");
  const std::vector<std::int64_t> offsets = layout.offsets();
  GraphValues lists, means{result.mean}, variances{result.log_variance};
  std::vector<std::int64_t> order;
  for (std::int64_t t = 0; t < layout.features(); ++t) {
    if (!layout.categorical(t)) {
      order.push_back(t);
      continue;
    }
    const auto n = lists.size();
    order.push_back(layout.features() + static_cast<std::int64_t>(n));
    const auto begin = static_cast<std::ptrdiff_t>(offsets[static_cast<std::size_t>(t)]);
    const auto end = static_cast<std::ptrdiff_t>(offsets[static_cast<std::size_t>(t) + 1]);
    std::vector<float> base, points;
    for (std::ptrdiff_t v = begin; v < end; ++v) {
      base.push_back(static_cast<float>(.01 * layout.frequencies[static_cast<std::size_t>(v)]));
      points.push_back(static_cast<float>(layout.values[static_cast<std::size_t>(v)]));
    }
    const GraphExtents extents{end - begin};
    const GraphValue share = graph.op("Mul", {graph.op("Exp", {heads.log_shares[n]}), graph.scalar(.99f)});
    const GraphValue probability = graph.op(
        "Add", {share, graph.constant(fmt::format("base{}", t), extents, std::span<const float>(base))});
    const auto mean_of = [&](const GraphValue& value) {
      return graph.op("ReduceSum", {graph.op("Mul", {probability, value}), graph.integers({1})});
    };
    const GraphValue point =
        graph.constant(fmt::format("values{}", t), extents, std::span<const float>(points));
    means.push_back(mean_of(point));
    const GraphValue off = graph.op("Sub", {point, means.back()});
    variances.push_back(graph.op("Log", {mean_of(graph.op("Mul", {off, off}))}));
    lists.push_back(graph.op(
        "Where", {column(graph, values.known, t), graph.scalar(0.f), graph.op("Log", {probability})}));
  }
  result.categorical = lists.size() == 1 ? lists[0] : graph.op("Concat", lists, {{"axis", 1}});
  result.mean = columns_in_order(graph, means, order);
  result.log_variance = columns_in_order(graph, variances, order);
}

Predicted write_predictions(GraphWriter& graph, const FeatureLayout& layout, const ProposalHeads& heads,
                            const KnownValues& values) {
  Predicted result = write_mixtures(graph, heads, values);
  if (layout.total_categories() > 0) write_categories(graph, layout, heads, values, result);
  const GraphValue asked = unsqueeze(graph, unknown_of_kind(graph, layout, values, false), 2);
  result.mixture = graph.op("Where", {asked, result.mixture, graph.scalar(0.f)});
  result.mean = graph.op("Where", {values.known, values.x, result.mean}, {}, "mean");
  result.log_variance = graph.op(
      "Where", {values.known, graph.scalar(static_cast<float>(std::log(1e-6))), result.log_variance});
  return result;
}

GraphValue write_conditional_mean(GraphWriter& graph, const FeatureSpace& space, const Inputs& inputs,
                                  const GraphValue& mean) {
  std::vector<float> kept(static_cast<std::size_t>(space.inputs()), 0.f);
  for (const std::int64_t c : dropped_columns(space).kept()) kept[static_cast<std::size_t>(c)] = 1.f;
  const GraphValue in_model = graph.constant("in_model", {space.inputs()}, std::span<const float>(kept));
  const GraphValue given =
      graph.op("And", {inputs.known_raw, graph.op("Greater", {in_model, graph.scalar(.5f)})});
  return graph.op("Where", {given, inputs.raw, write_to_raw(graph, space, mean)});
}

void add_metadata(GraphBuilder& graph, const FittedEmshap& fitted, const EmshapOnnxInfo& info) {
  const FeatureSpace& space = fitted.space;
  graph.metadata("model", "emshap");
  graph.metadata("version", version());
  graph.metadata("features", nlohmann::json(space.input_names()).dump());
  graph.metadata("model_features", nlohmann::json(space.feature_names()).dump());
  graph.metadata("proposal", fitted.proposal);
  graph.metadata("energy_used", fitted.energy_used ? "true" : "false");
  graph.metadata("energy_gain", fmt::format("{}", fitted.energy_gain));
  graph.metadata("seed", std::to_string(fitted.seed));
  graph.metadata("architecture", emshap_architecture(*fitted.model, space.hash()));
  graph.metadata("feature_space", space.to_json());
  graph.metadata("feature_space_hash", space.hash());
  graph.metadata("weights_hash", weights_hash(*fitted.model));
  for (const auto& [key, value] : info.more) graph.metadata(key, value);
}

}  // namespace

std::string emshap_onnx(const FittedEmshap& fitted, const EmshapOnnxInfo& info) {
  check(fitted);
  const FeatureSpace& space = fitted.space;
  const Proposal& proposal = fitted.model->proposal();
  const FeatureLayout& layout = proposal.layout();
  const std::int64_t features = layout.features();

  GraphBuilder graph("emshap", fmt::format("Distributions of unknown features given the known ones, over {} "
                                           "columns in raw units",
                                           space.inputs()));
  Inputs inputs;
  const KnownValues values = write_known(graph, fitted, inputs);
  const auto* gru = dynamic_cast<const SetGru*>(&proposal);
  const ProposalHeads heads = gru != nullptr
                                  ? write_set_gru(graph, *gru, values)
                                  : write_masked_mlp(graph, dynamic_cast<const MaskedMlp&>(proposal), values);
  const Predicted predicted = write_predictions(graph, layout, heads, values);
  const GraphValue raw_mean = write_conditional_mean(graph, space, inputs, predicted.mean);
  const GraphValue energy = fitted.model->energy()->to_onnx(graph, inputs.x, values.known32, heads.context);

  graph.output(energy, "energy", GraphType::f32, {"batch", 1});
  graph.output(predicted.mean, "proposal_mean", GraphType::f32, {"batch", features});
  graph.output(predicted.log_variance, "proposal_logvar", GraphType::f32, {"batch", features});
  graph.output(heads.context, "context", GraphType::f32, {"batch", proposal.context_width()});
  graph.output(predicted.mixture, "mixture", GraphType::f32, {"batch", features, 3 * proposal.components()});
  if (layout.total_categories() > 0)
    graph.output(predicted.categorical, "categorical", GraphType::f32, {"batch", layout.total_categories()});
  graph.output(raw_mean, "conditional_mean", GraphType::f32, {"batch", space.inputs()});

  graph.describe("x", fmt::format("{}; raw units, NaN where missing", fmt::join(space.input_names(), ", ")));
  graph.describe("mask", "1 = known, 0 = unknown");
  graph.describe("energy", "g(x, mask, context), unknown values of x included");
  graph.describe("proposal_mean", "mean of each feature given the known ones, model space");
  graph.describe("proposal_logvar", "log of its variance; log 1e-6 for known features");
  graph.describe("mixture", "log-weights, means, log standard deviations of the components, model space");
  graph.describe("conditional_mean", "proposal_mean in raw units");
  add_metadata(graph, fitted, info);
  return graph.bytes();
}

double export_emshap(const std::filesystem::path& path, const FittedEmshap& fitted,
                     const EmshapOnnxInfo& info, ConstTensorView x) {
  const std::string bytes = emshap_onnx(fitted, info);
  const double worst = verify_emshap(OnnxModel::parse(bytes, path.string()), fitted, x);
  write_file_atomically(path, bytes);
  return worst;
}

}  // namespace emshap::io
