#pragma once
// One stage of a Trainer while it runs: its place in the data, its optimiser and what is kept of it.
#include <array>
#include <chrono>
#include <functional>
#include <optional>

#include "core/readback.h"
#include "core/step_graph.h"
#include "emshap/layers/parameter_store.h"
#include "emshap/train/checkpoint.h"
#include "emshap/train/trainer.h"

namespace emshap {

class StageRun {
 public:
  StageRun(std::string name, int index, TrainingTask& task, const StageOptions& options, TeamPool& pool,
           std::uint64_t seed);

  /// Clears moments and starts the averages; called when the stage begins (not when it is resumed).
  void start();
  /// One optimiser step, and what is due after it (validation, end of the stage). Appends to `history`.
  void step(History& history, ProgressSink& sink);
  bool done() const { return done_; }

  /// Throws NumericalError instead when the loss or the gradient of a step so far is not finite.
  void save(CheckpointWriter& out);
  void load(const CheckpointReader& in, const std::string& file);

  const std::string& name() const { return name_; }
  std::vector<std::string> terms() const { return terms_; }
  const StageResult& result() const { return result_; }
  std::int64_t total_steps() const { return total_steps_; }
  /// Where the stage stands: values for a progress report.
  Progress progress() const;

 private:
  void prepare();
  void member_step(Context& ctx, const ShardPlan& plan);
  void check_finite(const char* what, double value, std::int64_t epoch, std::int64_t step) const;
  /// Looks at the numbers of steps done: of all of them, or of those that have arrived from the device.
  void account(bool all);
  void validate(History& history, ProgressSink& sink);
  void finish(ProgressSink& sink);
  bool averaged() const { return options_.ema_decay > 0; }

  std::string name_;
  int index_;
  TrainingTask& task_;
  ParameterStore& store_;
  StageOptions options_;
  TeamPool& pool_;
  std::uint64_t seed_;
  std::vector<std::string> terms_;
  BatchPlan batches_;
  std::int64_t epochs_ = 0, total_steps_ = 0;
  Schedule schedule_;
  EarlyStopping early_stopping_;

  // Where the stage stands.
  std::int64_t step_ = 0, epoch_ = 0, position_ = 0;  ///< steps done, epoch and next batch of it
  bool done_ = false, prepared_ = false;
  std::optional<ParameterStore::Snapshot> best_;
  StageResult result_;
  // Sums since the last row of the history.
  std::vector<double> sums_;
  double norm_sum_ = 0, last_loss_ = 0, last_validation_ = 0, last_rate_ = 0;
  std::int64_t interval_rows_ = 0, interval_steps_ = 0;
  std::chrono::steady_clock::time_point interval_start_;

  std::vector<std::int64_t> order_;  ///< of the training rows in this epoch
  std::int64_t order_epoch_ = -1;
  /// Per member: loss terms, gradient norm, clipping factor, in one tensor (T + 2).
  struct Scratch {
    Tensor all;
    TensorView terms, norm, scale;
  };
  std::vector<Scratch> scratch_;
  /// What is known on the host of a step whose numbers have not been looked at.
  struct Posted {
    std::int64_t rows = 0, epoch = 0, step = 0;
  };
  Readback readback_;
  std::array<Posted, Readback::depth> steps_{};  ///< of the readback, oldest first from oldest_
  std::size_t oldest_ = 0;
  std::vector<double> numbers_;
  StepGraph graph_;
  std::function<void(Context&, const ShardPlan&)> body_;  ///< made once: a step must not allocate
};

}  // namespace emshap
