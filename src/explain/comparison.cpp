#include "emshap/explain/comparison.h"

#include <cmath>
#include <set>

#include <fmt/format.h>

#include "data/json_text.h"
#include "emshap/core/error.h"

namespace emshap {
namespace {

constexpr double enough = 2;  // paired standard errors

void check(const std::vector<ComparedMethod>& methods, std::span<const std::int64_t> cluster) {
  if (methods.empty()) throw ConfigError("comparison: no method was given, expected at least one");
  std::set<std::string> names;
  for (const ComparedMethod& m : methods) {
    if (!names.insert(m.name).second)
      throw ConfigError(fmt::format("comparison: method '{}' was given twice", m.name));
    if (m.row_msev.size() != methods.front().row_msev.size() ||
        (!cluster.empty() && cluster.size() != m.row_msev.size()))
      throw ShapeError(fmt::format("comparison: '{}' has {} rows and {} groups, expected {} rows as '{}'",
                                   m.name, m.row_msev.size(), cluster.size(), methods.front().row_msev.size(),
                                   methods.front().name));
  }
}

/// Rows that have a number for every method.
std::vector<std::size_t> comparable_rows(const std::vector<ComparedMethod>& methods) {
  std::vector<std::size_t> out;
  for (std::size_t r = 0; r < methods.front().row_msev.size(); ++r) {
    bool all = true;
    for (const ComparedMethod& m : methods) all = all && std::isfinite(m.row_msev[r]);
    if (all) out.push_back(r);
  }
  return out;
}

/// How far a method is behind the best, free of units: in paired standard errors.
double errors_behind(const MethodResult& m) {
  if (!(m.behind.value > 0)) return 0;
  return m.behind.value / m.behind.standard_error;
}

std::string number(double errors) {
  return errors < 100 ? fmt::format("{:.1f}", errors) : "more than 99";
}

/// "a's by .3, b's by 1.2"
std::string list(const MethodComparison& c, const std::vector<std::size_t>& which) {
  std::string out;
  for (const std::size_t i : which)
    out += fmt::format("{}{}'s by {}", out.empty() ? "" : ", ", c.methods[i].name,
                       number(errors_behind(c.methods[i])));
  return out;
}

void recommend(MethodComparison& c) {
  const std::string& best = c.methods[c.best].name;
  c.recommended = c.best;
  if (c.methods.size() == 1) {
    c.recommendation = fmt::format("There is nothing to compare {} with.", best);
    return;
  }
  if (std::isnan(c.methods[c.best].msev.standard_error)) {
    c.recommendation =
        fmt::format("{} has the lowest MSEv, but a single {} says nothing about how sure that is.", best,
                    c.clusters > 0 ? "group of rows" : "row");
    return;
  }
  std::vector<std::size_t> tied;
  std::size_t nearest = c.best, cheapest = c.best;
  bool costs = true;
  for (std::size_t i = 0; i < c.methods.size(); ++i) {
    const MethodResult& m = c.methods[i];
    if (m.tied) {
      costs = costs && !std::isnan(m.cost);
      if (m.cost < c.methods[cheapest].cost) cheapest = i;
    }
    if (i == c.best) continue;
    if (m.tied) tied.push_back(i);
    if (nearest == c.best || errors_behind(m) < errors_behind(c.methods[nearest])) nearest = i;
  }
  if (tied.empty()) {
    c.recommendation = fmt::format(
        "Take {}: its MSEv is below every other method's by more than two paired standard errors ({}).", best,
        list(c, {nearest}));
  } else if (!costs || cheapest == c.best) {
    c.recommendation =
        fmt::format("Take {}: its MSEv is the lowest, though not by two paired standard errors (below {}){}.",
                    best, list(c, tied), costs ? ", and it costs least of these" : "");
  } else {
    c.recommended = cheapest;
    c.recommendation = fmt::format(
        "Take {}: it costs {:.2g} times as much as {}, whose MSEv is lower by only {} paired standard "
        "errors.",
        c.methods[cheapest].name, c.methods[cheapest].cost / c.methods[c.best].cost, best,
        number(errors_behind(c.methods[cheapest])));
  }
}

}  // namespace

MethodComparison compare_methods(const std::vector<ComparedMethod>& methods,
                                 std::span<const std::int64_t> cluster) {
  check(methods, cluster);
  const std::vector<std::size_t> rows = comparable_rows(methods);
  if (rows.empty())
    throw DataError(
        fmt::format("comparison: none of the {} rows can be compared, expected one without "
                    "missing values",
                    methods.front().row_msev.size()));
  MethodComparison out;
  out.rows = static_cast<std::int64_t>(rows.size());
  std::vector<std::int64_t> group;
  if (!cluster.empty()) {
    for (const std::size_t r : rows) group.push_back(cluster[r]);
    out.clusters = static_cast<std::int64_t>(std::set<std::int64_t>(group.begin(), group.end()).size());
  }
  const std::vector<double> one(rows.size(), 1);
  std::vector<double> y(rows.size());
  const std::size_t n = methods.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t r = 0; r < rows.size(); ++r) y[r] = methods[i].row_msev[rows[r]];
    out.methods.push_back({methods[i].name, ratio_estimate(y, one, group), methods[i].cost, {}, true});
    if (out.methods[i].msev.value < out.methods[out.best].msev.value) out.best = i;
  }
  out.differences.resize(n * n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      if (i == j) continue;
      for (std::size_t r = 0; r < rows.size(); ++r)
        y[r] = methods[i].row_msev[rows[r]] - methods[j].row_msev[rows[r]];
      out.differences[i * n + j] = ratio_estimate(y, one, group);
    }
  for (std::size_t i = 0; i < n; ++i) {
    MethodResult& m = out.methods[i];
    m.behind = out.difference(i, out.best);
    m.tied = !(m.behind.value > enough * m.behind.standard_error);
  }
  recommend(out);
  return out;
}

std::string MethodComparison::json() const {
  using json_text::number;
  using json_text::quote;
  std::string entries, pairs;
  for (std::size_t i = 0; i < methods.size(); ++i) {
    const MethodResult& m = methods[i];
    entries += fmt::format(
        R"({}{{"name":{},"msev":{},"standard_error":{},"cost":{},"behind":{},"behind_standard_error":{},"tied":{}}})",
        i == 0 ? "" : ",", quote(m.name), number(m.msev.value), number(m.msev.standard_error), number(m.cost),
        number(m.behind.value), number(m.behind.standard_error), m.tied);
    for (std::size_t j = i + 1; j < methods.size(); ++j)
      pairs += fmt::format(R"({}{{"a":{},"b":{},"difference":{},"standard_error":{}}})",
                           pairs.empty() ? "" : ",", quote(m.name), quote(methods[j].name),
                           number(difference(i, j).value), number(difference(i, j).standard_error));
  }
  return fmt::format(
      R"({{"rows":{},"groups":{},"methods":[{}],"differences":[{}],"best":{},"recommended":{},"recommendation":{}}})",
      rows, clusters, entries, pairs, quote(methods.empty() ? "" : methods[best].name),
      quote(methods.empty() ? "" : methods[recommended].name), quote(recommendation));
}

}  // namespace emshap
