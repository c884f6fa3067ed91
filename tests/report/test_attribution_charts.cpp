// What is drawn, before it is drawn.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "attribution_fixture.h"
#include "report/attribution_charts.h"

using namespace emshap;
using namespace emshap::report;

namespace {

/// phi of x0 with slope 1 + tanh of the partner (0: none); columns x0..x3, all correlated.
AttributionReport interacting(std::size_t n, std::size_t partner) {
  AttributionReport r;
  test::Numbers random(3);
  r.players = r.columns = {"a", "b", "c", "d"};
  for (std::size_t i = 0; i < n; ++i) {
    const double common = random.bell();
    double x[4];
    for (double& v : x) r.values.push_back(v = .7 * common + .7 * random.bell());
    r.phi.insert(r.phi.end(), {x[0] * (partner > 0 ? 1 + std::tanh(x[partner]) : 1), x[1], 0, 0});
    r.prediction.push_back(0);
  }
  return r;
}

}  // namespace

TEST_CASE("the column that interacts is found among correlated ones, and none where none does") {
  const AttributionReportOptions options;
  for (const std::size_t n : {80U, 400U, 2000U}) {
    for (const std::size_t partner : {1U, 2U, 3U}) {
      const AttributionReport r = interacting(n, partner);
      const AttributionView view(r, options);
      CHECK(strongest_partner(view, 0) == std::optional<std::size_t>(partner));
    }
    const AttributionReport none = interacting(n, 0);
    const AttributionView view(none, options);
    CHECK_FALSE(strongest_partner(view, 0));
    CHECK_FALSE(strongest_partner(view, 2));  // phi is constant
  }
  const AttributionReport few = interacting(19, 1);
  CHECK_FALSE(strongest_partner(AttributionView(few, options), 0));
}

TEST_CASE("marks of a beeswarm stay in their line and apart") {
  const AttributionReportOptions options;
  AttributionReport r = test::example_attributions(300, 3);
  for (std::size_t i = 0; i < 300; ++i) r.phi[3 * i + 2] = 1;  // all in one place
  const AttributionView view(r, options);
  const Chart chart = beeswarm_chart(view);
  const Series& s = chart.series.at(0);
  REQUIRE(s.x.size() == 900);
  std::set<std::pair<double, double>> places;
  for (std::size_t i = 0; i < s.x.size(); ++i) {
    const double line = std::round(s.y[i]);
    CHECK(std::abs(s.y[i] - line) <= .43);
    const std::size_t player = view.order[static_cast<std::size_t>(line)];
    CHECK(s.x[i] == view.phi(i % 300, player));
    places.insert({s.x[i], s.y[i]});
  }
  CHECK(places.size() == 900);
}

TEST_CASE("colours of a beeswarm follow the values, grey where there is none") {
  const AttributionReportOptions options;
  AttributionReport r = test::example_attributions(100, 2);
  for (std::size_t i = 0; i < 100; ++i) {
    r.values[2 * i] = static_cast<double>(i);
    r.values[2 * i + 1] = 5;  // constant
  }
  r.values[2 * 50] = std::nan("");
  r.values[2 * 99] = 1e9;  // takes no more than the end of the scale
  const AttributionView view(r, options);
  const Series s = beeswarm_chart(view).series.at(0);
  const std::size_t first = view.order[0] == 0 ? 0 : 100;
  CHECK(s.shade[first] == 0);
  CHECK(s.shade[first + 99] == 1);
  CHECK(s.shade[first + 49] == doctest::Approx(.5).epsilon(.02));
  CHECK(std::isnan(s.shade[first + 50]));
  for (std::size_t i = 0; i < 100; ++i) CHECK(std::isnan(s.shade[100 - first + i]));
}

TEST_CASE("a waterfall's bars join up and its others are summed") {
  AttributionReportOptions options;
  options.most_players = 4;
  const AttributionReport r = test::example_attributions(3, 9);
  const AttributionView view(r, options);
  for (std::size_t row = 0; row < 3; ++row) {
    const Chart chart = waterfall_chart(view, row);
    REQUIRE(chart.categories.size() == 4 + 1 + 2);
    CHECK(chart.categories.front() == "prediction");
    CHECK(chart.categories.at(5) == "5 others, sum");
    const Series &up = chart.series.at(1), &down = chart.series.at(2);
    double place = r.phi0;
    for (std::size_t line = 5; line >= 1; --line) {
      const Series& s = std::isfinite(up.x[line]) ? up : down;
      CHECK(std::isfinite(up.x[line]) != std::isfinite(down.x[line]));
      CHECK(s.base[line] == doctest::Approx(place));
      CHECK((s.x[line] >= s.base[line]) == (&s == &up));
      place = s.x[line];
    }
    CHECK(place == doctest::Approx(r.prediction[row]));
    for (std::size_t line = 1; line < 4; ++line) {  // largest on top
      const auto size = [&](std::size_t i) {
        const Series& s = std::isfinite(up.x[i]) ? up : down;
        return std::abs(s.x[i] - s.base[i]);
      };
      CHECK(size(line) >= size(line + 1) - 1e-9);
    }
  }
}

TEST_CASE("rows over time are one node's, in order, and long series are averaged") {
  AttributionReportOptions options;
  AttributionReport r = test::full_attributions(20, 2);
  for (std::size_t i = 0; i < 20; ++i) r.time[i] = 100 - r.time[i];
  options.node = "node-b";
  const AttributionView view(r, options);
  const auto rows = rows_over_time(view);
  REQUIRE(rows.size() == 10);
  CHECK(rows.front() == 19);
  CHECK(rows.back() == 1);
  const HeatMap map = time_map(view, rows);
  CHECK(map.values.at(0) == view.phi(19, view.order[0]));

  const AttributionReport many = test::full_attributions(2000, 2);
  const AttributionReportOptions plain;
  const AttributionView all(many, plain);
  const auto node = rows_over_time(all);
  REQUIRE(node.size() == 1000);
  const HeatMap binned = time_map(all, node);
  CHECK(binned.column_names.size() == 200);
  double mean = 0;
  for (std::size_t i = 0; i < 5; ++i) mean += all.phi(node[i], all.order[0]) / 5;
  CHECK(binned.values.at(0) == doctest::Approx(mean));
  std::size_t labels = 0;
  for (const std::string& name : binned.column_names) labels += name.empty() ? 0U : 1U;
  CHECK(labels <= 12);

  // Times without labels: dates where they can be dates, numbers otherwise.
  r.time_labels.clear();
  for (const double unit : {1., 1e3, 1e6, 1e9}) {
    for (std::size_t i = 0; i < 20; ++i) r.time[i] = unit * (1772323200 + 60 * static_cast<double>(i));
    CHECK(AttributionView(r, plain).time_label(0) == "2026-03-01 00:00");
    r.time[3] += 5 * unit;
    CHECK(AttributionView(r, plain).time_label(3) == "2026-03-01 00:03:05");
    r.time[2] = 17;
    CHECK(AttributionView(r, plain).time_label(2) == "17");
  }

  r.time.clear();
  CHECK(rows_over_time(AttributionView(r, plain)).empty());
}
