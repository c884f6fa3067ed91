// From draws in model space to raw values. Lines, tiles and categories are found by binary search: comparing
// each draw with all 240 knots would cost more than the draw itself.
#include <algorithm>
#include <cmath>
#include <limits>

#include "emshap/core/error.h"
#include "emshap/data/step_quantile.h"
#include "emshap/data/steps.h"
#include "io/attribution_graph.h"
#include "io/emshap_graph.h"

namespace emshap::io {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Where the nearest value (or tile) changes: nearest_value and nearest_tile of the feature space are the
/// number of these below a raw value.
std::vector<double> borders(const FeatureColumn& column) {
  std::vector<double> out;
  for (std::size_t i = 0; i + 1 < column.values.size(); ++i) {
    const bool tied = column.kind == FeatureKind::tied;
    const double below = tied ? column.right[i] : column.values[i];
    const double above = tied ? column.left[i + 1] : column.values[i + 1];
    out.push_back(std::max(below, below + (above - below) / 2));
  }
  return out;
}

}  // namespace

RawGraph::Search RawGraph::make_search(GraphWriter& graph, const std::string& name,
                                       const std::vector<std::vector<double>>& lists) const {
  Search search;
  std::size_t longest = 0;
  for (const auto& values : lists) longest = std::max(longest, values.size());
  while (search.length <= static_cast<std::int64_t>(longest)) search.length *= 2;
  std::vector<double> table;
  for (const auto& values : lists) {
    search.offsets.push_back(static_cast<std::int64_t>(table.size()));
    table.insert(table.end(), values.begin(), values.end());
    table.resize(static_cast<std::size_t>(search.offsets.back() + search.length), infinity);
  }
  search.table = list(graph, name, table);
  return search;
}

GraphValue RawGraph::write_search(GraphWriter& graph, const Search& search, const GraphValue& z, bool below) {
  GraphValue at = graph.integers(search.offsets);
  for (std::int64_t step = search.length / 2; step >= 1; step /= 2) {
    const GraphValue bound =
        graph.op("Gather", {search.table, graph.op("Add", {at, graph.integers({step - 1})})});
    const GraphValue passed = graph.op(below ? "Greater" : "GreaterOrEqual", {z, bound});
    at = graph.op("Add", {at, graph.op("Mul", {graph.cast(passed, GraphType::i64), graph.integers({step})})});
  }
  return at;
}

RawGraph::RawGraph(GraphWriter& graph, const FeatureSpace& space) : space_(space) {
  const GraphWriter::Scope scope(graph, "raw");
  const auto F = static_cast<std::size_t>(space.features());
  const auto* quantile = space.pipeline().find<QuantileNormal>();
  const auto* scaler = space.pipeline().find<StandardScaler>();
  if (quantile != nullptr) {
    std::vector<std::vector<double>> scores;
    for (std::size_t c = 0; c < F; ++c) scores.push_back(quantile->scores(c));
    lines_ = make_search(graph, "scores", scores);
    // Line i of a column lies from score i - 1 on, line 0 below all of them.
    std::vector<double> from(F * static_cast<std::size_t>(lines_.length), 0.0), to = from,
                                                                                slope(from.size(), 1.0);
    for (std::size_t c = 0; c < F; ++c) {
      const std::vector<double> x = quantile->knots(c);
      for (std::size_t line = 0; line <= x.size(); ++line) {
        const std::size_t knot = line > 0 ? line - 1 : 0;
        const std::size_t entry = static_cast<std::size_t>(lines_.offsets[c]) + line;
        from[entry] = scores[c][knot];
        to[entry] = x[knot];
        slope[entry] = quantile->slope(c, line > 0 ? x[knot] : std::nextafter(x[0], -infinity));
      }
    }
    from_ = list(graph, "from", from);
    to_ = list(graph, "to", to);
    slope_ = list(graph, "slope", slope);
  } else if (scaler != nullptr) {
    mean_ = list(graph, "mean", scaler->means());
    scale_ = list(graph, "scale", scaler->scales());
  } else {
    throw ConfigError(
        "the feature space has no inverse in ONNX, expected a step quantile_normal or standard_scaler");
  }

  std::vector<double> low, high, values;
  std::vector<std::vector<double>> grid;
  for (std::size_t t = 0; t < F; ++t) {
    const FeatureColumn& column = space.columns()[t];
    const double margin = space.options().range_margin * (column.high - column.low);
    low.push_back(column.low - margin);
    high.push_back(column.high + margin);
    order_.push_back(static_cast<std::int64_t>(t));
    if (column.kind == FeatureKind::continuous) continue;
    order_.back() = static_cast<std::int64_t>(F + grid_columns_.size());
    grid_columns_.push_back(static_cast<std::int64_t>(t));
    grid.push_back(borders(column));
  }
  low_ = list(graph, "low", low);
  high_ = list(graph, "high", high);
  if (grid.empty()) return;
  grid_ = make_search(graph, "borders", grid);
  values.resize(grid.size() * static_cast<std::size_t>(grid_.length), 0.0);
  for (std::size_t g = 0; g < grid.size(); ++g) {
    const std::vector<double>& of_column = space.columns()[static_cast<std::size_t>(grid_columns_[g])].values;
    std::copy(of_column.begin(), of_column.end(), values.begin() + grid_.offsets[g]);
  }
  grid_values_ = list(graph, "values", values);
}

GraphValue RawGraph::write(GraphWriter& graph, const GraphValue& z32) const {
  const GraphWriter::Scope scope(graph, "raw");
  const GraphValue z = graph.cast(z32, GraphType::f64);
  GraphValue x;
  if (!lines_.offsets.empty()) {
    const GraphValue line = write_search(graph, lines_, z, false);
    const auto of_line = [&](const GraphValue& table) { return graph.op("Gather", {table, line}); };
    x = graph.op("Add",
                 {of_line(to_), graph.op("Div", {graph.op("Sub", {z, of_line(from_)}), of_line(slope_)})});
  } else {
    x = graph.op("Add", {graph.op("Mul", {z, scale_}), mean_});
  }
  x = graph.op("Min", {graph.op("Max", {x, low_}), high_});
  GraphValue out = x;
  if (!grid_columns_.empty()) {
    const GraphValue drawn = graph.op("Gather", {x, graph.integers(grid_columns_)}, {{"axis", 1}});
    out = graph.op("Concat", {x, graph.op("Gather", {grid_values_, write_search(graph, grid_, drawn, true)})},
                   {{"axis", 1}});
  }
  // Raw columns: a feature's own one or that of its grid; constant columns get any of them, for they are
  // always known.
  const std::vector<std::int64_t>& kept = dropped_columns(space_).kept();
  std::vector<std::int64_t> columns(static_cast<std::size_t>(space_.inputs()), order_.at(0));
  for (std::size_t t = 0; t < kept.size(); ++t) columns[static_cast<std::size_t>(kept[t])] = order_[t];
  out = graph.cast(out, GraphType::f32);
  return graph.op("Gather", {out, graph.integers(columns)}, {{"axis", 1}}, "raw");
}

}  // namespace emshap::io
