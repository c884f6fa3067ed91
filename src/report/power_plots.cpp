#include "emshap/report/power_plots.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/report/text_table.h"

namespace emshap::report {
namespace {

/// Whether values span so much that only a logarithmic axis shows their course.
bool wants_logarithm(const std::vector<const std::vector<double>*>& lists) {
  double low = std::numeric_limits<double>::infinity(), high = 0;
  for (const auto* list : lists)
    for (const double v : *list) {
      if (!std::isfinite(v)) continue;
      if (v <= 0) return false;
      low = std::min(low, v);
      high = std::max(high, v);
    }
  return high > 20 * low;
}

Chart loss_chart(const LossCurves& curves) {
  Chart chart;
  chart.title = "Loss per epoch";
  chart.x.label = "epoch";
  chart.y.label = curves.loss + " of the scaled target";
  chart.y.logarithmic = wants_logarithm({&curves.train, &curves.validation});
  chart.series.push_back({"training", Style::line, curves.epoch, curves.train});
  if (!curves.validation.empty())
    chart.series.push_back({"validation", Style::line, curves.epoch, curves.validation});
  if (curves.best_epoch >= 0) {
    const auto best = static_cast<double>(curves.best_epoch);
    chart.marks.push_back({best, fmt::format("best epoch {}", curves.best_epoch)});
    const auto at = std::find(curves.epoch.begin(), curves.epoch.end(), best);
    const auto index = static_cast<std::size_t>(at - curves.epoch.begin());
    if (index < curves.validation.size())
      chart.note = fmt::format("best validation loss {} in epoch {}", format_number(curves.validation[index]),
                               curves.best_epoch);
  }
  return chart;
}

struct Fit {
  double r2 = 0, rmse = 0, bias = 0;
};

Fit fit_of(const PartPredictions& p) {
  const double n = static_cast<double>(p.actual.size());
  const double mean = std::accumulate(p.actual.begin(), p.actual.end(), 0.0) / n;
  double residual = 0, spread = 0, bias = 0;
  for (std::size_t i = 0; i < p.actual.size(); ++i) {
    const double e = p.predicted[i] - p.actual[i], d = p.actual[i] - mean;
    residual += e * e;
    spread += d * d;
    bias += e;
  }
  return {1 - residual / spread, std::sqrt(residual / n), bias / n};
}

std::string rows_text(std::size_t rows) {
  return fmt::format("{} {}", rows, rows == 1 ? "row" : "rows");
}

}  // namespace

std::vector<std::filesystem::path> write_power_plots(Plotter& plotter, const std::filesystem::path& folder,
                                                     const std::string& target, const LossCurves& curves,
                                                     const std::vector<PartPredictions>& parts) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw IoError(fmt::format("folder {} could not be created: {}", folder.string(), error.message()),
                  ErrorKind::environment);
  std::vector<std::filesystem::path> written;
  const auto write = [&](const Chart& chart, const std::string& name) {
    if (plotter.write(chart, folder / name)) written.push_back(folder / name);
  };
  if (!curves.epoch.empty()) write(loss_chart(curves), "loss.svg");
  for (const PartPredictions& p : parts) {
    if (p.actual.size() != p.predicted.size())
      throw ShapeError(
          fmt::format("write_power_plots: part {} has {} predictions, expected {} as actual values", p.part,
                      p.predicted.size(), p.actual.size()));
    if (p.actual.empty()) continue;
    const Fit fit = fit_of(p);
    std::vector<double> residual(p.actual.size());
    for (std::size_t i = 0; i < residual.size(); ++i) residual[i] = p.predicted[i] - p.actual[i];

    Chart scatter;
    scatter.title = fmt::format("Predicted against actual, {} rows", p.part);
    scatter.note =
        fmt::format("R2 {:.4f}, RMSE {}, {}", fit.r2, format_number(fit.rmse), rows_text(p.actual.size()));
    scatter.x.label = "actual " + target;
    scatter.y.label = "predicted " + target;
    scatter.diagonal = true;
    scatter.series.push_back({"", Style::density, p.actual, p.predicted});
    write(scatter, fmt::format("predicted_{}.svg", p.part));

    Chart against;
    against.title = fmt::format("Residuals, {} rows", p.part);
    against.note = fmt::format("residual = predicted - actual, mean {}, {}", format_number(fit.bias),
                               rows_text(p.actual.size()));
    against.x.label = "predicted " + target;
    against.y.label = "residual of " + target;
    against.zero_line = true;
    against.series.push_back({"", Style::density, p.predicted, residual});
    write(against, fmt::format("residuals_{}.svg", p.part));

    Chart bins;
    bins.title = fmt::format("Distribution of residuals, {} rows", p.part);
    bins.note = fmt::format("mean {}, RMSE {}", format_number(fit.bias), format_number(fit.rmse));
    bins.x.label = "residual of " + target;
    bins.y.label = "rows";
    bins.series.push_back(histogram("", residual));
    bins.marks.push_back({0, ""});
    write(bins, fmt::format("residual_histogram_{}.svg", p.part));
  }
  return written;
}

Chart feature_bars(std::string title, std::string label, const std::vector<std::string>& features,
                   const std::vector<double>& values, int most) {
  if (features.size() != values.size())
    throw ShapeError(fmt::format("feature_bars: {} values, expected {}, the number of features",
                                 values.size(), features.size()));
  std::vector<std::size_t> order(features.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  const std::size_t shown = std::min(order.size(), static_cast<std::size_t>(std::max(most, 1)));
  Chart chart;
  chart.title = std::move(title);
  chart.x.label = std::move(label);
  Series series{"", Style::bars, {}, {}};
  for (std::size_t i = 0; i < shown; ++i) {
    chart.categories.push_back(features[order[i]]);
    series.x.push_back(values[order[i]]);
  }
  chart.series.push_back(std::move(series));
  if (shown < order.size()) {
    double rest = 0;
    for (std::size_t i = shown; i < order.size(); ++i) rest += values[order[i]];
    chart.note = fmt::format("the other {} features: {} together", order.size() - shown, format_number(rest));
  }
  return chart;
}

}  // namespace emshap::report
