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

void MeanImpute::begin_fit(const std::vector<std::string>& names) {
  names_ = names;
  means_.assign(names.size(), 0);
  missing_.assign(names.size(), 0);
  present_.assign(names.size(), 0);
}

// A running mean (Welford 1962) needs no sum that could overflow or cancel.
void MeanImpute::observe(const double* block, std::int64_t rows) {
  const std::size_t width = names_.size();
  for (std::int64_t r = 0; r < rows; ++r, block += width)
    for (std::size_t c = 0; c < width; ++c) {
      if (std::isnan(block[c])) {
        ++missing_[c];
      } else {
        means_[c] += (block[c] - means_[c]) / static_cast<double>(++present_[c]);
      }
    }
}

void MeanImpute::end_fit() {
  for (std::size_t c = 0; c < names_.size(); ++c)
    if (present_[c] == 0)
      throw DataError(fmt::format(
          "feature '{}' has no value among the training rows, expected at least one to form a mean",
          names_[c]));
  fills_.clear();
  for (std::size_t c = 0; c < names_.size(); ++c) {
    const bool named =
        std::find(may_be_missing_.begin(), may_be_missing_.end(), names_[c]) != may_be_missing_.end();
    fills_.push_back(missing_[c] > 0 || named ? 1 : 0);
  }
}

std::unique_ptr<Step> MeanImpute::from_state(std::vector<std::string> names, std::vector<double> means,
                                             std::vector<std::int64_t> missing,
                                             std::vector<std::int64_t> fills) {
  if (means.size() != names.size() || missing.size() != names.size() || fills.size() != names.size())
    throw IoError(fmt::format("mean_impute: there are {} means, {} counts and {} marks, expected {} as names",
                              means.size(), missing.size(), fills.size(), names.size()));
  auto step = std::make_unique<MeanImpute>();
  step->names_ = std::move(names);
  step->means_ = std::move(means);
  step->missing_ = std::move(missing);
  step->fills_ = std::move(fills);
  return step;
}

void MeanImpute::transform(const double* in, std::int64_t rows, double* out) const {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < names_.size(); ++c, ++in)
      *out++ = std::isnan(*in) && fills(c) ? means_[c] : *in;
}

void MeanImpute::inverse(const double* in, std::int64_t rows, double* out) const {
  if (in != out) std::copy_n(in, rows * inputs(), out);
}

GraphValue MeanImpute::to_onnx(GraphWriter& graph, const GraphValue& input) const {
  // The mean of a column that is not filled is NaN: missing stays missing, and so becomes the output.
  std::vector<double> fill = means_;
  bool any = false;
  for (std::size_t c = 0; c < fill.size(); ++c) {
    if (!fills(c)) fill[c] = std::numeric_limits<double>::quiet_NaN();
    any = any || fills(c);
  }
  if (!any) return input;
  const GraphValue mean = graph.constant("mean", {inputs()}, std::span<const double>(fill));
  return graph.op("Where", {graph.op("IsNaN", {input}), mean, input});
}

std::string MeanImpute::to_json() const {
  return fmt::format(R"({{"type": "mean_impute", "names": {}, "means": {}, "missing": {}, "fills": {}}})",
                     json_text::list(names_), json_text::list(means_), json_text::list(missing_),
                     json_text::list(fills_));
}

void MeanImpute::hash(Hash64& hash) const {
  for (const std::string& name : names_) hash.text(name);
  hash.numbers(means_);
  for (const std::int64_t fill : fills_) hash.word(static_cast<std::uint64_t>(fill));
}

std::vector<std::string> MeanImpute::warnings() const {
  std::int64_t total = 0;
  std::string columns;
  for (std::size_t c = 0; c < names_.size(); ++c) {
    if (missing_[c] == 0) continue;
    total += missing_[c];
    columns += fmt::format("{}{} ({})", columns.empty() ? "" : ", ", names_[c], missing_[c]);
  }
  if (total == 0) return {};
  return {fmt::format("{} missing training cells are replaced by column means: {}", total, columns)};
}

}  // namespace emshap
