#pragma once
// The training step of the power predictor: gather rows, forward, loss, backward.
#include <string>
#include <vector>

#include "emshap/models/power_predictor.h"
#include "emshap/ops/loss.h"
#include "emshap/train/trainer.h"

namespace emshap {

/// Rows of features (R, F) and targets (R, 1), float32, in model units.
struct PowerRows {
  Tensor x, y;
};

class PowerTask final : public TrainingTask {
 public:
  /// `train` stays on the CPU and is gathered from; the validation rows are moved to the network's device.
  PowerTask(PowerPredictor& network, PowerRows train, PowerRows validation, Loss loss, double huber_delta);

  std::vector<std::string> terms() const override;
  ParameterStore& parameters() override { return network_.store(); }
  std::int64_t training_rows() const override { return train_.x.rows(); }
  std::int64_t validation_rows() const override { return validation_.x.rows(); }
  void prepare(int members, std::int64_t largest_batch) override;
  void step(Context& ctx, const ShardPlan& plan, const StepInfo& info, TensorView terms) override;
  void validate(TeamPool& pool, std::span<double> terms) override;

 private:
  void losses(Context& ctx, ConstTensorView prediction, ConstTensorView target, TensorView terms,
              TensorView gradient) const;
  struct Member {
    Tensor host_x, host_y;  ///< gathered rows on their way to a GPU
    Tensor x, y, prediction, gradient, validation_prediction, terms;
    PowerPredictor::Cache cache;
  };
  PowerPredictor& network_;
  PowerRows train_, validation_;
  Loss loss_;
  double delta_;
  std::vector<Member> members_;
};

}  // namespace emshap
