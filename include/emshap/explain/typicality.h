#pragma once
// Is a row like the training data? A model and its explanation say little about rows that are not.
#include <cstdint>
#include <functional>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"
#include "emshap/data/feature_space.h"
#include "emshap/models/emshap_model.h"

namespace emshap {

/// Marks rows whose density is lower than that of nearly all background rows, and values outside the training
/// range. The density is the proposal's, log q(x) / number of values present, in model space.
class EMSHAP_API Typicality {
 public:
  struct Scores {
    std::vector<double> log_density;    ///< (B): nat per value present; NaN for a row without a value
    std::vector<std::uint8_t> unusual;  ///< (B): 1 where log_density is below the threshold
    std::vector<std::int64_t> outside;  ///< (B): number of values outside the range of the training rows
  };

  /// `background` (n, D) f32, raw; missing values are NaN. The threshold is the .1 % quantile of its rows'
  /// densities, their minimum where there are fewer than 1,000. `space` and `model` must outlive this. Throws
  /// DataError for a background without a value.
  Typicality(const FeatureSpace& space, const EmshapModel& model, ConstTensorView background, TeamPool& pool);

  double threshold() const { return threshold_; }
  const FeatureSpace& space() const { return space_; }
  /// raw (B, D) f32. Same bits for any cut of the rows. Throws DataError, see FeatureSpace::to_model.
  Scores score(TeamPool& pool, ConstTensorView raw) const;
  /// (F): number of values outside the range of the training rows, by feature.
  std::vector<std::int64_t> count_outside(ConstTensorView raw) const;

 private:
  void each_outside(ConstTensorView raw,
                    const std::function<void(std::size_t row, std::size_t feature)>& use) const;
  const FeatureSpace& space_;
  const EmshapModel& model_;
  double threshold_ = 0;
};

}  // namespace emshap
