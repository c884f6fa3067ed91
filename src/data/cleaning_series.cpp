#include "data/cleaning_series.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string_view>
#include <tuple>
#include <unordered_map>

namespace emshap::cleaning {
namespace {

constexpr float none = std::numeric_limits<float>::quiet_NaN();

/// A number for each row's node; rows without a node get one each.
std::vector<std::int64_t> nodes_of(const Table& table, const Column* column) {
  if (column == nullptr) return {};
  std::vector<std::int64_t> nodes(static_cast<std::size_t>(table.rows()));
  std::unordered_map<std::string_view, std::int64_t> number;
  std::int64_t alone = -1;
  for (std::size_t r = 0; r < nodes.size(); ++r) {
    const auto row = static_cast<std::int64_t>(r);
    nodes[r] = column->present(row)
                   ? number.emplace(column->text(row), static_cast<std::int64_t>(number.size())).first->second
                   : alone--;
  }
  return nodes;
}

std::size_t at(std::int64_t row) {
  return static_cast<std::size_t>(row);
}

}  // namespace

const Column* node_column(const Table& table, const std::string& name) {
  const Column* named = table.find(name);
  if (named != nullptr && (named->role() == ColumnRole::node_id || named->role() == ColumnRole::group))
    return named;
  const Column* node = table.only(ColumnRole::node_id);
  return node != nullptr ? node : table.only(ColumnRole::group);
}

Series series_of(const Table& table, std::span<const std::int32_t> part, const Column* time,
                 const Column* node) {
  const std::vector<std::int64_t> nodes = nodes_of(table, node);
  const auto times = time != nullptr ? time->i64() : std::span<const std::int64_t>();
  Series series;
  series.rows = all_rows(table);
  const auto same_run = [&](std::int64_t a, std::int64_t b) {
    return (nodes.empty() || nodes[at(a)] == nodes[at(b)]) && (part.empty() || part[at(a)] == part[at(b)]);
  };
  const auto before = [&](std::int64_t a, std::int64_t b) {
    if (!nodes.empty() && nodes[at(a)] != nodes[at(b)]) return nodes[at(a)] < nodes[at(b)];
    if (!part.empty() && part[at(a)] != part[at(b)]) return part[at(a)] < part[at(b)];
    if (time != nullptr) {
      if (time->present(a) != time->present(b)) return time->present(a);
      if (times[at(a)] != times[at(b)]) return times[at(a)] < times[at(b)];
    }
    return std::pair(table.source_row(a), a) < std::pair(table.source_row(b), b);
  };
  std::sort(series.rows.begin(), series.rows.end(), before);
  for (std::size_t i = 0; i < series.rows.size(); ++i)
    if (i == 0 || !same_run(series.rows[i - 1], series.rows[i])) series.begins.push_back(i);
  series.begins.push_back(series.rows.size());
  return series;
}

std::int64_t fill_forward(const Series& series, std::vector<float>& values, double mean) {
  std::int64_t filled = 0;
  for (std::size_t i = 0; i < series.runs(); ++i) {
    const auto run = series.run(i);
    const auto present =
        std::find_if(run.begin(), run.end(), [&](std::int64_t r) { return !std::isnan(values[at(r)]); });
    float last = present != run.end() ? values[at(*present)] : static_cast<float>(mean);
    for (const std::int64_t r : run) {
      float& v = values[at(r)];
      if (!std::isnan(v)) {
        last = v;
      } else if (!std::isnan(last)) {
        v = last;
        ++filled;
      }
    }
  }
  return filled;
}

void lag(const Series& series, std::span<const float> values, std::int64_t back, std::vector<float>& out) {
  out.assign(values.size(), none);
  for (std::size_t i = 0; i < series.runs(); ++i) {
    const auto run = series.run(i);
    for (std::size_t k = at(back); k < run.size(); ++k) out[at(run[k])] = values[at(run[k - at(back)])];
  }
}

void rolling(const Series& series, std::span<const float> values, std::int64_t window,
             std::vector<float>& mean, std::vector<float>& deviation) {
  mean.assign(values.size(), none);
  deviation.assign(values.size(), none);
  const auto n = static_cast<double>(window);
  for (std::size_t i = 0; i < series.runs(); ++i) {
    const auto run = series.run(i);
    for (std::size_t end = at(window); end <= run.size(); ++end) {
      const auto rows = run.subspan(end - at(window), at(window));
      // Deviations from the first value: exact zeros where nothing varies, small sums where the mean is
      // large.
      const auto first = static_cast<double>(values[at(rows[0])]);
      double sum = 0, squares = 0;
      for (const std::int64_t r : rows) sum += static_cast<double>(values[at(r)]) - first;
      const double centre = sum / n;
      for (const std::int64_t r : rows) {
        const double d = static_cast<double>(values[at(r)]) - first - centre;
        squares += d * d;
      }
      mean[at(rows.back())] = static_cast<float>(first + centre);
      deviation[at(rows.back())] = static_cast<float>(std::sqrt(squares / (n - 1)));
    }
  }
}

Calendar calendar_of(std::int64_t time) {
  // Up to 1e11 seconds (the year 5138) are seconds; in each finer unit the same bound is 1973.
  const double size = std::abs(static_cast<double>(time));
  const std::int64_t unit = size < 1e11 ? 1 : size < 1e14 ? 1000 : size < 1e17 ? 1000000 : 1000000000;
  const auto floor_divide = [](std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); };
  const std::int64_t seconds = floor_divide(time, unit), day = floor_divide(seconds, 86400);
  const auto week = static_cast<int>(((day + 3) % 7 + 7) % 7);  // 1970-01-01 was a Thursday
  return {static_cast<int>((seconds - day * 86400) / 3600), week, week >= 5};
}

}  // namespace emshap::cleaning
