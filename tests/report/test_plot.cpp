#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "emshap/core/error.h"
#include "emshap/report/plot.h"
#include "report/gnuplot_script.h"
#include "report_fixture.h"
#include "svg_text.h"

using namespace emshap;
using namespace emshap::report;
using test::read_svg;

namespace {

Series points(std::size_t n, Style style) {
  Series s{"", style, {}, {}};
  for (std::size_t i = 0; i < n; ++i) {
    s.x.push_back(static_cast<double>(i % 97));
    s.y.push_back(static_cast<double>((i * 31) % 89));
  }
  return s;
}

}  // namespace

TEST_CASE("a line chart shows its labels, legend and marks") {
  EMSHAP_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  test::RecordingSink sink;
  Plotter plotter({}, sink);
  Chart chart;
  chart.title = "Loss per epoch";
  chart.note = "a note";
  chart.x.label = "epoch";
  chart.y = {"MSE", true, {}, {}};
  chart.series.push_back({"training", Style::line, {1, 2, 3}, {1, .1, .01}});
  chart.series.push_back({"validation", Style::line, {1, 2, 3}, {2, std::nan(""), .02}});
  chart.marks.push_back({2, "best epoch 2"});
  REQUIRE(plotter.write(chart, folder.path() / "loss.svg"));
  const auto svg = read_svg(folder.path() / "loss.svg");
  for (const char* text : {"Loss per epoch", "a note", "epoch", "MSE", "training", "validation",
                           "best epoch 2", "0.05", "0.1", "0.2"}) {
    CAPTURE(text);
    CHECK(svg.has(text));
  }
  CHECK(svg.polygons.size() == 2);  // one plot per series
  CHECK(sink.warnings.empty());
}

TEST_CASE("every point of a scatter is a mark") {
  EMSHAP_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  Plotter plotter;
  for (const std::size_t n : {0U, 1U, 2U, 31U, 1000U, 3000U}) {
    CAPTURE(n);
    Chart chart;
    chart.diagonal = true;
    chart.series.push_back(points(n, Style::density));
    REQUIRE(plotter.write(chart, folder.path() / "scatter.svg"));
    const auto svg = read_svg(folder.path() / "scatter.svg");
    CHECK(svg.points == static_cast<int>(n));
    CHECK(svg.has("predicted = actual"));
  }
}

TEST_CASE("points that cannot be drawn are left out") {
  EMSHAP_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  Plotter plotter;
  const double inf = std::numeric_limits<double>::infinity();
  Chart chart;
  chart.x.logarithmic = true;
  chart.series.push_back({"", Style::points, {1, 2, 0, -1, std::nan(""), 3, inf}, {1, 1, 1, 1, 1, -inf, 1}});
  REQUIRE(plotter.write(chart, folder.path() / "scatter.svg"));
  CHECK(read_svg(folder.path() / "scatter.svg").points == 2);
}

TEST_CASE("many points become cells that count all of them") {
  EMSHAP_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  Plotter plotter;
  Chart chart;
  chart.series.push_back({"", Style::density, {}, {}});
  for (int i = 0; i < 20000; ++i) {
    chart.series[0].x.push_back(std::sin(i) * std::sqrt(i));
    chart.series[0].y.push_back(std::cos(i) * std::sqrt(i));
  }
  REQUIRE(plotter.write(chart, folder.path() / "density.svg"));
  const auto svg = read_svg(folder.path() / "density.svg");
  CHECK(svg.points == 0);
  CHECK(svg.has("points per cell"));
  const GnuplotScript script = script_of(chart, {820, 560, false});
  const std::string& cells = script.files.at(0).second;
  int lines = 0;
  double total = 0;
  for (std::size_t at = 0; at < cells.size(); ++lines) {
    const std::size_t end = cells.find('\n', at);
    total += std::stod(cells.substr(cells.rfind(' ', end), end));
    at = end + 1;
  }
  CHECK(total == 20000);
  CHECK(svg.polygons.at(0) == lines);
  CHECK(std::filesystem::file_size(folder.path() / "density.svg") < 1'000'000);
}

TEST_CASE("density cells cover the range to its edges, on logarithmic axes too") {
  const Axis linear{"", false, 0, 10}, decades{"", true, 1, 1000};
  const auto cells =
      density_cells({0, 10, 5, 5, 11, std::nan("")}, {1, 1000, 100, 100, 10, 10}, linear, decades, 10, 3);
  REQUIRE(cells.size() == 3);
  CHECK(cells[0].count == 1);
  CHECK(cells[0].y_high == doctest::Approx(10));
  std::int64_t total = 0;
  for (const auto& c : cells) total += c.count;
  CHECK(total == 4);
}

TEST_CASE("histogram counts every finite value once") {
  for (const int n : {1, 2, 31, 32, 33, 1000}) {
    std::vector<double> values;
    for (int i = 0; i < n; ++i) values.push_back(std::sin(i));
    values.push_back(std::nan(""));
    const Series h = histogram("h", values);
    double total = 0;
    for (const double c : h.y) total += c;
    CHECK(total == n);
    CHECK(h.x.size() == h.y.size());
  }
  CHECK(histogram("", {}).x.empty());
  CHECK(histogram("", {5, 5, 5}).y.size() > 0);
  const Series four = histogram("", {0, 1, 2, 3, 4}, 4);
  CHECK(four.x == std::vector<double>{.5, 1.5, 2.5, 3.5});
  CHECK(four.y == std::vector<double>{1, 1, 1, 2});
}

TEST_CASE("bars and heat maps name every category") {
  EMSHAP_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  Plotter plotter;
  Chart bars;
  HeatMap map;
  bars.series.push_back({"", Style::bars, {}, {}});
  for (int i = 0; i < 40; ++i) {
    bars.categories.push_back("feature_" + std::to_string(i) + " 5%");
    bars.series[0].x.push_back(i - 3.5);
  }
  map.row_names = {"r0", "r1", "r%2"};
  map.column_names = {"c0", "c1"};
  map.values = {1, 2, 3, 4, 5, std::nan("")};
  map.value_label = "correlation";
  REQUIRE(plotter.write(bars, folder.path() / "bars.svg"));
  REQUIRE(plotter.write(map, folder.path() / "map.svg"));
  const auto b = read_svg(folder.path() / "bars.svg");
  for (const std::string& name : bars.categories) CHECK(b.has(name));
  CHECK(b.polygons.at(0) == 40);
  const auto m = read_svg(folder.path() / "map.svg");
  for (const char* name : {"r0", "r1", "r%2", "c0", "c1", "correlation"}) CHECK(m.has(name));
  CHECK(m.polygons.at(0) == 5);
}

TEST_CASE("PNG files are written where gnuplot can") {
  EMSHAP_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  test::RecordingSink sink;
  Plotter plotter({}, sink);
  Chart chart;
  chart.series.push_back(points(10, Style::points));
  if (!plotter.write(chart, folder.path() / "chart.png")) {
    MESSAGE("skipped: gnuplot has no pngcairo terminal");
    CHECK(sink.warnings.size() == 1);
    return;
  }
  CHECK(read_file(folder.path() / "chart.png").substr(1, 3) == "PNG");
}

TEST_CASE("series that do not fit together are refused") {
  Plotter plotter;
  Chart chart;
  chart.series.push_back({"a", Style::line, {1, 2}, {1}});
  CHECK_THROWS_WITH_AS(plotter.write(chart, "x.svg"), "plot: series 'a' has 1 y values, expected 2",
                       ShapeError);
  CHECK_THROWS_AS(plotter.write(Chart{}, "x.pdf"), ConfigError);
  HeatMap map;
  map.values = {1};
  CHECK_THROWS_AS(plotter.write(map, "x.svg"), ShapeError);
}

TEST_CASE("without gnuplot every plot is skipped with one warning") {
  const TemporaryFolder folder;
  test::RecordingSink sink;
  Plotter plotter({.gnuplot = "/nowhere/gnuplot"}, sink);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(plotter.write(Chart{}, folder.path() / "x.svg"));
  REQUIRE(sink.warnings.size() == 1);
  CHECK(sink.warnings[0] ==
        "plots are skipped because gnuplot was not found; install it or set EMSHAP_GNUPLOT");
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("the environment names the program") {
  ::setenv("EMSHAP_GNUPLOT", "/nowhere/gnuplot", 1);
  CHECK(Plotter().program().empty());
  ::setenv("EMSHAP_GNUPLOT", "/bin/sh", 1);
  CHECK(Plotter().program() == "/bin/sh");
  ::unsetenv("EMSHAP_GNUPLOT");
}

TEST_CASE("a program that fails, hangs or draws nothing is a warning") {
  const TemporaryFolder folder;
  const auto fake = [&](const std::string& body) {
    const auto path = folder.path() / "fake";
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  };
  const auto warning_of = [&](const std::string& body) {
    test::RecordingSink sink;
    Plotter plotter({.gnuplot = fake(body), .time_limit = .3}, sink);
    CHECK_FALSE(plotter.write(Chart{}, folder.path() / "x.svg"));
    CHECK_FALSE(std::filesystem::exists(folder.path() / "x.svg"));
    REQUIRE(sink.warnings.size() == 1);
    return sink.warnings[0];
  };
  CHECK(warning_of("echo '\"chart.gp\" line 3: unknown thing' >&2; exit 1")
            .find("exit status 1: line 3: unknown thing") != std::string::npos);
  CHECK(warning_of("sleep 60 & sleep 60").find("longer than 0.3 s") != std::string::npos);
  CHECK(warning_of("exit 0").find("exit status 0") != std::string::npos);
  CHECK(warning_of("kill -SEGV $$").find("exit status 139") != std::string::npos);
}

TEST_CASE("the temporary folder goes and a file that cannot be written is an error") {
  std::filesystem::path left;
  {
    const TemporaryFolder folder;
    left = folder.path();
    CHECK((std::filesystem::status(left).permissions() & std::filesystem::perms::all) ==
          std::filesystem::perms::owner_all);
    std::ofstream(left / "a") << "b";
  }
  CHECK_FALSE(std::filesystem::exists(left));
  EMSHAP_NEEDS_GNUPLOT();
  CHECK_THROWS_AS(Plotter().write(Chart{}, "/nowhere/at/all/x.svg"), IoError);
}
