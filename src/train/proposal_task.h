#pragma once
// The training step of a proposal: fresh values for tied columns, then one step over all sizes of S.
#include <memory>
#include <string>
#include <vector>

#include "train/held_out_on_device.h"
#include "train/held_out_pairs.h"

namespace emshap {

/// Raw rows of a batch in model space, each use with new values within the tiles of tied columns. Takes no
/// memory beyond that of the largest batch.
class DequantisedRows {
 public:
  void reserve(const FeatureSpace& space, std::int64_t rows);
  void fill(const FeatureSpace& space, const Tensor& raw, std::span<const std::int64_t> rows,
            const RandomKey& key);
  FeatureRows rows() const { return {.x = x_, .code = code_}; }
  ConstTensorView observed() const { return observed_; }

 private:
  Tensor raw_, x_, observed_, code_;
};

class EMSHAP_API ProposalTask final : public TrainingTask {
 public:
  /// `raw` (R, inputs) float32; all references outlive the task.
  ProposalTask(TrainableProposal& proposal, const FeatureSpace& space, const Tensor& raw,
               const HeldOutPairs& held_out, const MaskingOptions& masking, EmshapStream stream);
  /// For a masked MLP on a GPU: `copy` of it on the CPU takes its weights before each validation and scores
  /// the held-out pairs on `pool`. A set-GRU scores them where it lies.
  void validate_by(TrainableProposal& copy, TeamPool& pool) {
    copy_ = &copy;
    copy_pool_ = &pool;
  }

  std::vector<std::string> terms() const override { return {"nll"}; }
  ParameterStore& parameters() override { return proposal_.store(); }
  std::int64_t training_rows() const override { return raw_.rows(); }
  std::int64_t validation_rows() const override { return held_out_.count(); }
  void prepare(int members, std::int64_t largest_batch) override;
  std::int64_t row_quantum(std::int64_t rows) const override { return ShardPlan::fine_quantum(rows); }
  void step(Context& ctx, const ShardPlan& plan, const StepInfo& info, TensorView terms) override;
  void validate(TeamPool& pool, std::span<double> terms) override;

 private:
  struct Member {
    DequantisedRows batch;
    std::vector<double> sizes;  ///< of the step, where they follow a schedule
  };
  TrainableProposal& proposal_;
  const FeatureSpace& space_;
  const Tensor& raw_;
  const HeldOutPairs& held_out_;
  MaskingOptions masking_;
  std::vector<double> sizes_;  ///< of every step; empty where they follow a schedule
  EmshapStream stream_;
  std::vector<Member> members_;
  HeldOutOnDevice there_;
  TrainableProposal* copy_ = nullptr;
  TeamPool* copy_pool_ = nullptr;
  std::vector<std::unique_ptr<Context>> contexts_;  ///< for validation
};

}  // namespace emshap
