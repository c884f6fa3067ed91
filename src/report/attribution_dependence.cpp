// phi against the value of the feature, and which other column the spread goes with.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "report/attribution_charts.h"
#include "report/number_text.h"

namespace emshap::report {
namespace {

constexpr std::size_t fewest_rows = 20, most_marks = 3000, most_with_errors = 100;

/// Sums for correlations of three variables over one bin.
struct Moments {
  double n = 0, mean[3]{}, product[3][3]{};

  void add(double a, double b, double c) {
    ++n;
    const double value[3]{a, b, c};
    double old[3];
    for (int i = 0; i < 3; ++i) {
      old[i] = value[i] - mean[i];
      mean[i] += old[i] / n;
    }
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) product[i][j] += old[i] * (value[j] - mean[j]);
  }
  /// |correlation| of 0 and 1 given 2, whose part is taken out by a straight line; 0 where nothing is left.
  double partial() const {
    const auto cov = [&](int i, int j) {
      return product[2][2] > 0 ? product[i][j] - product[i][2] * product[j][2] / product[2][2]
                               : product[i][j];
    };
    const double a = cov(0, 0), b = cov(1, 1);
    if (!(a > 1e-12 * product[0][0]) || !(b > 1e-12 * product[1][1])) return 0;
    return std::min(std::abs(cov(0, 1)) / std::sqrt(a * b), 1.0);
  }
};

bool varies(const AttributionView& view, std::size_t column) {
  double first = std::nan("");
  for (std::size_t i = 0; i < view.rows; ++i) {
    const double v = view.value(i, column);
    if (!std::isfinite(v)) continue;
    if (std::isnan(first)) first = v;
    if (v != first) return true;
  }
  return false;
}

}  // namespace

std::optional<std::size_t> strongest_partner(const AttributionView& view, std::size_t player) {
  const std::size_t own = view.columns_of(player).at(0);
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < view.rows; ++i)
    if (std::isfinite(view.value(i, own)) && std::isfinite(view.phi(i, player))) rows.push_back(i);
  if (rows.size() < fewest_rows) return {};
  std::stable_sort(rows.begin(), rows.end(),
                   [&](std::size_t a, std::size_t b) { return view.value(a, own) < view.value(b, own); });
  const std::size_t size = std::clamp<std::size_t>(rows.size() / 10, 8, 50);
  std::optional<std::size_t> best;
  // Without any relation the mean |correlation| in bins of m rows is about .8 / sqrt(m); the largest over
  // tens of columns hardly reaches this.
  double best_score = 1.4 / std::sqrt(static_cast<double>(size));
  for (std::size_t k = 0; k < view.columns; ++k) {
    if (k == own) continue;
    double score = 0, count = 0;
    for (std::size_t begin = 0; begin + size / 2 < rows.size(); begin += size) {
      Moments bin;
      for (std::size_t i = begin; i < std::min(begin + size, rows.size()); ++i)
        if (std::isfinite(view.value(rows[i], k)))
          bin.add(view.phi(rows[i], player), view.value(rows[i], k), view.value(rows[i], own));
      score += bin.n * bin.partial();
      count += bin.n;
    }
    if (count > 0 && score / count > best_score) {
      best_score = score / count;
      best = k;
    }
  }
  return best;
}

std::vector<std::size_t> dependence_players(const AttributionView& view) {
  std::vector<std::size_t> out;
  const auto most = static_cast<std::size_t>(std::max<std::int64_t>(view.options.dependence_plots, 0));
  for (const std::size_t j : view.order)
    if (out.size() < most && view.columns_of(j).size() == 1 && varies(view, view.columns_of(j)[0]))
      out.push_back(j);
  return out;
}

Chart dependence_chart(const AttributionView& view, std::size_t player) {
  const AttributionReport& r = view.report;
  const std::size_t own = view.columns_of(player).at(0);
  const std::string name = short_text(view.column_name(own), 40);
  Chart chart;
  chart.title = "Effect of " + name;
  chart.x.label = name;
  chart.y.label = view.with_unit("phi");
  chart.zero_line = true;
  const bool categories = view.categorical(own);
  if (categories) {
    for (const std::string& text : r.categories[own]) chart.x.names.push_back(short_text(text, 18));
    chart.x.low = -.6;
    chart.x.high = static_cast<double>(r.categories[own].size()) - .4;
  }

  const std::size_t stride = std::max<std::size_t>((view.rows + most_marks - 1) / most_marks, 1);
  const std::optional<std::size_t> partner = strongest_partner(view, player);
  Series marks{"", Style::points, {}, {}};
  bool errors = false;
  for (std::size_t i = 0; i < view.rows; i += stride) {
    // Rows of one category are spread a little, always in the same way.
    const double spread = categories ? .5 * (static_cast<double>(i * 7919 % 101) / 100 - .5) : 0;
    marks.x.push_back(view.value(i, own) + spread);
    marks.y.push_back(view.phi(i, player));
    if (partner) marks.shade.push_back(view.value(i, *partner));
    if (view.rows > most_with_errors) continue;
    marks.error.push_back(view.error(i, player));
    errors = errors || marks.error.back() > 0;
  }
  if (partner) {
    const std::string other = short_text(view.column_name(*partner), 30);
    chart.note = "colour: " + other + ", with which the spread goes most";
    chart.colours.label = other;
    if (view.categorical(*partner)) {
      for (std::size_t c = 0; c < r.categories[*partner].size(); ++c)
        chart.colours.tics.emplace_back(static_cast<double>(c), short_text(r.categories[*partner][c], 14));
    } else {
      std::vector<double> values;
      for (std::size_t i = 0; i < view.rows; ++i) values.push_back(view.value(i, *partner));
      const double low = finite_quantile(values, .02), high = finite_quantile(values, .98);
      if (low < high) {
        chart.colours.low = low;
        chart.colours.high = high;
      }
    }
  }
  const auto add = [&](const std::string& text) { chart.note += (chart.note.empty() ? "" : "; ") + text; };
  if (stride > 1) add(fmt::format("{} of {} rows", marks.x.size(), view.rows));
  if (errors) add("whiskers: one standard error");
  chart.series.push_back(std::move(marks));
  return chart;
}

}  // namespace emshap::report
