// Attributions of one node over time.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "emshap/report/text_table.h"
#include "report/attribution_charts.h"
#include "report/number_text.h"

namespace emshap::report {
namespace {

constexpr std::size_t most_cells = 240, most_labels = 12, fewest_rows = 3;

std::string node_of(const AttributionView& view, const std::vector<std::size_t>& rows) {
  return view.report.node.empty() || rows.empty() ? std::string() : view.report.node[rows.front()];
}

std::string heading(const AttributionView& view, const std::vector<std::size_t>& rows,
                    const std::string& what) {
  const std::string node = node_of(view, rows);
  return node.empty() ? what + " over time" : what + " over time, " + short_text(node, 30);
}

/// Mean of the finite values of f over rows [begin, end); NaN without any.
template <class F>
double mean_of(const std::vector<std::size_t>& rows, std::size_t begin, std::size_t end, const F& f) {
  double sum = 0, count = 0;
  for (std::size_t i = begin; i < end; ++i)
    if (const double v = f(rows[i]); std::isfinite(v)) sum += v, ++count;
  return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::vector<std::size_t> rows_over_time(const AttributionView& view) {
  const AttributionReport& r = view.report;
  std::vector<std::size_t> rows;
  if (r.time.empty()) return rows;
  std::string node = view.options.node;
  if (!r.node.empty() && node.empty()) {
    std::map<std::string, std::size_t> count;
    for (const std::string& name : r.node) ++count[name];
    std::size_t most = 0;
    for (const auto& [name, n] : count)
      if (n > most) most = n, node = name;
  }
  for (std::size_t i = 0; i < view.rows; ++i)
    if (std::isfinite(r.time[i]) && (r.node.empty() || r.node[i] == node)) rows.push_back(i);
  std::stable_sort(rows.begin(), rows.end(),
                   [&](std::size_t a, std::size_t b) { return r.time[a] < r.time[b]; });
  if (rows.size() < fewest_rows) rows.clear();
  return rows;
}

HeatMap time_map(const AttributionView& view, const std::vector<std::size_t>& rows) {
  HeatMap map;
  map.title = heading(view, rows, "Attributions");
  map.value_label = view.with_unit("phi");
  map.diverging = true;
  const std::size_t per_cell = (rows.size() + most_cells - 1) / most_cells,
                    cells = (rows.size() + per_cell - 1) / per_cell;
  map.note = per_cell == 1 ? fixed_text(static_cast<double>(rows.size()), 0) + " rows in the order of time"
                           : fmt::format("{} rows in the order of time, each cell the mean of {}",
                                         fixed_text(static_cast<double>(rows.size()), 0), per_cell);
  const std::size_t stride = (cells + most_labels - 1) / most_labels;
  for (std::size_t c = 0; c < cells; ++c)
    map.column_names.push_back(c % stride == 0 ? short_text(view.time_label(rows[c * per_cell]), 22)
                                               : std::string());
  const std::size_t lines = view.shown + (view.others() > 0 ? 1 : 0);
  for (std::size_t line = 0; line < lines; ++line) {
    const bool rest = line == view.shown;
    map.row_names.push_back(rest ? view.others_text() + ", sum"
                                 : short_text(view.name(view.order[line]), 28));
    for (std::size_t c = 0; c < cells; ++c)
      map.values.push_back(mean_of(
          rows, c * per_cell, std::min((c + 1) * per_cell, rows.size()),
          [&](std::size_t i) { return rest ? view.phi_of_others(i) : view.phi(i, view.order[line]); }));
  }
  std::vector<double> largest(cells, 0);  // of each column, so that a few outliers do not take all colours
  for (std::size_t i = 0; i < map.values.size(); ++i)
    if (std::isfinite(map.values[i]))
      largest[i % cells] = std::max(largest[i % cells], std::abs(map.values[i]));
  const double limit = finite_quantile(largest, .95);
  if (limit > 0 && limit < .8 * finite_quantile(largest, 1)) {
    map.limit = limit;
    map.note += "; beyond \xC2\xB1" + view.in_unit(number_text(limit)) + " the same colour";
  }
  return map;
}

Chart time_chart(const AttributionView& view, const std::vector<std::size_t>& rows) {
  Chart chart;
  chart.title = heading(view, rows, "Prediction");
  chart.y.label = view.with_unit(short_text(view.target(), 40));
  Series predicted{"prediction", Style::line, {}, {}}, actual{"actual", Style::line, {}, {}};
  const std::size_t stride = (rows.size() + most_labels - 1) / most_labels;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    chart.x.names.push_back(i % stride == 0 ? short_text(view.time_label(rows[i]), 22) : std::string());
    predicted.x.push_back(static_cast<double>(i));
    predicted.y.push_back(view.report.prediction[rows[i]]);
    if (!view.report.actual.empty()) actual.y.push_back(view.report.actual[rows[i]]);
  }
  if (!actual.y.empty()) {
    actual.x = predicted.x;
    chart.series.push_back(std::move(actual));
  }
  chart.series.push_back(std::move(predicted));
  return chart;
}

}  // namespace emshap::report
