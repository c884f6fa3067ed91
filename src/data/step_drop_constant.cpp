#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/json_text.h"
#include "emshap/core/error.h"
#include "emshap/data/graph_writer.h"
#include "emshap/data/hash.h"
#include "emshap/data/steps.h"

namespace emshap {

void DropConstant::begin_fit(const std::vector<std::string>& names) {
  names_ = names;
  dropped_names_.clear();
  dropped_values_.clear();
  low_.assign(names.size(), std::numeric_limits<double>::infinity());
  high_.assign(names.size(), -std::numeric_limits<double>::infinity());
}

void DropConstant::observe(const double* block, std::int64_t rows) {
  const std::size_t width = names_.size();
  for (std::int64_t r = 0; r < rows; ++r, block += width)
    for (std::size_t c = 0; c < width; ++c) {
      if (std::isnan(block[c])) continue;
      low_[c] = std::min(low_[c], block[c]);
      high_[c] = std::max(high_[c], block[c]);
    }
}

void DropConstant::end_fit() {
  for (std::size_t c = 0; c < names_.size(); ++c) {
    if (low_[c] < high_[c]) continue;
    dropped_names_.push_back(names_[c]);
    dropped_values_.push_back(low_[c] == high_[c] ? low_[c] : std::numeric_limits<double>::quiet_NaN());
  }
  if (dropped_names_.size() == names_.size()) {
    const std::span<const std::string> shown(names_.data(), std::min<std::size_t>(names_.size(), 8));
    throw DataError(fmt::format(
        "none of the {} features ({}{}) varies among the training rows, expected at least one that does",
        names_.size(), fmt::join(shown, ", "), names_.size() > 8 ? ", ..." : ""));
  }
  derive();
}

void DropConstant::derive() {
  kept_.clear();
  kept_names_.clear();
  for (std::size_t c = 0; c < names_.size(); ++c) {
    if (std::find(dropped_names_.begin(), dropped_names_.end(), names_[c]) != dropped_names_.end()) continue;
    kept_.push_back(static_cast<std::int64_t>(c));
    kept_names_.push_back(names_[c]);
  }
}

std::unique_ptr<Step> DropConstant::from_state(std::vector<std::string> names,
                                               std::vector<std::string> dropped_names,
                                               std::vector<double> dropped_values) {
  auto step = std::make_unique<DropConstant>();
  step->names_ = std::move(names);
  step->dropped_names_ = std::move(dropped_names);
  step->dropped_values_ = std::move(dropped_values);
  step->derive();
  if (step->kept_.size() + step->dropped_names_.size() != step->names_.size() ||
      step->dropped_values_.size() != step->dropped_names_.size())
    throw IoError("drop_constant: the dropped names and values do not fit the names of the step");
  return step;
}

void DropConstant::transform(const double* in, std::int64_t rows, double* out) const {
  for (std::int64_t r = 0; r < rows; ++r, in += names_.size())
    for (const std::int64_t c : kept_) *out++ = in[c];
}

void DropConstant::inverse(const double* in, std::int64_t rows, double* out) const {
  for (std::int64_t r = 0; r < rows; ++r, out += names_.size()) {
    std::size_t dropped = 0, kept = 0;
    for (std::size_t c = 0; c < names_.size(); ++c) {
      if (kept < kept_.size() && kept_[kept] == static_cast<std::int64_t>(c)) {
        out[c] = *in++;
        ++kept;
      } else {
        out[c] = dropped_values_[dropped++];
      }
    }
  }
}

GraphValue DropConstant::to_onnx(GraphWriter& graph, const GraphValue& input) const {
  if (dropped_names_.empty()) return input;
  const GraphValue kept =
      graph.constant("kept", {static_cast<std::int64_t>(kept_.size())}, std::span<const std::int64_t>(kept_));
  return graph.op("Gather", {input, kept}, {{"axis", 1}});
}

std::string DropConstant::to_json() const {
  return fmt::format(R"({{"type": "drop_constant", "names": {}, "dropped_names": {}, "dropped_values": {}}})",
                     json_text::list(names_), json_text::list(dropped_names_),
                     json_text::list(dropped_values_));
}

void DropConstant::hash(Hash64& hash) const {
  for (const std::string& name : names_) hash.text(name);
  for (const std::string& name : dropped_names_) hash.text(name);
  hash.numbers(dropped_values_);
}

std::vector<std::string> DropConstant::warnings() const {
  if (dropped_names_.empty()) return {};
  return {fmt::format("{} of {} features do not vary among the training rows and were dropped: {}",
                      dropped_names_.size(), names_.size(), fmt::join(dropped_names_, ", "))};
}

}  // namespace emshap
