#pragma once
// Draws of a density model that lies on a GPU, for callers whose rows and results are on the host.
#include <memory>

#include "emshap/models/emshap_model.h"

namespace emshap {

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

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap
