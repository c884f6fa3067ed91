#pragma once
// The training step of the energy network beside its frozen proposal: one random mask a row, K completions by
// the proposal, and a loss that tells the row from its completions.
#include <memory>
#include <string>
#include <vector>

#include "train/proposal_task.h"

namespace emshap {

class EMSHAP_API EnergyTask final : public TrainingTask {
 public:
  /// The model has an energy network; `proposal_name` is what a resumed run and a reader of the checkpoint
  /// must know. All references outlive the task.
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
  /// Rows with their completions, 1 + K candidates each, the row itself first.
  struct Candidates {
    Tensor x;        ///< (B (1 + K), F); missing entries 0
    Tensor log_q;    ///< (B, 1 + K) of what is observed and not known; in the absolute form only
    Tensor mask;     ///< (B, F)
    Tensor context;  ///< (B, H)
    Tensor unknown;  ///< (B): entries to be predicted
  };
  struct Member {
    DequantisedRows batch;
    Candidates candidates;
    Tensor energy, scores, dscores, limit, loss, summary, statistics, totals;
    Tensor noise, target;  ///< of a tile
    std::vector<double> log_q;
    Conditionals conditionals;
    Draws draws;
    EnergyNetwork::Cache cache;
    std::unique_ptr<Context> local;  ///< the proposal works alone, tile by tile
  };
  void ensure(Candidates& c, std::int64_t rows) const;
  Context& local(Context& ctx, Member& m) const;
  /// Fills the candidates of `count` rows from row `first` on; their masks are there.
  void complete(Context& ctx, Member& m, const FeatureRows& rows, ConstTensorView observed,
                std::span<const std::int64_t> numbers, const RandomKey& key, Candidates& out,
                std::int64_t first) const;
  void complete_tile(Context& ctx, Member& m, const FeatureRows& rows, ConstTensorView observed,
                     std::span<const std::int64_t> numbers, const RandomKey& key, Candidates& out,
                     std::int64_t first) const;
  /// log q of the row and its completions, for the absolute form.
  void log_densities(Context& ctx, Member& m, const FeatureRows& rows, ConstTensorView mask,
                     float* out) const;
  /// Collective: the terms of the whole batch, and m.dscores, from m.energy and candidates [first, first +
  /// count).
  void measure(Context& ctx, Member& m, const Candidates& c, std::int64_t first, std::int64_t count,
               TensorView terms) const;

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
