#include "report/attribution_view.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/report/text_table.h"
#include "report/number_text.h"

namespace emshap::report {
namespace {

constexpr std::int64_t unit_width = 20;

void check(const char* what, std::size_t got, std::size_t expected, bool may_be_empty = true) {
  if (got == expected || (may_be_empty && got == 0)) return;
  throw ShapeError(fmt::format("attribution report: {} has {} entries, expected {}{}", what, got, expected,
                               may_be_empty && expected != 0 ? " or none" : ""));
}

/// How many units of these times make a second where all are dates of 2000 to 2099; 0 otherwise.
double units_per_second(const std::vector<double>& time) {
  constexpr double from = 946684800, to = 4102444800;  // seconds since 1970
  for (const double unit : {1., 1e3, 1e6, 1e9}) {
    bool all = true, any = false;
    for (const double t : time) {
      if (!std::isfinite(t)) continue;
      any = true;
      all = all && t >= from * unit && t < to * unit;
    }
    if (any && all) return unit;
  }
  return 0;
}

std::string date_text(double since_1970, bool with_seconds) {
  const auto second = static_cast<std::int64_t>(std::floor(since_1970));
  const std::chrono::sys_days day{std::chrono::days(second / 86400)};
  const std::chrono::year_month_day date{day};
  const std::int64_t rest = second % 86400;
  std::string out = fmt::format("{:04}-{:02}-{:02} {:02}:{:02}", static_cast<int>(date.year()),
                                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                rest / 3600, rest / 60 % 60);
  return with_seconds ? out + fmt::format(":{:02}", rest % 60) : out;
}

std::string or_no_name(const std::string& name) {
  const std::string text = printable(name);
  return text.empty() ? "(no name)" : text;
}

}  // namespace

AttributionView::AttributionView(const AttributionReport& r, const AttributionReportOptions& o)
    : report(r),
      options(o),
      rows(r.prediction.size()),
      players(r.players.size()),
      columns(r.columns.size()),
      columns_of_(players) {
  check("phi", r.phi.size(), rows * players, false);
  check("values", r.values.size(), rows * columns);
  check("standard_error", r.standard_error.size(), rows * players);
  check("grouping", r.grouping.size(), players);
  check("categories", r.categories.size(), columns);
  check("actual", r.actual.size(), rows);
  check("labels", r.labels.size(), rows);
  check("time", r.time.size(), rows);
  check("time_labels", r.time_labels.size(), rows);
  check("node", r.node.size(), rows);
  check("missing", r.missing.size(), rows);
  check("unusual", r.unusual.size(), rows);
  check("converged", r.converged.size(), rows);
  check("effective_min", r.effective_min.size(), rows);
  check("effective_mean", r.effective_mean.size(), rows);
  check("mean_absolute", r.mean_absolute.size(), players);
  check("sage", r.sage.size(), players);
  for (const std::int64_t row : o.waterfalls)
    if (row < 0 || row >= static_cast<std::int64_t>(rows))
      throw ShapeError(fmt::format("attribution report: a waterfall of row {} is asked for, expected 0..{}",
                                   row, rows - 1));

  explained = static_cast<std::size_t>(std::max(r.explained, r.rows()));
  per_second_ = units_per_second(r.time);
  if (per_second_ > 0)
    for (const double t : r.time)
      seconds_ = seconds_ || (std::isfinite(t) && std::fmod(std::floor(t / per_second_), 60) != 0);

  mean_absolute = r.mean_absolute;
  if (mean_absolute.empty())
    for (std::size_t j = 0; j < players; ++j) {
      double sum = 0, count = 0;
      for (std::size_t i = 0; i < rows; ++i)
        if (std::isfinite(phi(i, j))) sum += std::abs(phi(i, j)), ++count;
      mean_absolute.push_back(count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN());
    }
  std::vector<double> largest(rows, 0);
  for (std::size_t i = 0; i < r.phi.size(); ++i)
    if (std::isfinite(r.phi[i])) largest[i / players] = std::max(largest[i / players], std::abs(r.phi[i]));
  scale = finite_quantile(largest, .9);
  decimals = std::min(decimals_for(finite_quantile(largest, 1)), 6);
  order.resize(players);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const double x = mean_absolute[a], y = mean_absolute[b];
    return std::isnan(y) ? !std::isnan(x) : x > y;
  });
  const auto most = static_cast<std::size_t>(std::max<std::int64_t>(o.most_players, 1));
  shown = players <= most + 1 ? players : most;  // "1 other" would take the same place

  if (r.values.empty()) return;
  for (std::size_t j = 0; j < players; ++j) {
    if (!r.grouping.empty()) {
      for (const std::int64_t column : r.grouping[j]) {
        if (column < 0 || column >= static_cast<std::int64_t>(columns))
          throw ShapeError(fmt::format("attribution report: player '{}' has column {}, expected 0..{}",
                                       r.players[j], column, columns - 1));
        columns_of_[j].push_back(static_cast<std::size_t>(column));
      }
      continue;
    }
    const auto found = std::find(r.columns.begin(), r.columns.end(), r.players[j]);
    if (found != r.columns.end())
      columns_of_[j].push_back(static_cast<std::size_t>(found - r.columns.begin()));
  }
}

std::string AttributionView::name(std::size_t player) const {
  return or_no_name(report.players[player]);
}

std::string AttributionView::column_name(std::size_t column) const {
  return or_no_name(report.columns[column]);
}

double AttributionView::error(std::size_t row, std::size_t player) const {
  return report.standard_error.empty() ? std::numeric_limits<double>::quiet_NaN()
                                       : report.standard_error[row * players + player];
}

double AttributionView::phi_of_others(std::size_t row) const {
  double sum = 0;
  for (std::size_t i = shown; i < players; ++i) sum += phi(row, order[i]);
  return sum;
}

double AttributionView::value(std::size_t row, std::size_t column) const {
  return report.values.empty() ? std::numeric_limits<double>::quiet_NaN()
                               : report.values[row * columns + column];
}

bool AttributionView::categorical(std::size_t column) const {
  return !report.categories.empty() && !report.categories[column].empty();
}

std::string AttributionView::label(std::size_t row) const {
  return report.labels.empty() ? fmt::format("row {}", row) : printable(report.labels[row]);
}

std::string AttributionView::time_label(std::size_t row) const {
  if (!report.time_labels.empty()) return printable(report.time_labels[row]);
  if (report.time.empty()) return label(row);
  const double t = report.time[row];
  if (!std::isfinite(t)) return number_text(t);
  return per_second_ > 0 ? date_text(t / per_second_, seconds_) : fmt::format("{:.15g}", t);
}

std::string AttributionView::value_text(std::size_t row, std::size_t column) const {
  const double v = value(row, column);
  if (std::isnan(v)) return "missing";
  if (categorical(column) && v >= 0 && v < static_cast<double>(report.categories[column].size()) &&
      v == std::floor(v))
    return printable(report.categories[column][static_cast<std::size_t>(v)]);
  return number_text(v);
}

std::string AttributionView::player_text(std::size_t row, std::size_t player, std::int64_t width) const {
  const std::string text = short_text(name(player), width);
  const std::vector<std::size_t>& list = columns_of_[player];
  if (list.size() == 1) return text + " = " + short_text(value_text(row, list[0]), 16);
  return list.empty() ? text : fmt::format("{} ({} columns)", text, list.size());
}

std::string AttributionView::others_text() const {
  return fmt::format("{} others", others());
}

std::string AttributionView::with_unit(const std::string& name) const {
  return report.unit.empty() ? name : fmt::format("{} ({})", name, short_text(report.unit, unit_width));
}

std::string AttributionView::in_unit(const std::string& number) const {
  return report.unit.empty() ? number : number + " " + short_text(report.unit, unit_width);
}

std::string AttributionView::target() const {
  return report.target.empty() ? "prediction" : printable(report.target);
}

}  // namespace emshap::report
