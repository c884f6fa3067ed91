#pragma once
// Draws of a density model that lies on a GPU, and predictions from them, for callers whose rows and results
// are on the host.
#include <memory>

#include "data/draw_map.h"
#include "emshap/models/emshap_model.h"
#include "emshap/models/predictor.h"

namespace emshap {

/// Of the draws of some rows, on the host.
struct DevicePredictions {
  Tensor y, weights;                          ///< (B K, 1); as WeightedDraws has them
  std::int64_t clamped = 0, not_numbers = 0;  ///< drawn values outside the widened range, and NaN
};

/// One thread's: a stream of its own, so that one thread's draws are made while others predict from theirs.
class DeviceDraws {
 public:
  /// `model` outlives it and lies on the device.
  explicit DeviceDraws(const EmshapModel& model);
  ~DeviceDraws();
  DeviceDraws(const DeviceDraws&) = delete;
  DeviceDraws& operator=(const DeviceDraws&) = delete;

  /// As EmshapModel::draw by given noise. All views are on the host and f32, `query` names no target; x,
  /// weights and, where they are made, summaries come to the host in `out`, the rest stays empty.
  void draw(const ModelQuery& query, const GivenNoise& noise, WeightedDraws& out);
  /// The draws completed to raw rows and predicted from by `f`, a predictor of the device; raw (B, D) f32 on
  /// the host. Predictions may be no finite numbers.
  void predict(const ModelQuery& query, const GivenNoise& noise, ConstTensorView raw,
               const DeviceDrawMap& map, const Predictor& f, DevicePredictions& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap
