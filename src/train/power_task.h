#pragma once
// The training step of the power predictor: gather rows, forward, loss, backward.
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/staging.h"
#include "emshap/data/pipeline.h"
#include "emshap/data/steps.h"
#include "emshap/models/power_predictor.h"
#include "emshap/ops/loss.h"
#include "emshap/train/trainer.h"

namespace emshap {

/// What a step reads: features (R, P), float64, as they are before the piecewise-linear encoding, which makes
/// them several times wider and is therefore done batch by batch; targets (R, 1), float32, in model units.
struct PowerRows {
  Tensor x, y;
};

/// The encoding at the end of a pipeline, or null.
EMSHAP_API const PiecewiseLinear* final_encoding(const Pipeline& features);
EMSHAP_API PowerRows power_rows(const Preprocessor& scaler, const Table& table,
                                std::span<const std::int64_t> rows);

class EMSHAP_API PowerTask final : public TrainingTask {
 public:
  /// `encoding` is copied; null: the rows go to the network as they are. The rows stay on the CPU.
  PowerTask(PowerPredictor& network, PowerRows train, PowerRows validation, const PiecewiseLinear* encoding,
            Loss loss, double huber_delta);

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
    Tensor gathered, encoded;  ///< (B, P) and (B, F), float64
    Staging staging;           ///< x (B, F) and y (B, M) of a step
    Tensor prediction, gradient, validation_prediction, terms;
    PowerPredictor::Cache cache;
  };
  /// x (rows, F), in host memory, from `rows` rows at `from` (rows, P).
  void encode(Member& m, const double* from, TensorView x) const;
  PowerPredictor& network_;
  std::optional<PiecewiseLinear> encoding_;
  PowerRows train_, validation_;
  Loss loss_;
  double delta_;
  std::vector<Member> members_;
};

}  // namespace emshap
