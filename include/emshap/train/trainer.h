#pragma once
// Trains parameters by mini-batches: shuffling, clipping, Adam, schedule, moving averages, validation, early
// stopping, checkpoints. What a step computes is the task's business, so that every model of the library
// trains through it.
//
// Determinism: the rows of step s of epoch e depend on (seed, stage, e) only, tasks key their random numbers
// by StepInfo, and sums over a batch are formed in shard order; so the same seed gives the same bits for any
// number of threads, and a resumed run continues with the same bits.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/progress.h"
#include "emshap/ops/optimizer.h"
#include "emshap/train/early_stopping.h"
#include "emshap/train/history.h"
#include "emshap/train/schedule.h"

namespace emshap {

class ParameterStore;
class CheckpointReader;
class CheckpointWriter;

/// One step as a member of the team sees it.
struct StepInfo {
  std::uint64_t seed = 0;
  std::int64_t step = 0;         ///< counted over the stage from 0; keys dropout, masks and samples
  std::int64_t total_steps = 0;  ///< of the stage, if it is not stopped early
  std::int64_t epoch = 0;        ///< from 0
  std::span<const std::int64_t>
      rows;  ///< this member's rows of the batch, as indices into the task's training rows
};

/// Forward and backward of one stage of training, and its validation.
class EMSHAP_API TrainingTask {
 public:
  virtual ~TrainingTask() = default;
  /// Names of the loss terms; the first is what is minimised and watched, the others are reported.
  virtual std::vector<std::string> terms() const = 0;
  /// Trained parameters; gradients are cleared by the trainer before each step.
  virtual ParameterStore& parameters() = 0;
  virtual std::int64_t training_rows() const = 0;
  /// Rows used by validate(); without any the last weights are kept and early stopping is off.
  virtual std::int64_t validation_rows() const = 0;
  /// Called once before the first step: at most `members` team members and `largest_batch` rows.
  virtual void prepare(int members, std::int64_t largest_batch);
  /// Shards of a batch of `rows` rows are multiples of this many rows; the same for any number of threads.
  virtual std::int64_t row_quantum(std::int64_t rows) const;
  /// Forward and backward on this member's rows (plan.local_rows == info.rows.size()). Gradients of the whole
  /// batch are added to the store; `terms` (T), of the store's type, on the context's device and private to
  /// the member, receives the loss terms of the whole batch, the same bits for every member.
  virtual void step(Context& ctx, const ShardPlan& plan, const StepInfo& info, TensorView terms) = 0;
  /// Loss terms over the validation rows with the parameters as they stand.
  virtual void validate(TeamPool& pool, std::span<double> terms) = 0;
  /// State beside the parameters that a resumed run needs; most tasks have none.
  virtual void save(CheckpointWriter& checkpoint) const;
  virtual void load(const CheckpointReader& checkpoint);
};

struct StageOptions {
  std::int64_t epochs = 100;
  std::int64_t max_steps = 0;  ///< more than 0: stop after this many steps, in as many epochs as that takes
  std::int64_t batch_size = 64;
  AdamOptions adam;
  ScheduleOptions schedule;
  double clip_norm = 0;  ///< largest global gradient norm, 0 for no clipping
  double ema_decay =
      0;  ///< more than 0: validation, best and final weights are moving averages with this decay a step
  EarlyStoppingOptions early_stopping;
  std::int64_t validate_every = 0;  ///< steps between validations, 0 for once an epoch
};

/// How many batches an epoch has and where batch `i` lies in its order. The rows left over at the end form a
/// batch of their own when they are at least half a batch and more than one row; otherwise they join the
/// batch before.
struct BatchPlan {
  std::int64_t rows = 0, batch_size = 0, count = 0;
  static EMSHAP_API BatchPlan make(std::int64_t rows, std::int64_t batch_size);
  std::int64_t begin(std::int64_t i) const { return i * batch_size; }
  std::int64_t end(std::int64_t i) const { return i + 1 == count ? rows : (i + 1) * batch_size; }
  EMSHAP_API std::int64_t largest() const;
};

struct StageResult {
  std::string name;
  std::int64_t epochs = 0, steps = 0;  ///< done
  std::int64_t best_epoch = 0;         ///< from 1; the epoch whose weights were kept
  double best_validation_loss = 0;     ///< infinity without validation rows
  bool stopped_early = false;
  double seconds = 0;  ///< of this process
};

class EMSHAP_API Trainer {
 public:
  Trainer(TeamPool& pool, std::uint64_t seed, ProgressSink& sink = null_sink(),
          const StopToken* stop = nullptr);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Stages run in the order they were added; the task must outlive the trainer. Throws ConfigError,
  /// DataError (no rows).
  void add_stage(const std::string& name, TrainingTask& task, const StageOptions& options);
  /// Where the state is saved: every `seconds`, when stopped, and at the end. `config` is kept in the file; a
  /// file with another `architecture` is refused by resume().
  void set_checkpoint(const std::filesystem::path& path, const std::string& architecture,
                      const std::string& config, double seconds = 60);
  /// Continues from the checkpoint file. Throws IoError when it does not fit the stages or `architecture`.
  void resume();

  /// Runs what is left of all stages; afterwards each task's store holds its best weights.
  /// Throws NumericalError naming stage, epoch and step of a non-finite loss, and Interrupted once a
  /// requested stop has been saved (or at once when there is no checkpoint file).
  void run();
  /// At most `steps` further steps, then saves as a stop would; true when everything is done. For tests and
  /// callers that share the machine.
  bool run_steps(std::int64_t steps);
  void save() const;

  const History& history() const;
  const std::vector<StageResult>& results() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap
