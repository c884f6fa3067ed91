#include "emshap/report/comparison_table.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "emshap/report/text_table.h"

namespace emshap::report {
namespace {

std::string number(double value, const char* format) {
  return std::isnan(value) ? "-" : fmt::format(fmt::runtime(format), value);
}

}  // namespace

std::string comparison_table(const MethodComparison& c, double variance) {
  const bool share = variance > 0;
  const double unit = share ? variance : 1;
  const bool costs = std::any_of(c.methods.begin(), c.methods.end(),
                                 [](const MethodResult& m) { return !std::isnan(m.cost); });
  std::vector<TextTable::Column> columns{{"method", Align::left}, {"MSEv"},         {"SE"}, {"behind"},
                                         {"paired SE"},           {"", Align::left}};
  if (costs) columns.push_back({"cost"});
  TextTable table(columns);
  std::vector<std::size_t> order(c.methods.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return c.methods[a].msev.value < c.methods[b].msev.value;
  });
  for (const std::size_t i : order) {
    const MethodResult& m = c.methods[i];
    const bool first = i == c.best;
    std::vector<std::string> cells{printable(m.name),
                                   number(m.msev.value / unit, "{:.4g}"),
                                   number(m.msev.standard_error / unit, "{:.2g}"),
                                   first ? "" : number(m.behind.value / unit, "{:+.4g}"),
                                   first ? "" : number(m.behind.standard_error / unit, "{:.2g}"),
                                   first    ? "lowest"
                                   : m.tied ? "tied"
                                            : "worse"};
    if (costs) cells.push_back(number(m.cost, "{:.3g}"));
    table.add_row(std::move(cells));
  }
  return fmt::format(
      "MSEv over {} rows{}{}; it contains what x_S leaves open of f, so only differences count\n{}{}\n",
      c.rows, c.clusters > 0 ? fmt::format(" in {} groups", c.clusters) : std::string(),
      share ? ", as a share of the variance of f" : "", table.str(), c.recommendation);
}

}  // namespace emshap::report
