#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "emshap/core/context.h"
#include "emshap/core/error.h"

namespace emshap {
namespace {

constexpr int spins_before_sleep =
    4000;  // some ten microseconds: longer than a step's waits, short for a time slice

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Thrown in members that wait for one that has failed; never leaves the pool.
struct TeamAborted {};

template <class Done>
bool spin_until(const Done& done, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (done()) return true;
    pause_cpu();
  }
  return done();
}

}  // namespace

struct TeamState {
  explicit TeamState(int members)
      : slots{std::vector<void*>(static_cast<std::size_t>(members)),
              std::vector<void*>(static_cast<std::size_t>(members))} {}

  void wait(int size) {
    const std::uint32_t generation = phase.load(std::memory_order_acquire);
    if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
      arrived.store(0, std::memory_order_relaxed);
      phase.fetch_add(1, std::memory_order_acq_rel);
      phase.notify_all();
    } else {
      const auto passed = [&] {
        return phase.load(std::memory_order_acquire) != generation || aborted.load(std::memory_order_acquire);
      };
      while (!spin_until(passed, spins)) phase.wait(generation, std::memory_order_acquire);
    }
    if (aborted.load(std::memory_order_acquire)) throw TeamAborted{};
  }

  void abort() {
    aborted.store(true, std::memory_order_release);
    phase.fetch_add(1, std::memory_order_acq_rel);
    phase.notify_all();
  }

  std::atomic<std::uint32_t> phase{0};
  std::atomic<int> arrived{0};
  std::atomic<bool> aborted{false};
  std::vector<void*>
      slots[2];  // two sets in turn: a member may fill the next while another still reads the last
  int spins = spins_before_sleep;
};

void Team::barrier() {
  if (size_ > 1) state_->wait(size_);
}

std::span<void* const> Team::exchange(void* mine) {
  if (size_ == 1) {
    alone_ = mine;
    return {&alone_, 1};
  }
  auto& slots = state_->slots[parity_ ? 1 : 0];
  parity_ = !parity_;
  slots[static_cast<std::size_t>(rank_)] = mine;
  barrier();
  return {slots.data(), static_cast<std::size_t>(size_)};
}

struct TeamPool::Impl {
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<std::thread> workers;
  std::unique_ptr<TeamState> state;

  // A job is published by raising `job`; workers with a rank below `members` take part.
  std::atomic<std::uint64_t> job{0};
  std::atomic<int> running{0};
  std::atomic<bool> stop{false};
  int members = 0;
  std::int64_t rows = 0, quantum = ShardPlan::row_quantum;
  const std::function<void(Context&, const ShardPlan&)>* body = nullptr;
  std::mutex mutex;
  std::condition_variable wake;
  std::exception_ptr error;

  template <class Target>
  void start(int threads, Target target) {
    if (threads < 0)
      throw ConfigError(fmt::format("threads is {}, expected 0 (all processors) or more", threads));
    if (threads == 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    for (int i = 0; i < threads; ++i) contexts.push_back(std::make_unique<Context>(target));
    state = std::make_unique<TeamState>(threads);
    if (threads > static_cast<int>(std::thread::hardware_concurrency())) state->spins = 1;
    for (int i = 1; i < threads; ++i) workers.emplace_back([this, i] { work(i); });
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stop.store(true, std::memory_order_release);
      job.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
    for (auto& w : workers) w.join();
  }

  void member(int rank) {
    Context& context = *contexts[static_cast<std::size_t>(rank)];
    context.team_ = Team(state.get(), rank, members);
    context.batch_ = ShardPlan::make(rows, rank, members, quantum);
    context.in_team_ = true;
    const ShardPlan plan = context.batch_;
    try {
      Workspace::Scope scope(context.workspace());
      (*body)(context, plan);
    } catch (const TeamAborted&) {
    } catch (...) {
      {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
      state->abort();
    }
    context.in_team_ = false;
    context.team_ = Team();
  }

  void work(int rank) {
    std::uint64_t seen = 0;
    for (;;) {
      const auto published = [&] { return job.load(std::memory_order_acquire) != seen; };
      if (!spin_until(published, state->spins)) {
        std::unique_lock lock(mutex);
        wake.wait(lock, published);
      }
      seen = job.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_acquire)) return;
      if (rank < members) member(rank);
      if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) running.notify_one();
    }
  }

  void run(std::int64_t batch_rows, const std::function<void(Context&, const ShardPlan&)>& what,
           std::int64_t shard_quantum) {
    const auto shards = ShardPlan::make(batch_rows, 0, 1, shard_quantum).total_shards;
    members = static_cast<int>(std::max<std::int64_t>(
        1, std::min<std::int64_t>(shards, static_cast<std::int64_t>(contexts.size()))));
    rows = batch_rows;
    quantum = shard_quantum;
    body = &what;
    error = nullptr;
    state->aborted.store(false, std::memory_order_relaxed);
    state->arrived.store(0, std::memory_order_relaxed);
    if (members > 1) {
      {
        const std::lock_guard lock(mutex);
        running.store(static_cast<int>(workers.size()), std::memory_order_relaxed);
        job.fetch_add(1, std::memory_order_acq_rel);
      }
      wake.notify_all();
      member(0);
      for (int left = running.load(std::memory_order_acquire); left != 0;
           left = running.load(std::memory_order_acquire)) {
        if (!spin_until([&] { return running.load(std::memory_order_acquire) != left; }, state->spins))
          running.wait(left, std::memory_order_acquire);
      }
    } else {
      member(0);
    }
    if (error) std::rethrow_exception(error);
  }
};

TeamPool::TeamPool(int threads, Device device) : impl_(std::make_unique<Impl>()) {
  impl_->start(device.kind == DeviceKind::cuda ? 1 : threads, device);
}
TeamPool::TeamPool(int threads, Backend backend) : impl_(std::make_unique<Impl>()) {
  impl_->start(threads, backend);
}
TeamPool::~TeamPool() = default;
int TeamPool::threads() const {
  return static_cast<int>(impl_->contexts.size());
}
Device TeamPool::device() const {
  return impl_->contexts.front()->device();
}
Context& TeamPool::main() {
  return *impl_->contexts.front();
}
Context& TeamPool::context(int rank) {
  return *impl_->contexts.at(static_cast<std::size_t>(rank));
}
void TeamPool::run(std::int64_t rows, const std::function<void(Context&, const ShardPlan&)>& body,
                   std::int64_t quantum) {
  impl_->run(rows, body, quantum);
}

}  // namespace emshap
