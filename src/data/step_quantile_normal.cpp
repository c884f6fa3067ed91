#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/column_values.h"
#include "data/json_text.h"
#include "emshap/core/error.h"
#include "emshap/data/graph_writer.h"
#include "emshap/data/hash.h"
#include "emshap/data/step_quantile.h"

namespace emshap {

void QuantileNormal::begin_fit(const std::vector<std::string>& names) {
  names_ = names;
  sample_.assign(names.size(), {});
}

void QuantileNormal::observe(const double* block, std::int64_t rows) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < names_.size(); ++c, ++block)
      if (!std::isnan(*block)) sample_[c].push_back(*block);
}

void QuantileNormal::end_fit() {
  constexpr std::size_t end_knots = 8;                 // the slope outside is that over so many knots
  constexpr double least_slope = 1, most_slope = 100;  // over the range
  counts_.clear();
  x_.clear();
  z_.clear();
  low_.clear();
  high_.clear();
  for (std::size_t c = 0; c < names_.size(); ++c) {
    const ColumnValues column = column_values(std::move(sample_[c]), ties_);
    if (column.values.size() < 2 || !std::isfinite(column.values.front() - column.values.back()))
      throw DataError(fmt::format(
          "column '{}' has {} among the {} training rows with a value, expected at least two different "
          "finite values",
          names_[c], column.values.size() < 2 ? "no variation" : "a range beyond double precision",
          column.present));
    const ScoreKnots k = score_knots(column, most_knots, rows_per_knot);
    const std::size_t last = k.x.size() - 1, inner = std::min(end_knots, last);
    const double range = k.x[last] - k.x[0];
    const auto slope = [&](std::size_t a, std::size_t b) {
      return std::clamp((k.z[b] - k.z[a]) / (k.x[b] - k.x[a]), least_slope / range, most_slope / range);
    };
    counts_.push_back(static_cast<std::int64_t>(k.x.size()));
    x_.insert(x_.end(), k.x.begin(), k.x.end());
    z_.insert(z_.end(), k.z.begin(), k.z.end());
    low_.push_back(slope(0, inner));
    high_.push_back(slope(last - inner, last));
  }
  sample_.clear();
  derive();
}

void QuantileNormal::derive() {
  first_knot_.clear();
  slopes_.clear();
  std::size_t first = 0;
  for (std::size_t c = 0; c < names_.size(); ++c) {
    first_knot_.push_back(first);
    const std::size_t end = first + static_cast<std::size_t>(counts_[c]);
    slopes_.push_back(low_[c]);
    for (std::size_t i = first; i + 1 < end; ++i)
      slopes_.push_back((z_[i + 1] - z_[i]) / (x_[i + 1] - x_[i]));
    slopes_.push_back(high_[c]);
    first = end;
  }
  first_knot_.push_back(first);
}

std::unique_ptr<Step> QuantileNormal::from_state(std::vector<std::string> names,
                                                 std::vector<std::int64_t> counts, std::vector<double> x,
                                                 std::vector<double> z, std::vector<double> low,
                                                 std::vector<double> high) {
  std::int64_t total = 0;
  bool fits = counts.size() == names.size() && low.size() == names.size() && high.size() == names.size() &&
              x.size() == z.size();
  for (const std::int64_t count : counts) {
    fits = fits && count >= 2 && count <= static_cast<std::int64_t>(x.size());
    total += fits ? count : 0;
  }
  if (!fits || total != static_cast<std::int64_t>(x.size()))
    throw IoError(fmt::format(
        "quantile_normal: {} knots, {} scores, {} counts and {} and {} slopes do not fit {} columns",
        x.size(), z.size(), counts.size(), low.size(), high.size(), names.size()));
  std::size_t at = 0;
  for (std::size_t c = 0; c < names.size(); ++c) {
    bool good = std::isfinite(low[c]) && low[c] > 0 && std::isfinite(high[c]) && high[c] > 0;
    for (std::int64_t i = 0; i < counts[c]; ++i, ++at) {
      good = good && std::isfinite(x[at]) && std::isfinite(z[at]);
      if (!good || i == 0) continue;
      const double dx = x[at] - x[at - 1], dz = z[at] - z[at - 1];
      good = dx > 0 && dz > 0 && std::isfinite(dz / dx) && std::isfinite(dx / dz);
    }
    if (!good)
      throw IoError(
          fmt::format("quantile_normal: the knots or slopes of column '{}' do not ascend", names[c]));
  }
  auto step = std::make_unique<QuantileNormal>();
  step->names_ = std::move(names);
  step->counts_ = std::move(counts);
  step->x_ = std::move(x);
  step->z_ = std::move(z);
  step->low_ = std::move(low);
  step->high_ = std::move(high);
  step->derive();
  return step;
}

std::size_t QuantileNormal::line_at(const std::vector<double>& knots, std::size_t c, double at) const {
  // std::upper_bound without its branches, which values in random order would mispredict.
  const double* const first = knots.data() + first_knot_[c];
  const double* base = first;
  for (std::size_t n = first_knot_[c + 1] - first_knot_[c]; n > 1;) {
    const std::size_t half = n / 2;
    base += at >= base[half] ? half : 0;
    n -= half;
  }
  return static_cast<std::size_t>(base - first) + (at >= *base ? 1 : 0);
}

double QuantileNormal::transform(std::size_t c, double x) const {
  if (std::isnan(x)) return x;
  const std::size_t line = line_at(x_, c, x), first = first_knot_[c];
  const std::size_t knot = first + (line > 0 ? line - 1 : 0);
  return z_[knot] + slopes_[first + c + line] * (x - x_[knot]);
}

double QuantileNormal::inverse(std::size_t c, double z) const {
  if (std::isnan(z)) return z;
  const std::size_t line = line_at(z_, c, z), first = first_knot_[c];
  const std::size_t knot = first + (line > 0 ? line - 1 : 0);
  return x_[knot] + (z - z_[knot]) / slopes_[first + c + line];
}

double QuantileNormal::slope(std::size_t c, double x) const {
  return slopes_[first_knot_[c] + c + line_at(x_, c, x)];
}

std::vector<double> QuantileNormal::knots(std::size_t c) const {
  return {x_.begin() + static_cast<std::ptrdiff_t>(first_knot_[c]),
          x_.begin() + static_cast<std::ptrdiff_t>(first_knot_[c + 1])};
}
std::vector<double> QuantileNormal::scores(std::size_t c) const {
  return {z_.begin() + static_cast<std::ptrdiff_t>(first_knot_[c]),
          z_.begin() + static_cast<std::ptrdiff_t>(first_knot_[c + 1])};
}

void QuantileNormal::transform(const double* in, std::int64_t rows, double* out) const {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < names_.size(); ++c) *out++ = transform(c, *in++);
}

void QuantileNormal::inverse(const double* in, std::int64_t rows, double* out) const {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < names_.size(); ++c) *out++ = inverse(c, *in++);
}

void QuantileNormal::log_jacobian(const double* in, std::int64_t rows, double* out) const {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < names_.size(); ++c, ++in)
      if (!std::isnan(*in)) out[r] += std::log(slope(c, *in));
}

// Each value counts the knots at or below it, which is the number of its line, and takes that line's point
// and slope from tables: the arithmetic of transform(). NaN counts none and stays NaN.
GraphValue QuantileNormal::to_onnx(GraphWriter& graph, const GraphValue& input) const {
  const std::int64_t most = *std::max_element(counts_.begin(), counts_.end());
  std::vector<double> knots, x, z;
  std::vector<std::int64_t> first_line;
  for (std::size_t c = 0; c < names_.size(); ++c) {
    first_line.push_back(static_cast<std::int64_t>(x.size()));
    const auto count = static_cast<std::size_t>(counts_[c]);
    for (std::size_t line = 0; line <= count; ++line) {
      const std::size_t knot = first_knot_[c] + (line > 0 ? line - 1 : 0);
      x.push_back(x_[knot]);
      z.push_back(z_[knot]);
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(most); ++i)
      knots.push_back(i < count ? x_[first_knot_[c] + i] : std::numeric_limits<double>::max());
  }
  const auto lines = static_cast<std::int64_t>(x.size());
  const auto table = [&](const char* name, const std::vector<double>& values) {
    return graph.constant(name, {lines}, std::span<const double>(values));
  };
  const GraphValue at_or_above =
      graph.op("GreaterOrEqual", {graph.op("Unsqueeze", {input, graph.integers({2})}),
                                  graph.constant("knots", {inputs(), most}, std::span<const double>(knots))});
  const GraphValue line =
      graph.op("Add", {graph.op("ReduceSum", {graph.cast(at_or_above, GraphType::i64), graph.integers({2})},
                                {{"keepdims", 0}}),
                       graph.integers(first_line)});
  const GraphValue from = graph.op("Gather", {table("x", x), line});
  const GraphValue slope = graph.op("Gather", {table("slope", slopes_), line});
  const GraphValue score = graph.op("Gather", {table("z", z), line});
  return graph.op("Add", {score, graph.op("Mul", {slope, graph.op("Sub", {input, from})})});
}

std::string QuantileNormal::to_json() const {
  return fmt::format(
      R"({{"type": "quantile_normal", "names": {}, "counts": {}, "x": {}, "z": {}, "low": {}, "high": {}}})",
      json_text::list(names_), json_text::list(counts_), json_text::list(x_), json_text::list(z_),
      json_text::list(low_), json_text::list(high_));
}

void QuantileNormal::hash(Hash64& hash) const {
  for (const std::string& name : names_) hash.text(name);
  for (const std::int64_t count : counts_) hash.word(static_cast<std::uint64_t>(count));
  hash.numbers(x_);
  hash.numbers(z_);
  hash.numbers(low_);
  hash.numbers(high_);
}

}  // namespace emshap
