#include "emshap/data/step_clip.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/json_text.h"
#include "emshap/core/error.h"
#include "emshap/data/graph_writer.h"
#include "emshap/data/hash.h"

namespace emshap {

Clip::Clip(std::span<const double> low, std::span<const double> high) {
  if (low.size() != high.size())
    throw ConfigError(fmt::format("clip: there are {} lower and {} upper bounds, expected as many",
                                  low.size(), high.size()));
  for (std::size_t c = 0; c < low.size(); ++c) {
    if (!(low[c] <= high[c]))
      throw ConfigError(fmt::format("clip: column {} has the bounds {} and {}, expected ascending ones", c,
                                    low[c], high[c]));
    low_.push_back(static_cast<double>(static_cast<float>(low[c])));
    high_.push_back(static_cast<double>(static_cast<float>(high[c])));
  }
}

void Clip::begin_fit(const std::vector<std::string>& names) {
  if (names.size() != low_.size())
    throw ConfigError(
        fmt::format("clip: there are {} columns, expected {} as bounds", names.size(), low_.size()));
  names_ = names;
}

void Clip::transform(const double* in, std::int64_t rows, double* out) const {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < low_.size(); ++c) *out++ = apply(c, *in++);
}

void Clip::inverse(const double* in, std::int64_t rows, double* out) const {
  if (in != out) std::copy_n(in, rows * inputs(), out);
}

bool Clip::open() const {
  const auto infinite = [](double bound) { return std::isinf(bound); };
  return std::all_of(low_.begin(), low_.end(), infinite) && std::all_of(high_.begin(), high_.end(), infinite);
}

// Comparisons, as what Min and Max make of NaN is left open by ONNX.
GraphValue Clip::to_onnx(GraphWriter& graph, const GraphValue& input) const {
  if (open()) return input;
  const GraphValue low = graph.constant("low", {inputs()}, std::span<const double>(low_));
  const GraphValue high = graph.constant("high", {inputs()}, std::span<const double>(high_));
  const GraphValue raised = graph.op("Where", {graph.op("Less", {input, low}), low, input});
  return graph.op("Where", {graph.op("Greater", {raised, high}), high, raised});
}

std::string Clip::to_json() const {
  return fmt::format(R"({{"type": "clip", "names": {}, "low": {}, "high": {}}})", json_text::list(names_),
                     json_text::list(low_), json_text::list(high_));
}

void Clip::hash(Hash64& hash) const {
  for (const std::string& name : names_) hash.text(name);
  hash.numbers(low_);
  hash.numbers(high_);
}

}  // namespace emshap
