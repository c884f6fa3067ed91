#pragma once
// The training step of the energy network beside its frozen proposal: one random mask a row, K completions by
// the proposal, and a loss that tells the row from its completions.
#include <memory>
#include <string>
#include <vector>

#include "train/completions.h"
#include "train/proposal_task.h"

namespace emshap {

class EMSHAP_API EnergyTask final : public TrainingTask {
 public:
  /// The model has an energy network, which may lie on a GPU. Rows are completed where the
  /// proposal lies, on a GPU by a set-GRU only; `proposal_name` is what a resumed run and a reader of the
  /// checkpoint must know. All references outlive the task.
  EnergyTask(EmshapModel& model, std::string proposal_name, const FeatureSpace& space, const Tensor& raw,
             const HeldOutPairs& held_out, EnergyLoss loss, std::int64_t draws, std::uint64_t seed);

  /// Loss; effective sample size as a share of the draws; what the energy adds to the log-likelihood of an
  /// unknown feature, with Z from the same draws.
  std::vector<std::string> terms() const override { return {"loss", "effective_share", "gain"}; }
  ParameterStore& parameters() override { return model_.energy()->store(); }
  std::int64_t training_rows() const override { return raw_.rows(); }
  std::int64_t validation_rows() const override { return held_out_.count(); }
  void prepare(int members, std::int64_t largest_batch) override;
  void step(Context& ctx, const ShardPlan& plan, const StepInfo& info, TensorView terms) override;
  void validate(TeamPool& pool, std::span<double> terms) override;
  void save(CheckpointWriter& checkpoint) const override;

  static constexpr const char* proposal_section = "energy.proposal";  ///< of the checkpoint

 private:
  struct Member {
    DequantisedRows batch;
    Candidates candidates;
    Candidates there;  ///< of an energy network on a GPU
    Tensor energy, scores, dscores, limit, loss, summary, statistics, totals;
    std::unique_ptr<Completions> completions;
    Staging staging;
    EnergyNetwork::Cache cache;
    std::unique_ptr<Context> local;  ///< the proposal works alone, tile by tile
  };
  bool on_gpu() const { return model_.energy()->store().device().kind == DeviceKind::cuda; }
  bool completed_there() const { return model_.proposal().device().kind == DeviceKind::cuda; }
  Context& local(Context& ctx, Member& m) const;
  /// Collective: the terms of the whole batch, and m.dscores, from m.energy and candidates [first, first +
  /// count).
  void measure(Context& ctx, Member& m, const Candidates& c, std::int64_t first, std::int64_t count,
               TensorView terms) const;
  /// The same on a GPU, without looking there; `unknown` entries are to be predicted.
  void measure_there(Context& ctx, Member& m, const Candidates& c, std::int64_t count, double unknown,
                     TensorView terms) const;
  void finish_measure(Context& ctx, Member& m, TensorView terms) const;
  void validate_there(TeamPool& pool, std::span<double> terms);

  EmshapModel& model_;
  std::string proposal_name_;
  const FeatureSpace& space_;
  const Tensor& raw_;
  const HeldOutPairs& held_out_;
  EnergyLoss loss_;
  std::int64_t draws_;
  std::uint64_t seed_;
  bool absolute_;
  std::vector<Member> members_;
  Candidates validation_;  ///< of the held-out pairs, made once: the proposal is frozen
};

}  // namespace emshap
