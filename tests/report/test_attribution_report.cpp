#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "attribution_fixture.h"
#include "emshap/core/error.h"
#include "emshap/report/attribution_report.h"
#include "html_text.h"
#include "report_fixture.h"
#include "svg_text.h"

using namespace emshap;
using namespace emshap::report;
using test::example_attributions;
using test::full_attributions;
using test::read_html;
using test::read_svg;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// Writes the report with pictures; every picture and the page must be readable, whatever it holds.
struct Written {
  TemporaryFolder folder;
  test::RecordingSink sink;
  AttributionReportFiles files;
  test::HtmlText html;

  explicit Written(const AttributionReport& report, const AttributionReportOptions& options = {}) {
    Plotter plotter({}, sink);
    files = write_attribution_report(report, folder.path() / "out", &plotter, options, sink);
    html = read_html(files.html);
    for (const auto& file : files.pictures)
      if (file.extension() == ".svg") read_svg(file);
  }
  test::SvgText svg(const std::string& name) const {
    return read_svg(folder.path() / "out" / "plots" / (name + ".svg"));
  }
  bool drawn(const std::string& name) const {
    return std::filesystem::exists(folder.path() / "out" / "plots" / (name + ".svg"));
  }
};

void check_sound(const test::HtmlText& html) {
  CHECK_FALSE(html.ids_twice);
  CHECK(html.handlers.empty());
  CHECK(html.elements.at("script") == 1);
  CHECK(html.elements.count("link") == 0);
  CHECK(html.elements.count("img") == 0);
  for (const std::string& id : html.references) CHECK(html.has_id(id));
  for (const std::string& address : html.addresses) CHECK(address.rfind("./", 0) == 0);
}

}  // namespace

TEST_CASE("a full report has every picture, inside the page and beside it") {
  EMSHAP_NEEDS_GNUPLOT();
  AttributionReportOptions options;
  options.result_files = {"attributions.csv"};
  const Written w(full_attributions(60, 4), options);
  CHECK(w.sink.warnings.empty());
  check_sound(w.html);
  CHECK(w.files.pictures.size() == 14);
  CHECK(w.html.elements.at("svg") == 14);
  for (const char* id :
       {"importance", "effects", "dependence", "rows-explained", "time", "rows", "quality", "origin"})
    CHECK(w.html.has_id(id));
  CHECK(w.html.addresses == std::vector<std::string>{"./attributions.csv"});
  CHECK_FALSE(w.html.has_id("no-pictures"));

  const auto bars = w.svg("importance");
  for (const char* text : {"Importance for power_consumption", "mean |phi| (W)", "cpu_utilisation"})
    CHECK(bars.has(text));
  CHECK(bars.polygons.at(0) == 4);
  CHECK(w.svg("beeswarm").points == 60 * 4);
  CHECK(w.svg("beeswarm").has("high"));
  CHECK(w.svg("dependence_1").points == 56);  // four values are missing
  const auto map = w.svg("over_time");
  CHECK(map.has("Attributions over time, node-a"));
  CHECK(map.has("2026-03-01 00:00"));
  CHECK(map.polygons.at(0) == 30 * 4);
}

TEST_CASE("numbers of the page are those given") {
  AttributionReport r = example_attributions(2, 2);
  r.phi0 = 512.375;
  r.phi = {100, -2.5, .04, 3};
  r.standard_error = {1.26, none, .001, 0};
  r.prediction = {609.875, 515.415};
  r.actual = {600, none};
  r.values = {12.5, none, inf, 1e6};
  r.sage = {3600, -1};
  r.quality.comparison = {{"emshap", {812.4, 31.2}, {0, none}, "recommended"},
                          {"gaussian", {901.7, 35.9}, {89.3, 12.1}, ""},
                          {"copula", {820, none}, {8, 9}, ""}};
  r.quality.clamped = 4;
  r.quality.drawn = 2000;
  r.settings = {{"seed", "42"}};
  r.provenance = {{"hash", "9f86d0"}};
  r.warnings = {"a <warning>"};
  const TemporaryFolder folder;
  const auto files = write_attribution_report(r, folder.path(), nullptr);
  CHECK(files.pictures.empty());
  const auto html = read_html(files.html);
  check_sound(html);
  for (const char* cell : {"+100.0 ±\u00A01.3",
                           "\u22122.5 ±\u00A0?",
                           "0.0 ±\u00A0<0.1",
                           "+3.0 ±\u00A00.0",
                           "609.9",
                           "600.0",
                           "–",
                           "50.0",  // mean |phi| of the first player
                           "94.8 %",
                           "3,600",
                           "\u22121",  // its share, SAGE
                           "902 ± 36",
                           "89 ± 12",
                           "worse",
                           "8.0 ± 9.0",
                           "no clear difference",
                           "820",
                           "4 of 2,000 (0.2 %)",
                           "42",
                           "9f86d0"}) {
    CAPTURE(std::string(cell));
    CHECK(html.has_cell(cell));
  }
  CHECK(html.text.find("a <warning>") != std::string::npos);
  CHECK(html.text.find("512 W") != std::string::npos);
  std::vector<std::string> values;
  for (const std::string& title : html.titles)
    if (title.find(" = ") != std::string::npos) values.push_back(title);
  CHECK(values == std::vector<std::string>{"cpu_utilisation = 12.5", "temperature_inlet = missing",
                                           "cpu_utilisation = \u221E", "temperature_inlet = 1,000,000"});
}

TEST_CASE("a waterfall leads from phi0 to the prediction") {
  EMSHAP_NEEDS_GNUPLOT();
  AttributionReport r = example_attributions(3, 3);
  for (const std::size_t i : {0U, 1U, 2U}) {
    r.prediction[i] = r.phi0;
    for (std::size_t j = 0; j < 3; ++j)
      r.prediction[i] += r.phi[i * 3 + j] = (j == 1 ? -7.0 : 20.0) + static_cast<double>(i);
  }
  r.standard_error = {1, 1, 1, 1, 1, 1, .84, .5, 0};
  AttributionReportOptions options;
  options.waterfalls = {2};
  const Written w(r, options);
  const auto svg = w.svg("waterfall_1");
  for (const char* text :
       {"512.38 W", "551.38 W", "+22.00 ± 0.84", "\u22125.00 ± 0.50", "prediction", "phi0, on average"}) {
    CAPTURE(std::string(text));
    CHECK(svg.has(text));
  }
  CHECK_FALSE(w.drawn("waterfall_2"));
  options.waterfalls = {3};
  CHECK_THROWS_AS(Written(r, options), ShapeError);
}

TEST_CASE("names and texts are shown, never executed") {
  const TemporaryFolder folder;
  const std::string victim = (folder.path() / "victim").string();
  const std::vector<std::string> attacks{"</td></script><script>alert(1)</script>",
                                         "\" onmouseover=\"alert(1)",
                                         "' onload='alert(1)' id='p0_gpPt6' href='#x",
                                         "]]> <!-- & &amp; <![CDATA[",
                                         "`touch " + victim + "`; \"; system('touch " + victim + "')",
                                         "@ARG1 %s {/Symbol a} \\",
                                         "\xE6\xB8\xA9\xE5\xBA\xA6 \xFF\x01\xEF\xBF\xBE",
                                         ""};
  AttributionReport r = full_attributions(40, attacks.size());
  r.players = attacks;
  r.columns = attacks;
  r.categories.resize(attacks.size());
  r.categories[1] = attacks;
  for (std::size_t i = 0; i < 40; ++i) {
    r.values[i * attacks.size() + 1] = static_cast<double>(i % attacks.size());
    r.labels[i] = attacks[i % attacks.size()];
    r.node[i] = attacks[0];
    r.time_labels[i] = attacks[1];
  }
  r.title = r.target = attacks[0];
  r.unit = r.sage_unit = attacks[4];
  r.method = attacks[2];
  r.warnings = attacks;
  for (const std::string& text : attacks) {
    r.settings.emplace_back(text, text);
    r.quality.numbers.push_back({text, text, text});
    r.quality.comparison.push_back({text, {1, 1}, {1, 1}, text});
  }
  AttributionReportOptions options;
  options.result_files = {"x\" onclick=\"y"};
  const Written w(r, options);
  check_sound(w.html);
  CHECK_FALSE(std::filesystem::exists(victim));
  for (const std::size_t i : {0U, 1U, 2U, 3U, 5U}) CHECK(w.html.has_cell(attacks[i]));
  if (test::have_gnuplot()) {
    CHECK(w.sink.warnings.empty());
    CHECK(w.html.elements.at("svg") == static_cast<int>(w.files.pictures.size()));
  }
}

TEST_CASE("sizes from nothing to many are all drawn") {
  EMSHAP_NEEDS_GNUPLOT();
  for (const auto& [rows, players] : std::vector<std::pair<std::size_t, std::size_t>>{
           {0, 3}, {1, 1}, {1, 40}, {5, 0}, {33, 22}, {2000, 3}}) {
    CAPTURE(rows);
    CAPTURE(players);
    AttributionReportOptions options;
    options.table_rows = 100;
    options.dependence_plots = 2;
    const Written w(full_attributions(rows, players), options);
    CHECK(w.sink.warnings.empty());
    check_sound(w.html);
    const bool any = rows > 0 && players > 0;
    CHECK(w.drawn("importance") == any);
    CHECK(w.drawn("beeswarm") == (any && rows > 1));
    CHECK(w.drawn("waterfall_1") == any);
    if (!any) continue;
    const int lines = players <= 21 ? static_cast<int>(players) : 21;  // twenty and the others
    CHECK(w.svg("importance").polygons.at(0) == lines);
    CHECK(w.svg("importance").has(std::to_string(players - 20) + " others, sum") == (players > 21));
    if (rows > 1) CHECK(w.svg("beeswarm").points == lines * static_cast<int>(rows));
  }
}

TEST_CASE("nothing but zeros, nothing but NaN, very large and very small") {
  EMSHAP_NEEDS_GNUPLOT();
  for (const double scale : {0.0, none, 1e-12, 1e12}) {
    CAPTURE(scale);
    AttributionReport r = full_attributions(30, 3);
    for (double& v : r.phi) v *= scale;
    for (double& v : r.standard_error) v *= scale;
    for (std::size_t i = 0; i < 30; ++i)
      r.prediction[i] = r.phi0 + r.phi[3 * i] + r.phi[3 * i + 1] + r.phi[3 * i + 2];
    AttributionReportOptions options;
    options.waterfalls = {1};
    options.dependence_plots = 1;
    const Written w(r, options);
    for (const auto& text : w.sink.warnings) MESSAGE(text);
    CHECK(w.sink.warnings.empty());
    check_sound(w.html);
    if (scale == 0) {
      CHECK(w.svg("beeswarm").points == 90);
      CHECK(w.svg("importance").has("0"));
      CHECK(w.html.has_cell("0.00 ±\u00A00.00"));
    }
    if (std::isnan(scale)) {
      CHECK(w.svg("beeswarm").points == 0);
      CHECK(w.html.has_cell("NaN"));
      CHECK(w.html.text.find("Standard errors are not known") != std::string::npos);
    }
  }
}

TEST_CASE("groups of columns are players too") {
  EMSHAP_NEEDS_GNUPLOT();
  AttributionReport r = example_attributions(30, 3);
  r.players = {"load", "rest"};
  r.grouping = {{0, 1}, {2}};
  r.phi.resize(60);
  r.standard_error.clear();
  r.mean_absolute = {5, 1};
  const Written w(r);
  check_sound(w.html);
  CHECK(w.svg("beeswarm").points == 60);
  CHECK(w.svg("waterfall_1").has("load (2 columns)"));
  CHECK(w.svg("dependence_1").title == "Effect of memory_bandwidth");  // the only player of one column
  CHECK_FALSE(w.drawn("dependence_2"));
  CHECK(w.html.has_cell("load"));
  CHECK(w.html.text.find("Standard errors are not known") != std::string::npos);
}

TEST_CASE("a report that shows a part of the rows says so") {
  AttributionReport r = full_attributions(20, 2);
  r.explained = 5000;
  r.missing.clear();
  r.quality.numbers = {{"unusual rows", "31 of 5,000", ""}, {"rows not converged", "7 of 5,000", ""}};
  const TemporaryFolder folder;
  const auto html = read_html(write_attribution_report(r, folder.path(), nullptr).html);
  CHECK(html.text.find("5,000rows explained") != std::string::npos);
  CHECK(html.text.find("20of them shown here") != std::string::npos);
  CHECK(html.has_cell("31 of 5,000"));
  CHECK_FALSE(html.has_cell("1 of 20 (5 %)"));  // what it would have counted itself
  CHECK_FALSE(html.has_cell("rows converged"));
}

TEST_CASE("without gnuplot the page says so and keeps its numbers") {
  const TemporaryFolder folder;
  test::RecordingSink sink;
  Plotter plotter({.gnuplot = "/nowhere/gnuplot"}, sink);
  const auto files = write_attribution_report(full_attributions(5, 3), folder.path(), &plotter, {}, sink);
  CHECK(files.pictures.empty());
  CHECK(sink.warnings.size() == 2);
  const auto html = read_html(files.html);
  check_sound(html);
  CHECK(html.has_id("no-pictures"));
  CHECK(html.text.find("gnuplot was not found") != std::string::npos);
  CHECK(html.elements.count("svg") == 0);
  CHECK(html.has_cell("cpu_utilisation"));
  CHECK_FALSE(html.has_id("effects"));  // no empty sections
}

TEST_CASE("PNG files stand beside the SVG files on request") {
  EMSHAP_NEEDS_GNUPLOT();
  AttributionReportOptions options;
  options.png = true;
  const Written w(example_attributions(5, 2), options);
  int svg = 0, png = 0;
  for (const auto& file : w.files.pictures) ++(file.extension() == ".svg" ? svg : png);
  CHECK(svg > 0);
  if (w.sink.warnings.empty())
    CHECK(png == svg);
  else
    MESSAGE("gnuplot has no pngcairo terminal");
}

TEST_CASE("lists that do not fit together are refused") {
  const TemporaryFolder folder;
  const auto refused = [&](const auto& change, const char* message) {
    AttributionReport r = full_attributions(4, 3);
    change(r);
    CHECK_THROWS_WITH_AS(write_attribution_report(r, folder.path(), nullptr), message, ShapeError);
  };
  refused([](AttributionReport& r) { r.phi.pop_back(); },
          "attribution report: phi has 11 entries, expected 12");
  refused([](AttributionReport& r) { r.values.pop_back(); },
          "attribution report: values has 11 entries, expected 12 or none");
  refused([](AttributionReport& r) { r.labels.pop_back(); },
          "attribution report: labels has 3 entries, expected 4 or none");
  refused([](AttributionReport& r) { r.sage.pop_back(); },
          "attribution report: sage has 2 entries, expected 3 or none");
  refused(
      [](AttributionReport& r) {
        r.grouping = {{0}, {1}, {3}};
      },
      "attribution report: player 'memory_bandwidth' has column 3, expected 0..2");
}
