#include <doctest/doctest.h>

#include <cmath>

#include "emshap/core/error.h"
#include "emshap/report/power_plots.h"
#include "report_fixture.h"
#include "svg_text.h"

using namespace emshap;
using namespace emshap::report;
using test::read_svg;

namespace {

PartPredictions part(const std::string& name, int rows) {
  PartPredictions p{name, {}, {}};
  for (int i = 0; i < rows; ++i) {
    p.actual.push_back(200 + 50 * std::sin(i));
    p.predicted.push_back(p.actual.back() + 4 * std::cos(7 * i));
  }
  return p;
}

}  // namespace

TEST_CASE("a power run gets its pictures") {
  EMSHAP_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  Plotter plotter;
  LossCurves curves;
  for (int e = 1; e <= 30; ++e) {
    curves.epoch.push_back(e);
    curves.train.push_back(1.0 / e);
    curves.validation.push_back(1.1 / e + .01 * e);
  }
  curves.best_epoch = 10;
  const auto files = write_power_plots(plotter, folder.path() / "plots", "power_consumption (W)", curves,
                                       {part("validation", 100), part("test", 5000), part("empty", 0)});
  CHECK(files.size() == 7);
  for (const auto& file : files) CHECK(std::filesystem::exists(file));
  const auto loss = read_svg(folder.path() / "plots" / "loss.svg");
  for (const char* text : {"Loss per epoch", "epoch", "training", "validation", "best epoch 10"})
    CHECK(loss.has(text));
  const auto scatter = read_svg(folder.path() / "plots" / "predicted_validation.svg");
  CHECK(scatter.points == 100);
  CHECK(scatter.has("actual power_consumption (W)"));
  CHECK(scatter.has("predicted power_consumption (W)"));
  CHECK(read_svg(folder.path() / "plots" / "predicted_test.svg").polygons.at(0) > 100);
  CHECK(read_svg(folder.path() / "plots" / "residuals_validation.svg").points == 100);
  CHECK(read_svg(folder.path() / "plots" / "residual_histogram_test.svg")
            .has("residual of power_consumption (W)"));
}

TEST_CASE("one epoch, one row, constant and missing values still give pictures") {
  EMSHAP_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  test::RecordingSink sink;
  Plotter plotter({}, sink);
  LossCurves curves{{1}, {.5}, {}, 1, "Huber loss"};
  CHECK(write_power_plots(plotter, folder.path(), "t", curves, {{"test", {0}, {0}}}).size() == 4);
  CHECK(write_power_plots(plotter, folder.path(), "t", {}, {{"test", {7, 7, 7}, {7, 7, std::nan("")}}})
            .size() == 3);
  CHECK(sink.warnings.empty());
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    CHECK_NOTHROW(read_svg(entry.path()));
}

TEST_CASE("unequal lengths are refused") {
  Plotter plotter;
  const TemporaryFolder folder;
  CHECK_THROWS_AS(write_power_plots(plotter, folder.path(), "t", {}, {{"test", {1, 2}, {1}}}), ShapeError);
  CHECK_THROWS_AS(feature_bars("", "", {"a"}, {}), ShapeError);
}

TEST_CASE("feature bars are sorted and say what they leave out") {
  const Chart chart = feature_bars("title", "label", {"a", "b", "c", "d"}, {1, 4, 2, -1}, 2);
  CHECK(chart.categories == std::vector<std::string>{"b", "c"});
  CHECK(chart.series.at(0).x == std::vector<double>{4, 2});
  CHECK(chart.note == "the other 2 features: 0 together");
  CHECK(feature_bars("", "", {}, {}).categories.empty());
}
