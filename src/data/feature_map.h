#pragma once
// The steps of a feature space's pipeline as functions of single values, without the pipeline's buffers.
#include "emshap/core/random.h"
#include "emshap/data/feature_space.h"
#include "emshap/data/step_clip.h"
#include "emshap/data/step_quantile.h"
#include "emshap/data/steps.h"
#include "math/philox.h"
#include "math/random_value.h"

namespace emshap {

/// Refers to the pipeline.
class FeatureMap {
 public:
  explicit FeatureMap(const Pipeline& pipeline)
      : drop_(pipeline.find<DropConstant>()),
        scaler_(pipeline.find<StandardScaler>()),
        quantile_(pipeline.find<QuantileNormal>()),
        clip_(pipeline.find<Clip>()) {}
  /// Input column of each feature.
  const std::vector<std::int64_t>& kept() const { return drop_->kept(); }
  const DropConstant& drop() const { return *drop_; }
  /// The raw value within its bounds. Edges of its tile may lie beyond them: the other functions do not clip.
  double clipped(std::size_t t, double x) const {
    return clip_ == nullptr ? x : clip_->apply(static_cast<std::size_t>(kept()[t]), x);
  }
  double forward(std::size_t t, double x) const {
    return quantile_ != nullptr ? quantile_->transform(t, x)
                                : (x - scaler_->means()[t]) / scaler_->scales()[t];
  }
  double backward(std::size_t t, double z) const {
    return quantile_ != nullptr ? quantile_->inverse(t, z) : z * scaler_->scales()[t] + scaler_->means()[t];
  }
  double slope(std::size_t t, double x) const {
    return quantile_ != nullptr ? quantile_->slope(t, x) : 1 / scaler_->scales()[t];
  }

 private:
  const DropConstant* drop_;
  const StandardScaler* scaler_;
  const QuantileNormal* quantile_;
  const Clip* clip_;
};

/// Edges of the tile of a raw value of a tied or categorical column, in raw units.
struct RawTile {
  double left, right;
};
RawTile raw_tile(const FeatureColumn& column, double raw);
/// Number of the value of the column nearest to `raw`, the lower one of two.
std::size_t nearest_value(const FeatureColumn& column, double raw);
/// Number of the value in whose tile a raw draw lies, or whose tile is nearest.
std::size_t nearest_tile(const FeatureColumn& column, double raw);

/// Uniform numbers on (0, 1) of the features of one row, feature after feature.
class RowUniforms {
 public:
  RowUniforms(const math::PhiloxStream& stream, std::int64_t row)
      : row_(stream.row(static_cast<std::uint64_t>(row))) {}
  double at(std::size_t t) {
    if (t / 4 != block_number_) {
      block_number_ = t / 4;
      block_ = row_.block(static_cast<std::uint32_t>(block_number_));
    }
    return (static_cast<double>(block_.word[t % 4]) + .5) * 0x1p-32;
  }

 private:
  math::PhiloxRow row_;
  std::size_t block_number_ = static_cast<std::size_t>(-1);
  math::PhiloxBlock block_{};
};

/// A value drawn uniformly from the tile of `raw`, in raw units.
inline double dequantised(const FeatureColumn& column, double raw, double uniform) {
  const RawTile tile = raw_tile(column, raw);
  return tile.left + uniform * (tile.right - tile.left);
}

}  // namespace emshap
