#include <algorithm>
#include <cmath>
#include <tuple>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/report/density_evaluation.h"
#include "emshap/report/power_plots.h"

namespace emshap::report {
namespace {

constexpr int pit_bins = 20;
constexpr std::size_t most_features = 6, most_points = 1000;

/// Shares of the finite values that lie in `bins` equal bins of [low, high], divided by the bins' width.
Series density_curve(const std::string& name, Style style, const std::vector<double>& values, double low,
                     double high, int bins) {
  Series out{name, style, std::vector<double>(static_cast<std::size_t>(bins)),
             std::vector<double>(static_cast<std::size_t>(bins), 0)};
  const double width = (high - low) / bins;
  double count = 0;
  for (const double v : values) count += std::isfinite(v) ? 1 : 0;
  for (int i = 0; i < bins; ++i) out.x[static_cast<std::size_t>(i)] = low + (i + .5) * width;
  for (const double v : values) {
    if (!std::isfinite(v)) continue;
    const double place = (v - low) / width;  // what lies outside the range is not drawn
    if (!(place >= 0 && place <= bins)) continue;
    const int bin = std::min(static_cast<int>(place), bins - 1);
    out.y[static_cast<std::size_t>(bin)] += 1 / (count * width);
  }
  return out;
}

/// The range that holds all but the outermost thousandths of both lists.
std::pair<double, double> common_range(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> all;
  for (const auto* list : {&a, &b})
    for (const double v : *list)
      if (std::isfinite(v)) all.push_back(v);
  if (all.empty()) return {0, 1};
  std::sort(all.begin(), all.end());
  const auto at = [&](double share) {
    return all[static_cast<std::size_t>(share * static_cast<double>(all.size() - 1))];
  };
  double low = at(.002), high = at(.998);
  if (!(high > low)) {
    low = all.front() - .5;
    high = all.back() + .5;
  }
  return {low, high};
}

int bins_for(std::size_t values) {
  return std::clamp(static_cast<int>(std::sqrt(static_cast<double>(values))), 10, 60);
}

Chart two_distributions(std::string title, std::string label, const std::string& first,
                        const std::vector<double>& a, const std::string& second,
                        const std::vector<double>& b) {
  const auto [low, high] = common_range(a, b);
  const int bins = bins_for(std::min(a.size(), b.size()));
  Chart chart;
  chart.title = std::move(title);
  chart.x.label = std::move(label);
  chart.y.label = "density";
  chart.y.low = 0;
  chart.series.push_back(density_curve(first, Style::boxes, a, low, high, bins));
  chart.series.push_back(density_curve(second, Style::line, b, low, high, bins));
  return chart;
}

Chart pit_chart(const DensityEvaluation& e) {
  Chart chart;
  chart.title = "Probability integral transform";
  chart.note = "level at 1 when calibrated";
  chart.x.label = "F(x) of the unknown value under q(x | known values)";
  chart.x.low = 0;
  chart.x.high = 1;
  chart.y.label = "density";
  chart.y.low = 0;
  for (std::size_t i = 0; i < e.methods.size(); ++i)
    if (i == 0 || !std::isnan(e.methods[i].log_likelihood.value))
      chart.series.push_back(density_curve(e.methods[i].method, i == 0 ? Style::boxes : Style::line,
                                           e.methods[i].pit, 0, 1, pit_bins));
  return chart;
}

Chart by_size_chart(const DensityEvaluation& e, bool likelihood) {
  Chart chart;
  chart.title =
      likelihood ? "Log-likelihood by the number of known features" : "CRPS by the number of known features";
  chart.x.label = "known features |S|";
  chart.y.label = likelihood ? "log-likelihood per unknown feature (nat)" : "CRPS (training sd)";
  for (const ConditionalScores& m : e.methods) {
    if (likelihood && std::isnan(m.log_likelihood.value)) continue;
    Series series{m.method, Style::line, {}, {}};
    for (const SizeScore& s : m.by_size) {
      series.x.push_back(static_cast<double>(s.size));
      series.y.push_back(likelihood ? s.log_likelihood.value : s.crps);
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

Chart pair_chart(const SampledRows& rows, std::size_t a, std::size_t b) {
  Chart chart;
  chart.title = fmt::format("{} and {}", rows.names[a], rows.names[b]);
  chart.note = "drawn with nothing known";
  chart.x.label = rows.names[a];
  chart.y.label = rows.names[b];
  std::tie(chart.x.low, chart.x.high) = common_range(rows.real[a], rows.drawn[a]);
  std::tie(chart.y.low, chart.y.high) = common_range(rows.real[b], rows.drawn[b]);
  const auto first = [](const std::vector<double>& values) {
    const std::size_t count = std::min(values.size(), most_points);
    return std::vector<double>(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count));
  };
  chart.series.push_back({"data", Style::points, first(rows.real[a]), first(rows.real[b])});
  chart.series.push_back({"drawn", Style::points, first(rows.drawn[a]), first(rows.drawn[b])});
  return chart;
}

}  // namespace

std::vector<std::filesystem::path> write_density_plots(Plotter& plotter, const std::filesystem::path& folder,
                                                       const DensityEvaluation& e) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw IoError(fmt::format("folder {} could not be created: {}", folder.string(), error.message()),
                  ErrorKind::environment);
  std::vector<std::filesystem::path> written;
  const auto write = [&](const Chart& chart, const std::string& name) {
    if (plotter.write(chart, folder / name)) written.push_back(folder / name);
  };
  if (e.methods.empty()) return written;
  write(pit_chart(e), "density_pit.svg");
  write(by_size_chart(e, true), "density_log_likelihood.svg");
  write(by_size_chart(e, false), "density_crps.svg");
  std::vector<std::string> names;
  std::vector<double> crps;
  for (const FeatureScore& f : e.methods.front().features) {
    if (f.targets == 0) continue;
    names.push_back(f.name);
    crps.push_back(f.crps);
  }
  write(feature_bars("How well each feature is predicted from others", "CRPS (training sd), 0 is perfect",
                     names, crps),
        "density_features.svg");
  if (e.energy) {
    Chart chart = two_distributions("Energy", "energy", "data", e.energy->data, "drawn from the proposal",
                                    e.energy->drawn);
    chart.note = fmt::format("gain {:.4f} nat per unknown feature", e.energy->gain.value);
    write(chart, "density_energy.svg");
  }
  // Marginal distributions of the features in the strongest pairs.
  std::vector<std::size_t> shown;
  for (const auto& [a, b] : e.samples.pairs)
    for (const std::size_t t : {a, b})
      if (shown.size() < most_features && std::find(shown.begin(), shown.end(), t) == shown.end())
        shown.push_back(t);
  if (e.samples.pairs.empty() && !e.samples.names.empty()) shown.push_back(0);
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const std::size_t t = shown[i];
    Chart chart = two_distributions("Distribution of " + e.samples.names[t], e.samples.names[t], "data",
                                    e.samples.real[t], "drawn", e.samples.drawn[t]);
    chart.note = fmt::format("{} drawn with nothing known", e.samples.drawn[t].size());
    write(chart, fmt::format("density_marginal_{}.svg", i + 1));
  }
  for (std::size_t i = 0; i < e.samples.pairs.size(); ++i)
    write(pair_chart(e.samples, e.samples.pairs[i].first, e.samples.pairs[i].second),
          fmt::format("density_pair_{}.svg", i + 1));
  return written;
}

}  // namespace emshap::report
