#include "io/emshap_graph.h"

#include <fmt/format.h>

#include <cmath>

#include "emshap/core/error.h"
#include "emshap/data/step_clip.h"
#include "emshap/data/step_quantile.h"
#include "emshap/data/steps.h"

namespace emshap::io {

GraphValue parameter(GraphWriter& graph, const ParameterStore& store, const std::string& name) {
  const ParameterId id = store.find(name);
  const Shape& shape = store.parameters()[static_cast<std::size_t>(id.index)].shape;
  const std::vector<double> wide = store.get(id);
  const std::vector<float> values(wide.begin(), wide.end());
  GraphExtents extents;
  for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(shape[axis]);
  return graph.constant(name, extents, std::span<const float>(values));
}

GraphValue list(GraphWriter& graph, const std::string& name, const std::vector<double>& values) {
  return graph.constant(name, {static_cast<std::int64_t>(values.size())}, std::span<const double>(values));
}

GraphValue shape_with_rows_of(GraphWriter& graph, const GraphValue& value,
                              const std::vector<std::int64_t>& extents) {
  const GraphValue rows = graph.op("Shape", {value}, {{"start", 0}, {"end", 1}}, "rows");
  return graph.op("Concat", {rows, graph.integers(extents)}, {{"axis", 0}}, "shape");
}

GraphValue unsqueeze(GraphWriter& graph, const GraphValue& value, std::int64_t axis) {
  return graph.op("Unsqueeze", {value, graph.integers({axis})});
}

GraphValue column(GraphWriter& graph, const GraphValue& value, std::int64_t t) {
  return graph.op("Gather", {value, graph.integers({t})}, {{"axis", 1}}, "column");
}

GraphValue columns_in_order(GraphWriter& graph, const GraphValues& parts,
                            const std::vector<std::int64_t>& order) {
  return graph.op("Gather", {graph.op("Concat", parts, {{"axis", 1}}), graph.integers(order)}, {{"axis", 1}},
                  "columns");
}

const DropConstant& dropped_columns(const FeatureSpace& space) {
  const DropConstant* drop = space.pipeline().find<DropConstant>();
  if (drop == nullptr) throw ConfigError("the feature space has no step drop_constant, expected one");
  return *drop;
}

// As nearest_value of the feature space: the number of pairs of neighbouring values of which the upper one is
// nearer.
GraphValue write_codes(GraphWriter& graph, const FeatureSpace& space, const GraphValue& raw) {
  const GraphWriter::Scope scope(graph, "code");
  const std::vector<std::int64_t>& kept = dropped_columns(space).kept();
  GraphValues codes;
  std::vector<std::int64_t> order;
  for (std::int64_t t = 0; t < space.features(); ++t) {
    const FeatureColumn& column_of = space.columns()[static_cast<std::size_t>(t)];
    if (column_of.kind != FeatureKind::categorical) {
      order.push_back(-1);
      continue;
    }
    order.push_back(static_cast<std::int64_t>(codes.size()));
    const std::vector<double>& values = column_of.values;
    const GraphValue x = graph.cast(column(graph, raw, kept[static_cast<std::size_t>(t)]), GraphType::f64);
    const GraphValue lower = list(graph, fmt::format("lower{}", t), {values.begin(), values.end() - 1});
    const GraphValue upper = list(graph, fmt::format("upper{}", t), {values.begin() + 1, values.end()});
    const GraphValue above = graph.op("Greater", {graph.op("Sub", {x, lower}), graph.op("Sub", {upper, x})});
    codes.push_back(graph.op("ReduceSum", {graph.cast(above, GraphType::i64), graph.integers({1})}));
  }
  const auto zero = static_cast<std::int64_t>(codes.size());
  for (std::int64_t& at : order) at = at < 0 ? zero : at;
  codes.push_back(graph.op("Sub", {codes[0], codes[0]}));
  return columns_in_order(graph, codes, order);
}

namespace {

// x + (z - from) / slope of the line that z lies on, found by counting the scores at or below z: the
// arithmetic of QuantileNormal::inverse.
GraphValue write_inverse_quantile(GraphWriter& graph, const QuantileNormal& step, const GraphValue& z) {
  const auto columns = static_cast<std::size_t>(step.inputs());
  std::size_t most = 0;
  for (std::size_t c = 0; c < columns; ++c) most = std::max(most, step.scores(c).size());
  std::vector<double> scores, from, to, slope;
  std::vector<std::int64_t> first_line;
  for (std::size_t c = 0; c < columns; ++c) {
    first_line.push_back(static_cast<std::int64_t>(from.size()));
    const std::vector<double> x = step.knots(c), s = step.scores(c);
    from.push_back(s[0]);
    to.push_back(x[0]);
    slope.push_back(step.slope(c, std::nextafter(x[0], -std::numeric_limits<double>::infinity())));
    for (std::size_t i = 0; i < most; ++i) {
      scores.push_back(i < s.size() ? s[i] : std::numeric_limits<double>::max());
      if (i >= s.size()) continue;
      from.push_back(s[i]);
      to.push_back(x[i]);
      slope.push_back(step.slope(c, x[i]));
    }
  }
  const GraphValue bound =
      graph.constant("scores", {static_cast<std::int64_t>(columns), static_cast<std::int64_t>(most)},
                     std::span<const double>(scores));
  const GraphValue reached = graph.op("GreaterOrEqual", {unsqueeze(graph, z, 2), bound});
  const GraphValue count =
      graph.op("ReduceSum", {graph.cast(reached, GraphType::i64), graph.integers({2})}, {{"keepdims", 0}});
  const GraphValue line = graph.op("Add", {count, graph.integers(first_line)});
  const auto looked_up = [&](const char* name, const std::vector<double>& values) {
    return graph.op("Gather", {list(graph, name, values), line});
  };
  return graph.op("Add", {looked_up("to", to), graph.op("Div", {graph.op("Sub", {z, looked_up("from", from)}),
                                                                looked_up("slope", slope)})});
}

}  // namespace

GraphValue write_to_raw(GraphWriter& graph, const FeatureSpace& space, const GraphValue& model) {
  const GraphWriter::Scope scope(graph, "to_raw");
  GraphValue x = graph.cast(model, GraphType::f64);
  const Pipeline& pipeline = space.pipeline();
  for (std::size_t i = pipeline.size(); i-- > 0;) {
    if (dynamic_cast<const DropConstant*>(&pipeline.step(i)) != nullptr ||
        dynamic_cast<const Clip*>(&pipeline.step(i)) != nullptr)
      continue;
    if (const auto* quantile = dynamic_cast<const QuantileNormal*>(&pipeline.step(i))) {
      x = write_inverse_quantile(graph, *quantile, x);
    } else if (const auto* scaler = dynamic_cast<const StandardScaler*>(&pipeline.step(i))) {
      x = graph.op("Add", {graph.op("Mul", {x, list(graph, "scale", scaler->scales())}),
                           list(graph, "mean", scaler->means())});
    } else {
      throw ConfigError(fmt::format("the step '{}' of type {} has no inverse in ONNX", pipeline.name(i),
                                    pipeline.step(i).type()));
    }
  }
  const DropConstant& drop = dropped_columns(space);
  if (drop.dropped_values().empty()) return graph.cast(x, GraphType::f32);

  const auto dropped = static_cast<std::int64_t>(drop.dropped_values().size());
  const GraphValue constants = graph.op(
      "Expand", {list(graph, "dropped", drop.dropped_values()), shape_with_rows_of(graph, x, {dropped})});
  std::vector<std::int64_t> order(static_cast<std::size_t>(space.inputs()), -1);
  for (std::size_t t = 0; t < drop.kept().size(); ++t)
    order[static_cast<std::size_t>(drop.kept()[t])] = static_cast<std::int64_t>(t);
  std::int64_t next = space.features();
  for (std::int64_t& at : order)
    if (at < 0) at = next++;
  return graph.cast(columns_in_order(graph, {x, constants}, order), GraphType::f32);
}

}  // namespace emshap::io
