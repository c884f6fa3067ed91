#include "emshap/train/trainer.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "train/stage_run.h"

namespace emshap {

void TrainingTask::prepare(int, std::int64_t) {}
std::int64_t TrainingTask::row_quantum(std::int64_t) const {
  return ShardPlan::row_quantum;
}
void TrainingTask::save(CheckpointWriter&) const {}
void TrainingTask::load(const CheckpointReader&) {}

namespace {
using Clock = std::chrono::steady_clock;
constexpr auto report_interval = std::chrono::milliseconds(100);
constexpr std::size_t row_fixed = 7;  // numbers of a history row before its terms
}  // namespace

struct Trainer::Impl {
  Impl(TeamPool& p, std::uint64_t s, ProgressSink& to, const StopToken* token)
      : pool(p), seed(s), sink(to), stop(token) {}

  TeamPool& pool;
  std::uint64_t seed;
  ProgressSink& sink;
  const StopToken* stop;
  std::vector<std::unique_ptr<StageRun>> stages;
  std::vector<TrainingTask*> tasks;
  std::size_t current = 0;
  bool started = false;  ///< the current stage has begun
  History history;
  std::vector<StageResult> results;
  std::filesystem::path file;
  std::string architecture, config;
  double save_seconds = 60;

  void save() const {
    if (file.empty()) return;
    CheckpointWriter out;
    out.add("architecture", architecture);
    out.add("config", config);
    const std::int64_t place[] = {static_cast<std::int64_t>(seed), static_cast<std::int64_t>(current),
                                  static_cast<std::int64_t>(stages.size()), started ? 1 : 0};
    out.add("place", place);
    for (std::size_t i = 0; i < stages.size() && (i < current || (i == current && started)); ++i) {
      stages[i]->save(out);
      tasks[i]->save(out);
    }
    std::vector<double> numbers;
    for (const HistoryRow& row : history.rows) {
      std::size_t stage = 0;
      while (history.stages[stage].name != row.stage) ++stage;
      numbers.insert(numbers.end(), {static_cast<double>(stage), static_cast<double>(row.epoch),
                                     static_cast<double>(row.step), row.learning_rate, row.gradient_norm,
                                     row.seconds, row.best ? 1.0 : 0.0, row.validation.empty() ? 0.0 : 1.0});
      numbers.insert(numbers.end(), row.training.begin(), row.training.end());
      numbers.insert(numbers.end(), row.validation.begin(), row.validation.end());
    }
    out.add("history", numbers);
    out.write(file);
  }

  void load_history(const std::vector<double>& numbers) {
    const auto fail = [&] {
      throw IoError(fmt::format("{}: the checkpoint's history does not fit its stages", file.string()));
    };
    history.rows.clear();
    for (std::size_t at = 0; at < numbers.size();) {
      if (numbers.size() - at < row_fixed + 1) fail();
      const auto stage = static_cast<std::size_t>(numbers[at]);
      if (stage >= history.stages.size()) fail();
      const std::size_t terms = history.stages[stage].terms.size();
      HistoryRow row;
      row.stage = history.stages[stage].name;
      row.epoch = static_cast<std::int64_t>(numbers[at + 1]);
      row.step = static_cast<std::int64_t>(numbers[at + 2]);
      row.learning_rate = numbers[at + 3];
      row.gradient_norm = numbers[at + 4];
      row.seconds = numbers[at + 5];
      row.best = numbers[at + 6] != 0;
      const bool validated = numbers[at + 7] != 0;
      at += row_fixed + 1;
      if (numbers.size() - at < terms * (validated ? 2 : 1)) fail();
      const auto take = [&](std::vector<double>& into) {
        into.assign(numbers.begin() + static_cast<std::ptrdiff_t>(at),
                    numbers.begin() + static_cast<std::ptrdiff_t>(at + terms));
        at += terms;
      };
      take(row.training);
      if (validated) take(row.validation);
      history.rows.push_back(std::move(row));
    }
  }

  /// Runs until everything is done or `limit` steps (negative: no limit) have been made.
  bool run(std::int64_t limit) {
    auto last_save = Clock::now(), last_report = Clock::now();
    results.clear();
    for (std::size_t i = 0; i < current; ++i) results.push_back(stages[i]->result());
    while (current < stages.size()) {
      StageRun& stage = *stages[current];
      if (!started) {
        stage.start();
        started = true;
        sink.progress(stage.progress());
      }
      while (!stage.done()) {
        if (limit == 0) {
          save();
          return false;
        }
        stage.step(history, sink);
        if (limit > 0) --limit;
        if (stop != nullptr && stop->stop_requested()) {
          save();
          const std::string where = file.empty()
                                        ? "nothing was saved"
                                        : fmt::format("saved to {}, continue with --resume", file.string());
          throw Interrupted(fmt::format("stopped in stage {} after step {} of {}; {}", stage.name(),
                                        stage.result().steps, stage.total_steps(), where));
        }
        const auto now = Clock::now();
        if (now - last_report >= report_interval) {
          last_report = now;
          sink.progress(stage.progress());
        }
        if (std::chrono::duration<double>(now - last_save).count() >= save_seconds) {
          save();
          last_save = now;
        }
      }
      sink.progress(stage.progress());
      results.push_back(stage.result());
      ++current;
      started = false;
    }
    save();
    return true;
  }
};

Trainer::Trainer(TeamPool& pool, std::uint64_t seed, ProgressSink& sink, const StopToken* stop)
    : impl_(new Impl(pool, seed, sink, stop)) {}
Trainer::~Trainer() = default;

void Trainer::add_stage(const std::string& name, TrainingTask& task, const StageOptions& options) {
  for (const auto& stage : impl_->stages)
    if (stage->name() == name) throw ConfigError(fmt::format("stage '{}' is added twice", name));
  impl_->stages.push_back(std::make_unique<StageRun>(name, static_cast<int>(impl_->stages.size()), task,
                                                     options, impl_->pool, impl_->seed));
  impl_->tasks.push_back(&task);
  impl_->history.stages.push_back({name, impl_->stages.back()->terms()});
}

void Trainer::set_checkpoint(const std::filesystem::path& path, const std::string& architecture,
                             const std::string& config, double seconds) {
  impl_->file = path;
  impl_->architecture = architecture;
  impl_->config = config;
  impl_->save_seconds = seconds;
}

void Trainer::resume() {
  Impl& t = *impl_;
  const CheckpointReader in(t.file);
  const std::string file = t.file.string();
  if (in.text("architecture") != t.architecture)
    throw IoError(
        fmt::format("{}: the checkpoint belongs to another network or other data than configured", file));
  const auto place = in.integers("place");
  if (place.size() != 4 || place[2] != static_cast<std::int64_t>(t.stages.size()) || place[1] < 0 ||
      place[1] > place[2])
    throw IoError(
        fmt::format("{}: the checkpoint has other stages than the {} configured", file, t.stages.size()));
  if (place[0] != static_cast<std::int64_t>(t.seed))
    throw IoError(fmt::format("{}: the checkpoint was made with seed {}, got seed {}", file,
                              static_cast<std::uint64_t>(place[0]), t.seed));
  t.current = static_cast<std::size_t>(place[1]);
  t.started = place[3] != 0;
  for (std::size_t i = 0; i < t.stages.size() && (i < t.current || (i == t.current && t.started)); ++i) {
    t.stages[i]->load(in, file);
    t.tasks[i]->load(in);
  }
  t.load_history(in.reals("history"));
}

void Trainer::run() {
  impl_->run(-1);
}
bool Trainer::run_steps(std::int64_t steps) {
  return impl_->run(std::max<std::int64_t>(0, steps));
}
void Trainer::save() const {
  impl_->save();
}
const History& Trainer::history() const {
  return impl_->history;
}
const std::vector<StageResult>& Trainer::results() const {
  return impl_->results;
}

}  // namespace emshap
