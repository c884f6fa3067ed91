#include "train/stage_run.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/memory.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"

namespace emshap {
namespace {

/// Of a tensor in host memory.
double first_of(const TensorView& t) {
  return t.dtype() == DType::f64 ? t.ptr<double>()[0] : t.ptr<float>()[0];
}

std::int64_t epochs_for(const StageOptions& o, std::int64_t batches) {
  if (o.max_steps > 0 && batches > 0) return (o.max_steps + batches - 1) / batches;
  return o.epochs;
}

StageOptions checked(const std::string& name, StageOptions o, std::int64_t rows) {
  const auto fail = [&](const std::string& what) {
    throw ConfigError(fmt::format("stage {}: {}", name, what));
  };
  if (rows < 1) throw DataError(fmt::format("stage {}: there are no training rows", name));
  if (o.batch_size < 1) fail(fmt::format("batch size is {}, expected 1 or more", o.batch_size));
  if (o.epochs < 1 && o.max_steps < 1) fail(fmt::format("epochs are {}, expected 1 or more", o.epochs));
  if (!(o.adam.learning_rate > 0) || !std::isfinite(o.adam.learning_rate))
    fail(fmt::format("learning rate is {}, expected more than 0", o.adam.learning_rate));
  if (!(o.ema_decay >= 0 && o.ema_decay < 1))
    fail(fmt::format("EMA decay is {}, expected 0 to below 1", o.ema_decay));
  if (!(o.clip_norm >= 0)) fail(fmt::format("clip norm is {}, expected 0 or more", o.clip_norm));
  return o;
}

}  // namespace

BatchPlan BatchPlan::make(std::int64_t rows, std::int64_t batch_size) {
  BatchPlan plan{rows, batch_size, 0};
  if (rows <= 0) return plan;
  const std::int64_t whole = rows / batch_size, rest = rows % batch_size;
  const bool own = rest >= 2 && 2 * rest >= batch_size;
  plan.count = std::max<std::int64_t>(1, whole + (own ? 1 : 0));
  return plan;
}

std::int64_t BatchPlan::largest() const {
  return count == 0 ? 0 : std::max(end(count - 1) - begin(count - 1), std::min(batch_size, rows));
}

StageRun::StageRun(std::string name, int index, TrainingTask& task, const StageOptions& options,
                   TeamPool& pool, std::uint64_t seed)
    : name_(std::move(name)),
      index_(index),
      task_(task),
      store_(task.parameters()),
      options_(checked(name_, options, task.training_rows())),
      pool_(pool),
      seed_(seed),
      terms_(task.terms()),
      batches_(BatchPlan::make(task.training_rows(), options.batch_size)),
      epochs_(epochs_for(options, batches_.count)),
      total_steps_(options.max_steps > 0 ? options.max_steps : epochs_ * batches_.count),
      schedule_(options.schedule, total_steps_),
      early_stopping_(options.early_stopping),
      sums_(terms_.size(), 0.0) {
  if (terms_.empty()) throw ConfigError(fmt::format("stage {}: the task names no loss term", name_));
  result_.name = name_;
  result_.best_validation_loss = std::numeric_limits<double>::infinity();
  last_validation_ = std::numeric_limits<double>::quiet_NaN();
}

void StageRun::prepare() {
  if (prepared_) return;
  prepared_ = true;
  const auto term_count = static_cast<std::int64_t>(terms_.size());
  scratch_.resize(static_cast<std::size_t>(pool_.threads()));
  for (Scratch& s : scratch_) {
    s.all = Tensor::zeros({term_count + 2}, store_.dtype(), pool_.device());
    const auto part = [&s](std::int64_t begin, std::int64_t count) {
      return s.all.view().columns(begin, count).reshaped({count});
    };
    s.terms = part(0, term_count);
    s.norm = part(term_count, 1);
    s.scale = part(term_count + 1, 1);
  }
  readback_.reserve(pool_.device(), term_count + 2);
  task_.prepare(pool_.threads(), batches_.largest());
  body_ = [this](Context& ctx, const ShardPlan& plan) {
    graph_.run(ctx, plan.local_rows, [&] { member_step(ctx, plan); });
  };
  interval_start_ = std::chrono::steady_clock::now();
}

void StageRun::start() {
  Context& ctx = pool_.main();
  for (const auto& [name, view] : store_.state())
    if (std::string_view(name).starts_with("moment"))
      zero_bytes(view.data(), view.elements() * size_of(view.dtype()), view.device());
  if (averaged()) store_.enable_ema();
  ctx.synchronize();
}

void StageRun::member_step(Context& ctx, const ShardPlan& plan) {
  Scratch& mine = scratch_[static_cast<std::size_t>(ctx.team().rank())];
  const auto first = static_cast<std::size_t>(batches_.begin(position_) + plan.row_begin);
  const StepInfo info{.seed = seed_,
                      .step = step_,
                      .total_steps = total_steps_,
                      .epoch = epoch_,
                      .rows = {order_.data() + first, static_cast<std::size_t>(plan.local_rows)}};
  store_.clear_gradients(ctx);
  task_.step(ctx, plan, info, mine.terms);

  // The weights stay as they are when the loss is not a number. All members hold the same bits and stop
  // alike.
  // A GPU is not waited for: there an update whose gradient is not finite is left out (clip_scale), and the
  // host finds out a few steps later (account).
  if (ctx.device().kind == DeviceKind::cpu) check_finite("loss", first_of(mine.terms), epoch_, step_);
  const auto& ranges = store_.trainable_ranges();
  const bool whole = ranges.size() == 1 && ranges[0].count == store_.flat_size();
  if (!whole) store_.clear_frozen_gradients(ctx);
  ctx.team().barrier();
  ops::clip_scale(ctx, store_.flat_gradients(), options_.clip_norm, mine.norm, mine.scale);
  AdamOptions adam = options_.adam;
  adam.learning_rate *= schedule_.factor(step_);
  for (const auto& [begin, count] : ranges) {
    const auto part = [b = begin, n = count](TensorView flat) { return flat.columns(b, n).reshaped({n}); };
    ops::adam_step(ctx, adam, step_ + 1, part(store_.flat_gradients()), mine.scale,
                   store_.decay_mask().columns(begin, count).reshaped({count}), part(store_.flat_values()),
                   part(store_.flat_moment1()), part(store_.flat_moment2()));
  }
  if (averaged()) {
    // The first averages would consist of the initial weights mostly: the decay rises with the steps.
    const double t = static_cast<double>(step_);
    ctx.team().barrier();
    ops::ema_update(ctx, std::min(options_.ema_decay, (1 + t) / (10 + t)), store_.flat_values(),
                    store_.flat_ema());
  }
}

void StageRun::check_finite(const char* what, double value, std::int64_t epoch, std::int64_t step) const {
  if (!std::isfinite(value))
    throw NumericalError(
        fmt::format("stage {}: the {} is {} in epoch {}, step {}; a smaller learning rate or "
                    "gradient clipping may help",
                    name_, what, value, epoch + 1, step + 1));
}

void StageRun::account(bool all) {
  while (readback_.take(all || readback_.full(), numbers_)) {
    const Posted& p = steps_[oldest_];
    oldest_ = (oldest_ + 1) % steps_.size();
    const auto rows = static_cast<double>(p.rows);
    for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += numbers_[i] * rows;
    last_loss_ = numbers_[0];
    const double norm = numbers_[sums_.size()];
    norm_sum_ += norm * rows;
    interval_rows_ += p.rows;
    ++interval_steps_;
    check_finite("loss", last_loss_, p.epoch, p.step);
    check_finite("gradient norm", norm, p.epoch, p.step);
  }
}

void StageRun::step(History& history, ProgressSink& sink) {
  prepare();
  if (order_epoch_ != epoch_) {
    order_ = permutation({.seed = seed_,
                          .purpose = RandomPurpose::shuffle,
                          .layer = static_cast<std::uint32_t>(index_),
                          .step = static_cast<std::uint64_t>(epoch_)},
                         batches_.rows);
    order_epoch_ = epoch_;
  }
  const std::int64_t rows = batches_.end(position_) - batches_.begin(position_);
  last_rate_ = options_.adam.learning_rate * schedule_.factor(step_);
  const bool captured = graph_.given_up() == nullptr;
  pool_.run(rows, body_, task_.row_quantum(rows));
  if (captured && graph_.given_up() != nullptr)
    sink.log(
        LogLevel::warning,
        fmt::format("{}: steps run without a CUDA graph from now on, which is slower, because {} in them",
                    name_, graph_.given_up()));
  steps_[(oldest_ + static_cast<std::size_t>(readback_.outstanding())) % steps_.size()] = {rows, epoch_,
                                                                                           step_};
  readback_.post(pool_.main(), scratch_.front().all);
  account(false);
  ++step_;
  ++position_;
  const bool epoch_ended = position_ == batches_.count;
  const bool last = step_ >= total_steps_;
  const bool due = options_.validate_every > 0 ? step_ % options_.validate_every == 0 : epoch_ended;
  if (due || last) validate(history, sink);
  if (epoch_ended) {
    ++epoch_;
    position_ = 0;
  }
  result_.epochs = epoch_ + (position_ > 0 ? 1 : 0);
  result_.steps = step_;
  const bool stop = task_.validation_rows() > 0 && early_stopping_.should_stop();
  result_.stopped_early = stop && !last;
  if (last || stop) finish(sink);
}

void StageRun::validate(History& history, ProgressSink& sink) {
  account(true);
  const auto now = std::chrono::steady_clock::now();
  HistoryRow row;
  row.stage = name_;
  row.epoch = epoch_ + 1;
  row.step = step_;
  for (const double sum : sums_)
    row.training.push_back(sum / static_cast<double>(std::max<std::int64_t>(1, interval_rows_)));
  row.learning_rate = last_rate_;
  row.gradient_norm = norm_sum_ / static_cast<double>(std::max<std::int64_t>(1, interval_rows_));
  row.seconds = std::chrono::duration<double>(now - interval_start_).count();
  result_.seconds += row.seconds;
  if (task_.validation_rows() > 0) {
    row.validation.assign(terms_.size(), 0.0);
    if (averaged()) store_.swap_ema();
    task_.validate(pool_, row.validation);
    const double loss = row.validation[0];
    row.best = early_stopping_.observe(loss);
    if (row.best) {
      if (!best_) best_.emplace();
      store_.snapshot(*best_);
      result_.best_epoch = epoch_ + 1;
      result_.best_validation_loss = loss;
    }
    if (averaged()) store_.swap_ema();
    schedule_.observe(loss);
    last_validation_ = loss;
    if (!std::isfinite(loss))
      throw NumericalError(fmt::format("stage {}: the validation loss is {} in epoch {}, step {}", name_,
                                       loss, epoch_ + 1, step_));
  }
  std::string text = fmt::format("{}: epoch {}, step {}, training {} {:.6g}", name_, row.epoch, row.step,
                                 terms_[0], row.training[0]);
  if (!row.validation.empty())
    text += fmt::format(", validation {:.6g}{}", row.validation[0], row.best ? " (best)" : "");
  for (std::size_t i = 1; i < terms_.size(); ++i)
    text +=
        fmt::format(", {} {:.4g}", terms_[i], row.validation.empty() ? row.training[i] : row.validation[i]);
  sink.log(LogLevel::debug, text);
  history.rows.push_back(std::move(row));
  std::fill(sums_.begin(), sums_.end(), 0.0);
  norm_sum_ = 0;
  interval_rows_ = interval_steps_ = 0;
  interval_start_ = now;
}

void StageRun::finish(ProgressSink& sink) {
  done_ = true;
  if (best_) {
    store_.restore(*best_);
  } else {
    if (averaged()) store_.swap_ema();
    result_.best_epoch = result_.epochs;
  }
  if (best_)
    sink.log(LogLevel::info,
             fmt::format("{}: {} epochs ({} steps){}, best validation {} {:.6g} in epoch {}", name_,
                         result_.epochs, result_.steps, result_.stopped_early ? ", stopped early" : "",
                         terms_[0], result_.best_validation_loss, result_.best_epoch));
  else
    sink.log(LogLevel::info, fmt::format("{}: {} epochs ({} steps), without validation", name_,
                                         result_.epochs, result_.steps));
}

Progress StageRun::progress() const {
  Progress p{
      .stage = name_, .done = step_, .total = done_ ? step_ : total_steps_, .unit = "step", .values = {}};
  p.values = {{"epoch", static_cast<double>(done_ ? result_.epochs : epoch_ + 1)}, {terms_[0], last_loss_}};
  if (std::isfinite(last_validation_)) p.values.emplace_back("validation", last_validation_);
  return p;
}

void StageRun::save(CheckpointWriter& out) {
  account(true);
  const std::string at = name_ + ".";
  out.add(at + "layout", store_.layout());
  const std::int64_t identity[] = {batches_.rows, batches_.batch_size,
                                   static_cast<std::int64_t>(terms_.size())};
  out.add(at + "identity", identity);
  const std::int64_t counters[] = {step_,
                                   epoch_,
                                   position_,
                                   done_ ? 1 : 0,
                                   interval_rows_,
                                   interval_steps_,
                                   result_.best_epoch,
                                   result_.stopped_early ? 1 : 0,
                                   best_ ? 1 : 0,
                                   averaged() ? 1 : 0};
  out.add(at + "counters", counters);
  std::vector<double> sums = sums_;
  sums.insert(sums.end(), {norm_sum_, last_loss_, last_validation_, result_.best_validation_loss});
  out.add(at + "sums", sums);
  out.add(at + "schedule", schedule_.state());
  out.add(at + "early_stopping", early_stopping_.state());
  for (const auto& [name, view] : store_.state()) out.add(at + name, view);
  if (best_) {
    out.add(at + "best.values", best_->values);
    out.add(at + "best.buffers", best_->buffers);
  }
}

void StageRun::load(const CheckpointReader& in, const std::string& file) {
  const std::string at = name_ + ".";
  if (in.text(at + "layout") != store_.layout())
    throw IoError(fmt::format("{}: the checkpoint is of another network than the one configured (stage {})",
                              file, name_));
  const auto identity = in.integers(at + "identity");
  if (identity.size() != 3 || identity[0] != batches_.rows || identity[1] != batches_.batch_size ||
      identity[2] != static_cast<std::int64_t>(terms_.size()))
    throw IoError(fmt::format(
        "{}: the checkpoint is of stage {} with {} training rows in batches of {}, got {} rows in "
        "batches of {}",
        file, name_, identity.empty() ? 0 : identity[0], identity.size() < 2 ? 0 : identity[1], batches_.rows,
        batches_.batch_size));
  const auto counters = in.integers(at + "counters");
  auto sums = in.reals(at + "sums");
  if (counters.size() != 10 || sums.size() != sums_.size() + 4 || (counters[9] != 0) != averaged())
    throw IoError(fmt::format("{}: the checkpoint does not fit the options of stage {}", file, name_));
  step_ = counters[0];
  epoch_ = counters[1];
  position_ = counters[2];
  done_ = counters[3] != 0;
  interval_rows_ = counters[4];
  interval_steps_ = counters[5];
  result_.best_epoch = counters[6];
  result_.stopped_early = counters[7] != 0;
  const std::size_t n = sums_.size();
  norm_sum_ = sums[n];
  last_loss_ = sums[n + 1];
  last_validation_ = sums[n + 2];
  result_.best_validation_loss = sums[n + 3];
  sums.resize(n);
  sums_ = std::move(sums);
  result_.epochs = epoch_ + (position_ > 0 ? 1 : 0);
  result_.steps = step_;
  schedule_.set_state(in.reals(at + "schedule"));
  early_stopping_.set_state(in.reals(at + "early_stopping"));
  if (averaged()) store_.enable_ema();
  for (const auto& [name, view] : store_.state()) in.read(at + name, view);
  best_.reset();
  if (counters[8] != 0) {
    best_.emplace();
    store_.snapshot(*best_);  // takes the shapes
    in.read(at + "best.values", best_->values);
    in.read(at + "best.buffers", best_->buffers);
  }
  if (!done_ && (position_ < 0 || position_ >= batches_.count))
    throw IoError(
        fmt::format("{}: the checkpoint stands at batch {} of {}", file, position_, batches_.count));
  if (!done_ && step_ >= total_steps_)
    throw IoError(fmt::format("{}: the checkpoint stands at step {}, beyond the {} steps configured", file,
                              step_, total_steps_));
}

}  // namespace emshap
