#include "report/attribution_charts.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "report/number_text.h"

namespace emshap::report {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t name_width = 28;  // columns of letters beside a picture
constexpr std::size_t most_marks = 12000;

std::string title_of(const AttributionView& view) {
  return short_text(view.target(), 40);
}

std::string rows_text(std::size_t rows) {
  return rows == 1 ? "1 row" : fixed_text(static_cast<double>(rows), 0) + " rows";
}

/// One bar per shown player in the view's order, then the sum of the others.
Chart player_bars(const AttributionView& view, const std::vector<double>& values) {
  Chart chart;
  Series bars{"", Style::bars, {}, {}};
  const auto add = [&](const std::string& name, double value) {
    chart.categories.push_back(name);
    bars.x.push_back(value);
    bars.labels.push_back(number_text(value));
  };
  for (std::size_t i = 0; i < view.shown; ++i)
    add(short_text(view.name(view.order[i]), name_width), values[view.order[i]]);
  if (view.others() > 0) {
    double sum = 0;
    for (std::size_t i = view.shown; i < view.players; ++i) {
      const double value = values[view.order[i]];
      if (std::isfinite(value)) sum += value;
    }
    add(view.others_text() + ", sum", sum);
  }
  chart.series.push_back(std::move(bars));
  return chart;
}

/// Values of a column from 0 (5th percentile) to 1 (95th), so that outliers do not take the whole scale; NaN
/// where missing, where nothing varies and for categories, which have no order.
std::vector<double> scaled(const AttributionView& view, std::size_t column) {
  std::vector<double> values(view.rows);
  for (std::size_t i = 0; i < view.rows; ++i) values[i] = view.value(i, column);
  const bool ordered = !view.categorical(column) || view.report.categories[column].size() <= 2;
  double low = finite_quantile(values, .05), high = finite_quantile(values, .95);
  if (!(low < high)) low = finite_quantile(values, 0), high = finite_quantile(values, 1);
  for (double& v : values)
    v = ordered && low < high && std::isfinite(v) ? std::clamp((v - low) / (high - low), 0., 1.) : nan;
  return values;
}

/// Of a player with several columns: the mean of their scaled values.
std::vector<double> shades_of(const AttributionView& view, std::size_t player) {
  std::vector<double> sum(view.rows, 0), count(view.rows, 0);
  for (const std::size_t column : view.columns_of(player)) {
    const std::vector<double> one = scaled(view, column);
    for (std::size_t i = 0; i < view.rows; ++i)
      if (!std::isnan(one[i])) sum[i] += one[i], ++count[i];
  }
  for (std::size_t i = 0; i < view.rows; ++i) sum[i] = count[i] > 0 ? sum[i] / count[i] : nan;
  return sum;
}

/// Heights of the marks of one line so that they do not cover each other: marks whose x falls into the same
/// of `bins` pile up around the middle, within .42 of a line.
std::vector<double> swarm(const std::vector<double>& x, double low, double high, int bins, double step) {
  std::vector<int> count(static_cast<std::size_t>(bins) + 1, 0), place(x.size(), 0);
  const double width = high > low ? (high - low) / bins : 1;
  const auto bin = [&](double v) {
    return static_cast<std::size_t>(std::clamp((v - low) / width, 0., bins * 1.));
  };
  for (std::size_t i = 0; i < x.size(); ++i)
    if (std::isfinite(x[i])) place[i] = count[bin(x[i])]++;
  const int most = *std::max_element(count.begin(), count.end());
  if (most > 1) step = std::min(step, .42 / (most / 2));
  std::vector<double> out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    out[i] = (place[i] % 2 == 0 ? 1 : -1) * step * ((place[i] + 1) / 2);
  return out;
}

}  // namespace

Chart importance_chart(const AttributionView& view) {
  Chart chart = player_bars(view, view.mean_absolute);
  chart.title = "Importance for " + title_of(view);
  chart.note = "mean of |phi| over " + rows_text(view.explained);
  chart.x.label = view.with_unit("mean |phi|");
  return chart;
}

Chart sage_chart(const AttributionView& view) {
  Chart chart = player_bars(view, view.report.sage);
  chart.title = "SAGE for " + title_of(view);
  chart.note = "how much knowing the feature lowers the mean squared error";
  chart.x.label = view.report.sage_unit.empty() ? "SAGE" : fmt::format("SAGE ({})", view.report.sage_unit);
  return chart;
}

Chart beeswarm_chart(const AttributionView& view) {
  Chart chart;
  const std::size_t lines = view.shown + (view.others() > 0 ? 1 : 0);
  const std::size_t most = std::max<std::size_t>(most_marks / std::max<std::size_t>(lines, 1), 200);
  const std::size_t stride = (view.rows + most - 1) / std::max<std::size_t>(most, 1);
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < view.rows; i += std::max<std::size_t>(stride, 1)) rows.push_back(i);
  chart.title = "Attributions of " + title_of(view);
  chart.note = rows.size() == view.rows ? "one mark per row, " + rows_text(view.rows)
                                        : fmt::format("one mark per row, every {}{} of {}", stride,
                                                      stride == 2   ? "nd"
                                                      : stride == 3 ? "rd"
                                                                    : "th",
                                                      rows_text(view.rows));
  chart.x.label = view.with_unit("phi: effect on the prediction");
  chart.category_height = 28;
  chart.marks.push_back({0, ""});

  std::vector<std::vector<double>> phi(lines), shade(lines);
  double low = 0, high = 0;
  for (std::size_t line = 0; line < lines; ++line) {
    const bool rest = line == view.shown;
    chart.categories.push_back(rest ? view.others_text() + ", sum"
                                    : short_text(view.name(view.order[line]), name_width));
    const std::vector<double> all =
        rest ? std::vector<double>(view.rows, nan) : shades_of(view, view.order[line]);
    for (const std::size_t i : rows) {
      phi[line].push_back(rest ? view.phi_of_others(i) : view.phi(i, view.order[line]));
      shade[line].push_back(all[i]);
      if (!std::isfinite(phi[line].back())) continue;
      low = std::min(low, phi[line].back());
      high = std::max(high, phi[line].back());
    }
  }
  Series marks{"", Style::points, {}, {}};
  bool shaded = false;
  for (std::size_t line = 0; line < lines; ++line) {
    const std::vector<double> height = swarm(phi[line], low, high, 110, .16);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      marks.x.push_back(phi[line][i]);
      marks.y.push_back(static_cast<double>(line) - height[i]);
      marks.shade.push_back(shade[line][i]);
      shaded = shaded || std::isfinite(shade[line][i]);
    }
  }
  if (!shaded) marks.shade.clear();
  chart.colours = {"value of the feature", 0, 1, {{0, "low"}, {1, "high"}}};
  chart.series.push_back(std::move(marks));
  return chart;
}

Chart waterfall_chart(const AttributionView& view, std::size_t row) {
  std::vector<std::size_t> order = view.order;  // by this row's |phi|
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const double x = std::abs(view.phi(row, a)), y = std::abs(view.phi(row, b));
    return std::isnan(y) ? !std::isnan(x) : x > y;
  });
  double others = 0;
  for (std::size_t i = view.shown; i < order.size(); ++i) others += view.phi(row, order[i]);
  const int decimals = view.decimals;

  Chart chart;
  chart.title = "How " + title_of(view) + " of " + short_text(view.label(row), 40) + " comes about";
  chart.x.label = view.with_unit(title_of(view));
  chart.overlaid = true;
  const std::size_t lines = view.shown + (view.others() > 0 ? 1 : 0) + 2;
  chart.categories.resize(lines);
  const auto blank = [&](Tone tone) {
    Series s{"", Style::bars, std::vector<double>(lines, nan), {}, tone};
    s.base.assign(lines, nan);
    s.error.assign(lines, nan);
    s.labels.assign(lines, "");
    return s;
  };
  Series up = blank(Tone::increase), down = blank(Tone::decrease);
  Series ends{"", Style::points, {}, {}, Tone::neutral}, path{"", Style::line, {}, {}, Tone::neutral};
  const auto end = [&](const std::string& name, double value, std::size_t line) {
    chart.categories[line] = name;
    ends.x.push_back(value);
    ends.y.push_back(static_cast<double>(line));
    ends.labels.push_back(view.in_unit(fixed_text(value, decimals)));
  };
  const auto connect = [&](double value, std::size_t from) {
    for (const double y : {static_cast<double>(from), static_cast<double>(from) - 1, nan}) {
      path.x.push_back(value);
      path.y.push_back(y);
    }
  };
  double place = view.report.phi0;
  std::size_t line = lines - 1;
  end("phi0, on average", place, line);
  bool errors = false;
  const auto step = [&](const std::string& name, double phi, double error) {
    connect(place, line--);
    chart.categories[line] = name;
    Series& s = phi < 0 ? down : up;
    s.labels[line] = signed_text(phi, decimals);
    if (std::isfinite(error) && error > 0) {
      s.labels[line] += " \xC2\xB1 " + error_text(error, decimals);
      errors = true;
    }
    if (!std::isfinite(phi)) chart.categories[line] += ": " + number_text(phi);
    s.base[line] = place;
    s.x[line] = std::isfinite(phi) ? place + phi : nan;
    s.error[line] = error;
    if (std::isfinite(phi)) place += phi;
  };
  if (view.others() > 0) step(view.others_text() + ", sum", others, nan);
  for (std::size_t i = view.shown; i-- > 0;)
    step(view.player_text(row, order[i], name_width), view.phi(row, order[i]), view.error(row, order[i]));
  connect(place, line);
  end("prediction", view.report.prediction[row], 0);
  chart.note = "from the mean prediction to this row's";
  if (!view.report.actual.empty() && std::isfinite(view.report.actual[row]))
    chart.note += ", actual " + view.in_unit(fixed_text(view.report.actual[row], decimals));
  if (errors) chart.note += "; whiskers: one standard error";
  chart.series = {std::move(path), std::move(up), std::move(down), std::move(ends)};
  return chart;
}

std::vector<std::size_t> waterfall_rows(const AttributionView& view) {
  std::vector<std::size_t> rows;
  if (!view.options.waterfalls.empty()) {
    for (const std::int64_t row : view.options.waterfalls) rows.push_back(static_cast<std::size_t>(row));
    return rows;
  }
  for (std::size_t i = 0; i < view.rows; ++i)
    if (std::isfinite(view.report.prediction[i])) rows.push_back(i);
  std::stable_sort(rows.begin(), rows.end(), [&](std::size_t a, std::size_t b) {
    return view.report.prediction[a] > view.report.prediction[b];
  });
  if (rows.size() > 3) rows = {rows.front(), rows[rows.size() / 2], rows.back()};
  return rows;
}

Chart effective_chart(const AttributionView& view) {
  Chart chart;
  chart.title = "Effective sample size";
  chart.note =
      view.report.quality.draws > 0
          ? fmt::format("smallest over the coalitions of a row, of {} draws", view.report.quality.draws)
          : "smallest over the coalitions of a row";
  chart.x.label = "effective draws";
  chart.x.low = 0;
  if (view.report.quality.draws > 0) chart.x.high = static_cast<double>(view.report.quality.draws) * 1.02;
  chart.y.label = "rows";
  chart.series.push_back(histogram("", view.report.effective_min));
  return chart;
}

Chart comparison_chart(const AttributionView& view) {
  const std::vector<ComparedMethod>& methods = view.report.quality.comparison;
  const std::string own = short_text(methods.at(0).name, name_width);
  Chart chart;
  chart.title = "MSEv compared with " + own;
  chart.note = "whiskers: two standard errors (paired); right of 0 is worse than " + own;
  chart.x.label = view.report.unit.empty()
                      ? "difference of MSEv"
                      : fmt::format("difference of MSEv ({}\xC2\xB2)", short_text(view.report.unit, 20));
  Series bars{"", Style::bars, {}, {}};
  for (std::size_t i = 1; i < methods.size(); ++i) {
    chart.categories.push_back(short_text(methods[i].name, name_width));
    bars.x.push_back(methods[i].difference.value);
    bars.error.push_back(2 * methods[i].difference.standard_error);
    bars.labels.push_back(number_text(methods[i].difference.value));
  }
  chart.series.push_back(std::move(bars));
  return chart;
}

}  // namespace emshap::report
