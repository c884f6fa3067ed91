#include "emshap/models/feature_layout.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap {

std::vector<std::int64_t> FeatureLayout::offsets() const {
  std::vector<std::int64_t> result(categories.size() + 1, 0);
  std::partial_sum(categories.begin(), categories.end(), result.begin() + 1);
  return result;
}

FeatureLayout FeatureLayout::numeric(std::int64_t features) {
  FeatureLayout layout;
  layout.categories.assign(static_cast<std::size_t>(std::max<std::int64_t>(0, features)), 0);
  return layout;
}

void FeatureLayout::check() const {
  if (categories.empty()) throw ConfigError("a density model has 0 features, expected at least 1");
  std::int64_t total = 0;
  for (const std::int64_t count : categories) {
    if (count != 0 && count < 2)
      throw ConfigError(fmt::format("a categorical feature has {} categories, expected at least 2", count));
    total += count;
  }
  if (total != total_categories() || values.size() != frequencies.size())
    throw ConfigError(
        fmt::format("the features have {} categories, but {} values and {} frequencies are given", total,
                    values.size(), frequencies.size()));
  const auto begin = offsets();
  for (std::size_t t = 0; t < categories.size(); ++t) {
    double sum = 0;
    for (std::int64_t v = begin[t]; v < begin[t + 1]; ++v) {
      const auto i = static_cast<std::size_t>(v);
      if (!std::isfinite(values[i]) || !(frequencies[i] > 0) ||
          (v > begin[t] && !(values[i] > values[i - 1])))
        throw ConfigError(
            fmt::format("category {} of feature {} has the value {} and the frequency {}, expected ascending "
                        "finite values and "
                        "frequencies above 0",
                        v - begin[t], t, values[i], frequencies[i]));
      sum += frequencies[i];
    }
    if (categories[t] > 0 && std::abs(sum - 1) > 1e-6)
      throw ConfigError(fmt::format("the frequencies of feature {} sum to {}, expected 1", t, sum));
  }
}

}  // namespace emshap
