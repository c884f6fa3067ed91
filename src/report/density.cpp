// Binning: histograms and density cells.
#include <algorithm>
#include <cmath>

#include "emshap/core/error.h"
#include "report/gnuplot_script.h"

namespace emshap::report {
namespace {

/// Maps an axis to equal cells, in its logarithm where the axis is logarithmic.
class Cells {
 public:
  Cells(const Axis& axis, int count) : logarithmic_(axis.logarithmic), count_(count) {
    low_ = scaled(axis.low.value_or(0));
    step_ = (scaled(axis.high.value_or(1)) - low_) / count;
  }
  /// -1 outside the axis.
  int index(double value) const {
    const double position = (scaled(value) - low_) / step_;
    if (!(position >= 0 && position <= count_)) return -1;
    return std::min(static_cast<int>(position), count_ - 1);
  }
  double edge(int i) const {
    const double value = low_ + i * step_;
    return logarithmic_ ? std::pow(10.0, value) : value;
  }

 private:
  double scaled(double value) const { return logarithmic_ ? std::log10(value) : value; }
  bool logarithmic_;
  int count_;
  double low_ = 0, step_ = 1;
};

}  // namespace

std::vector<DensityCell> density_cells(const std::vector<double>& x, const std::vector<double>& y,
                                       const Axis& x_axis, const Axis& y_axis, int columns, int rows) {
  const Cells across(x_axis, columns), up(y_axis, rows);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const int c = across.index(x[i]), r = up.index(y[i]);
    if (c >= 0 && r >= 0) ++counts[static_cast<std::size_t>(r * columns + c)];
  }
  std::vector<DensityCell> cells;
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c)
      if (const std::int64_t n = counts[static_cast<std::size_t>(r * columns + c)]; n > 0)
        cells.push_back({across.edge(c), across.edge(c + 1), up.edge(r), up.edge(r + 1), n});
  return cells;
}

Series histogram(std::string name, const std::vector<double>& values, int bins) {
  std::vector<double> sorted;
  std::copy_if(values.begin(), values.end(), std::back_inserter(sorted),
               [](double v) { return std::isfinite(v); });
  Series out{std::move(name), Style::boxes, {}, {}};
  if (sorted.empty()) return out;
  std::sort(sorted.begin(), sorted.end());
  const double n = static_cast<double>(sorted.size());
  double low = sorted.front(), high = sorted.back();
  if (low == high) {  // one value: a bin around it
    const double half = low == 0 ? .5 : std::abs(low) * .05;
    low -= half;
    high += half;
  }
  if (bins <= 0) {
    const auto quantile = [&](double q) { return sorted[static_cast<std::size_t>(q * (n - 1))]; };
    const double width = 2 * (quantile(.75) - quantile(.25)) / std::cbrt(n);
    bins = width > 0 ? static_cast<int>(std::clamp(std::ceil((high - low) / width), 10.0, 80.0)) : 30;
  }
  const double step = (high - low) / bins;
  out.y.assign(static_cast<std::size_t>(bins), 0);
  for (int b = 0; b < bins; ++b) out.x.push_back(low + (b + .5) * step);
  for (const double v : sorted)
    ++out.y[static_cast<std::size_t>(std::clamp(static_cast<int>((v - low) / step), 0, bins - 1))];
  return out;
}

}  // namespace emshap::report
