#include <fmt/format.h>

#include <cmath>

#include "data/json_text.h"
#include "emshap/core/error.h"
#include "emshap/data/graph_writer.h"
#include "emshap/data/hash.h"
#include "emshap/data/steps.h"

namespace emshap {

void StandardScaler::begin_fit(const std::vector<std::string>& names) {
  names_ = names;
  means_.assign(names.size(), 0);
  m2_.assign(names.size(), 0);
  present_.assign(names.size(), 0);
  scales_.clear();
  count_ = 0;
}

void StandardScaler::observe(const double* block, std::int64_t rows) {
  const std::size_t width = names_.size();
  const auto counts = [this](double v) { return !skip_missing_ || !std::isnan(v); };
  std::vector<double> first(width), mean(width, 0), m2(width, 0);
  std::vector<std::int64_t> present(width, 0);
  // Deviations from the first value keep the sum small where the mean is large.
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < width; ++c) {
      const double v = block[static_cast<std::size_t>(r) * width + c];
      if (!counts(v)) continue;
      if (present[c]++ == 0) first[c] = v;
      mean[c] += v - first[c];
    }
  for (std::size_t c = 0; c < width; ++c)
    if (present[c] > 0) mean[c] = first[c] + mean[c] / static_cast<double>(present[c]);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < width; ++c) {
      const double v = block[static_cast<std::size_t>(r) * width + c];
      if (!counts(v)) continue;
      const double d = v - mean[c];
      m2[c] += d * d;
    }
  for (std::size_t c = 0; c < width; ++c) {
    if (present[c] == 0) continue;
    const auto n = static_cast<double>(present[c]), before = static_cast<double>(present_[c]);
    const double shift = mean[c] - means_[c];
    means_[c] += shift * (n / (before + n));
    m2_[c] += m2[c] + shift * shift * (before * n / (before + n));
    present_[c] += present[c];
  }
  count_ += rows;
}

void StandardScaler::end_fit() {
  scales_.resize(names_.size());
  for (std::size_t c = 0; c < names_.size(); ++c) {
    scales_[c] = std::sqrt(m2_[c] / static_cast<double>(present_[c]));
    if (present_[c] > 0 && !std::isfinite(scales_[c]))
      throw DataError(fmt::format(
          "column '{}' has missing values among the {} training rows, expected none; impute them or "
          "drop the rows",
          names_[c], count_));
    if (!(scales_[c] > 0))
      throw DataError(fmt::format(
          "column '{}' does not vary among the {} training rows, expected at least two different values",
          names_[c], count_));
  }
}

std::unique_ptr<Step> StandardScaler::from_state(std::vector<std::string> names, std::vector<double> means,
                                                 std::vector<double> scales, std::int64_t count) {
  if (means.size() != names.size() || scales.size() != names.size())
    throw IoError(fmt::format("standard_scaler: there are {} means and {} scales, expected {} as names",
                              means.size(), scales.size(), names.size()));
  for (std::size_t c = 0; c < names.size(); ++c)
    if (!std::isfinite(means[c]) || !std::isfinite(scales[c]) || !(scales[c] > 0))
      throw IoError(
          fmt::format("standard_scaler: column '{}' has mean {} and scale {}, expected finite numbers and a "
                      "positive scale",
                      names[c], means[c], scales[c]));
  auto step = std::make_unique<StandardScaler>();
  step->names_ = std::move(names);
  step->means_ = std::move(means);
  step->scales_ = std::move(scales);
  step->count_ = count;
  return step;
}

void StandardScaler::transform(const double* in, std::int64_t rows, double* out) const {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < names_.size(); ++c) *out++ = (*in++ - means_[c]) / scales_[c];
}

void StandardScaler::inverse(const double* in, std::int64_t rows, double* out) const {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < names_.size(); ++c) *out++ = *in++ * scales_[c] + means_[c];
}

void StandardScaler::log_jacobian(const double* in, std::int64_t rows, double* out) const {
  double sum = 0;
  for (const double scale : scales_) sum -= std::log(scale);
  for (std::int64_t r = 0; r < rows; ++r) {
    out[r] += sum;
    for (std::size_t c = 0; c < names_.size(); ++c)
      if (std::isnan(*in++)) out[r] += std::log(scales_[c]);  // missing values add nothing
  }
}

GraphValue StandardScaler::to_onnx(GraphWriter& graph, const GraphValue& input) const {
  const GraphValue mean = graph.constant("mean", {inputs()}, std::span<const double>(means_));
  const GraphValue scale = graph.constant("scale", {inputs()}, std::span<const double>(scales_));
  return graph.op("Div", {graph.op("Sub", {input, mean}), scale});
}

std::string StandardScaler::to_json() const {
  return fmt::format(R"({{"type": "standard_scaler", "names": {}, "means": {}, "scales": {}, "count": {}}})",
                     json_text::list(names_), json_text::list(means_), json_text::list(scales_), count_);
}

void StandardScaler::hash(Hash64& hash) const {
  for (const std::string& name : names_) hash.text(name);
  hash.numbers(means_);
  hash.numbers(scales_);
  hash.word(static_cast<std::uint64_t>(count_));
}

std::vector<std::string> StandardScaler::warnings() const {
  std::vector<std::string> found;
  for (std::size_t c = 0; c < names_.size(); ++c)
    if (std::abs(means_[c]) > 1e4 * scales_[c])
      found.push_back(fmt::format(
          "column '{}' has mean {:.6g} and standard deviation {:.6g}: float32 inputs keep few digits "
          "of its variation; subtract a constant from it",
          names_[c], means_[c], scales_[c]));
  return found;
}

}  // namespace emshap
