#pragma once
// What the density networks need to know about the columns they model.
#include <cstdint>
#include <vector>

#include "emshap/core/export.h"

namespace emshap {

/// F features in model space; some are categorical: they take one of V_t known values. Category lists stand
/// one after another, feature after feature; V is the sum of all V_t.
struct EMSHAP_API FeatureLayout {
  std::vector<std::int64_t> categories;  ///< (F): V_t >= 2 for a categorical feature, 0 for a numeric one
  std::vector<double> values;       ///< (V): the categories' values in model space, ascending per feature
  std::vector<double> frequencies;  ///< (V): their shares of the training rows, sum 1 per feature

  std::int64_t features() const { return static_cast<std::int64_t>(categories.size()); }
  std::int64_t total_categories() const { return static_cast<std::int64_t>(values.size()); }
  bool categorical(std::int64_t t) const { return categories[static_cast<std::size_t>(t)] > 0; }
  /// Where the categories of feature t begin in lists of V; F + 1 entries.
  std::vector<std::int64_t> offsets() const;

  static FeatureLayout numeric(std::int64_t features);
  /// Throws ConfigError for lists that do not fit together.
  void check() const;
  friend bool operator==(const FeatureLayout&, const FeatureLayout&) = default;
};

}  // namespace emshap
