#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/json_text.h"
#include "emshap/core/error.h"
#include "emshap/data/graph_writer.h"
#include "emshap/data/hash.h"
#include "emshap/data/steps.h"

namespace emshap {
namespace {
constexpr double unbounded = std::numeric_limits<double>::max();
}

void PiecewiseLinear::begin_fit(const std::vector<std::string>& names) {
  if (bins_ < 2)
    throw ConfigError(fmt::format("the piecewise-linear encoding has {} bins, expected 2 or more", bins_));
  names_ = names;
  sample_.assign(names.size(), {});
  stride_ = 1;
  seen_ = 0;
}

void PiecewiseLinear::observe(const double* block, std::int64_t rows) {
  for (std::int64_t r = 0; r < rows; ++r, block += names_.size(), ++seen_) {
    for (std::size_t c = 0; c < names_.size(); ++c)
      if (std::isnan(block[c]))
        throw DataError(fmt::format(
            "feature '{}' has a missing value, which the piecewise-linear encoding cannot take", names_[c]));
    if (seen_ % stride_ != 0) continue;
    if (!sample_.empty() && sample_.front().size() == most_values) {  // keep every other row from now on
      stride_ *= 2;
      for (auto& values : sample_) {
        for (std::size_t i = 0; 2 * i < values.size(); ++i) values[i] = values[2 * i];
        values.resize(most_values / 2);
      }
      if (seen_ % stride_ != 0) continue;
    }
    for (std::size_t c = 0; c < names_.size(); ++c) sample_[c].push_back(block[c]);
  }
}

void PiecewiseLinear::end_fit() {
  if (seen_ == 0)
    throw DataError("the piecewise-linear encoding was fitted on no rows, expected at least one");
  counts_.clear();
  edges_.clear();
  for (auto& values : sample_) {
    std::sort(values.begin(), values.end());
    std::vector<double> edges;
    const auto last = static_cast<std::int64_t>(values.size()) - 1;
    for (std::int64_t t = 0; t <= bins_; ++t) {
      const double edge = values[static_cast<std::size_t>((last * t + bins_ / 2) / bins_)];
      // A slope of a denormal width would overflow.
      if (edges.empty() || std::isfinite(1 / (edge - edges.back()))) edges.push_back(edge);
    }
    if (edges.size() < 3) edges.clear();
    counts_.push_back(static_cast<std::int64_t>(edges.size()));
    edges_.insert(edges_.end(), edges.begin(), edges.end());
  }
  sample_.clear();
  derive();
}

void PiecewiseLinear::derive() {
  outputs_.clear();
  output_names_.clear();
  const double* e = edges_.data();
  for (std::size_t c = 0; c < names_.size(); ++c) {
    const auto source = static_cast<std::int64_t>(c);
    outputs_.push_back({source, 0, 1, -unbounded, unbounded});
    output_names_.push_back(names_[c]);
    for (std::int64_t t = 0; t + 1 < counts_[c]; ++t) {
      outputs_.push_back({source, e[t], 1 / (e[t + 1] - e[t]), 0, 1});
      output_names_.push_back(fmt::format("{}[{}]", names_[c], t + 1));
    }
    e += counts_[c];
  }
}

std::vector<double> PiecewiseLinear::edges(std::size_t c) const {
  auto first = edges_.begin();
  for (std::size_t i = 0; i < c; ++i) first += counts_[i];
  return {first, first + counts_[c]};
}

std::unique_ptr<Step> PiecewiseLinear::from_state(std::vector<std::string> names,
                                                  std::vector<std::int64_t> counts,
                                                  std::vector<double> edges) {
  std::int64_t total = 0;
  bool good = counts.size() == names.size();
  for (const std::int64_t count : counts) {
    good = good && (count == 0 || count >= 3) && count <= static_cast<std::int64_t>(edges.size());
    total += good ? count : 0;
  }
  if (!good || total != static_cast<std::int64_t>(edges.size()))
    throw IoError(fmt::format("piecewise_linear: {} edges and {} counts do not fit {} columns", edges.size(),
                              counts.size(), names.size()));
  auto at = edges.begin();
  for (const std::int64_t count : counts) {
    for (std::int64_t i = 0; i < count; ++i)
      if (!std::isfinite(at[i]) || (i > 0 && !(at[i] > at[i - 1])))
        throw IoError("piecewise_linear: the edges of a column do not ascend");
    at += count;
  }
  auto step = std::make_unique<PiecewiseLinear>();
  step->names_ = std::move(names);
  step->counts_ = std::move(counts);
  step->edges_ = std::move(edges);
  step->derive();
  return step;
}

void PiecewiseLinear::transform(const double* in, std::int64_t rows, double* out) const {
  if (in == out) return;  // legal with one output per input only: no column is encoded
  for (std::int64_t r = 0; r < rows; ++r, in += names_.size())
    for (const Output& o : outputs_)
      *out++ = std::min(std::max((in[o.source] - o.shift) * o.slope, o.low), o.high);
}

void PiecewiseLinear::inverse(const double* in, std::int64_t rows, double* out) const {
  for (std::int64_t r = 0; r < rows; ++r, in += outputs_.size())
    for (std::size_t o = 0; o < outputs_.size(); ++o)
      if (outputs_[o].high == unbounded) *out++ = in[o];
}

GraphValue PiecewiseLinear::to_onnx(GraphWriter& graph, const GraphValue& input) const {
  std::vector<std::int64_t> source;
  std::vector<double> shift, slope, low, high;
  for (const Output& o : outputs_) {
    source.push_back(o.source);
    shift.push_back(o.shift);
    slope.push_back(o.slope);
    low.push_back(o.low);
    high.push_back(o.high);
  }
  const auto constant = [&](const char* name, const std::vector<double>& values) {
    return graph.constant(name, {static_cast<std::int64_t>(values.size())}, std::span<const double>(values));
  };
  const GraphValue spread = graph.op("Gather", {input, graph.integers(source)}, {{"axis", 1}});
  const GraphValue line =
      graph.op("Mul", {graph.op("Sub", {spread, constant("shift", shift)}), constant("slope", slope)});
  return graph.op("Min", {graph.op("Max", {line, constant("low", low)}), constant("high", high)});
}

std::string PiecewiseLinear::to_json() const {
  return fmt::format(R"({{"type": "piecewise_linear", "names": {}, "counts": {}, "edges": {}}})",
                     json_text::list(names_), json_text::list(counts_), json_text::list(edges_));
}

void PiecewiseLinear::hash(Hash64& hash) const {
  for (const std::string& name : names_) hash.text(name);
  for (const std::int64_t count : counts_) hash.word(static_cast<std::uint64_t>(count));
  hash.numbers(edges_);
}

}  // namespace emshap
