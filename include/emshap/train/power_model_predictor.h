#pragma once
// A trained power model as the function that is explained.
#include <cstdint>
#include <memory>
#include <span>

#include "emshap/models/predictor.h"
#include "emshap/train/power_model.h"

namespace emshap {

/// Raw features to the target in its own unit, on the CPU; the model must outlive it and keep its weights.
/// Rows are complete: missing values are imputed by the model all the same.
class EMSHAP_API PowerModelPredictor final : public Predictor {
 public:
  /// Throws DeviceError for a network that is not on the CPU.
  explicit PowerModelPredictor(const PowerModel& model);
  ~PowerModelPredictor() override;
  std::int64_t inputs() const override;
  void predict(Context& ctx, ConstTensorView raw, TensorView y) const override;
  void predict_groups(Context& ctx, ConstTensorView raw, std::int64_t group, ConstTensorView same,
                      TensorView y) const override;
  /// Null for networks with residual blocks or without hidden layer.
  std::unique_ptr<Predictor> on_device(Device device) const override;
  /// The same for rows of `inputs` columns, of which from[c] is the model's column c.
  std::unique_ptr<Predictor> on_device(Device device, std::span<const std::int64_t> from,
                                       std::int64_t inputs) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap
