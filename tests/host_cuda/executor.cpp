#include "executor.h"

#include <ucontext.h>
#include <csetjmp>
#include <cstdlib>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define EMSHAP_PLAIN_SWITCH 0  // AddressSanitizer follows swapcontext, not jumps between stacks
#else
#define EMSHAP_PLAIN_SWITCH 1
#endif

namespace emshap::host_cuda {
namespace {

constexpr std::size_t stack_bytes = 128 * 1024;
constexpr unsigned warp = 32;

enum class State { fresh, ready, at_block, at_warp, done };

struct Fiber;
struct CudaThread {
  State state = State::fresh;
  Fiber* fiber = nullptr;
  unsigned mask = 0;        // of the warp operation it waits at
  std::uint64_t given = 0;  // to other lanes or to the block
};

/// Runs CUDA threads one after another; one that waits keeps it.
struct Fiber {
  std::unique_ptr<char[]> stack{new char[stack_bytes]};
  ucontext_t context{};
  std::jmp_buf at;
  bool entered = false;
};

struct Block {
  const char* name = "";
  const std::function<void()>* body = nullptr;
  std::vector<CudaThread> threads;
  std::vector<unsigned> order;  // in which threads start
  std::size_t next = 0;         // of `order`
  unsigned running = 0;
  Thread where;
  std::vector<std::uint64_t> shared;
  std::string failure;
};

class Machine {
 public:
  Block block;

  void run() {
    for (;;) {
      bool moved = false;
      // Threads that may go on first; one that has not begun needs a fiber of its own only when it waits. The
      // order turns around at each barrier, so that a barrier that is missing shows.
      const std::size_t n = block.threads.size();
      turned_ = !turned_;
      for (std::size_t i = 0; i < n && block.failure.empty(); ++i) {
        const unsigned t = block.order[turned_ ? n - 1 - i : i];
        if (block.threads[t].state != State::ready) continue;
        moved = true;
        resume(*block.threads[t].fiber, t);
      }
      if (block.failure.empty() && block.next < block.order.size()) {
        moved = true;
        resume(*take(), block.order[block.next]);
      }
      if (!block.failure.empty()) return unwind();
      if (!moved && !release()) return;
    }
  }

  /// From within a thread: back to run(), until this thread is ready again.
  void wait(State state) {
    CudaThread& mine = block.threads[block.running];
    mine.state = state;
    mine.fiber = current_;
    const unsigned me = block.running;
    leave();
    set_running(me);
    if (!block.failure.empty()) leave_for_good();
  }

  void set_running(unsigned t) {
    block.running = t;
    block.where.index = {t, 0, 0};
  }

  /// The body of a fiber: threads that have not begun, as long as none of them waits.
  void work() {
    for (;;) {
      while (block.next < block.order.size() && block.failure.empty()) {
        const unsigned t = block.order[block.next++];
        set_running(t);
        block.threads[t].state = State::ready;
        block.threads[t].fiber = current_;
        try {
          (*block.body)();
        } catch (const std::exception& e) {
          if (block.failure.empty()) block.failure = e.what();
        }
        block.threads[block.running].state = State::done;
      }
      idle_.push_back(current_);
      leave();
    }
  }
  [[noreturn]] void leave_for_good() { throw std::logic_error("the block has failed"); }

 private:
  Fiber* take() {
    if (!idle_.empty()) {
      Fiber* f = idle_.back();
      idle_.pop_back();
      return f;
    }
    fibers_.push_back(std::make_unique<Fiber>());
    return fibers_.back().get();
  }

  static void enter(unsigned low, unsigned high) {
    const auto at = static_cast<std::uintptr_t>(low) | (static_cast<std::uintptr_t>(high) << 32);
    reinterpret_cast<Machine*>(at)->work();
  }

  void resume(Fiber& fiber, unsigned t) {
    set_running(t);
    current_ = &fiber;
    if (!fiber.entered) {
      fiber.entered = true;
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.get();
      fiber.context.uc_stack.ss_size = stack_bytes;
      fiber.context.uc_link = nullptr;
      const auto at = reinterpret_cast<std::uintptr_t>(this);
      makecontext(&fiber.context, reinterpret_cast<void (*)()>(&Machine::enter), 2,
                  static_cast<unsigned>(at & 0xffffffffu), static_cast<unsigned>(at >> 32));
#if EMSHAP_PLAIN_SWITCH
      if (_setjmp(home_) == 0) setcontext(&fiber.context);
#else
      swapcontext(&home_context_, &fiber.context);
#endif
      return;
    }
#if EMSHAP_PLAIN_SWITCH
    if (_setjmp(home_) == 0) _longjmp(fiber.at, 1);
#else
    swapcontext(&home_context_, &fiber.context);
#endif
  }
  void leave() {
    Fiber* me = current_;
#if EMSHAP_PLAIN_SWITCH
    if (_setjmp(me->at) == 0) _longjmp(home_, 1);
#else
    swapcontext(&me->context, &home_context_);
#endif
    current_ = me;
  }

  /// Lets threads go on for which what they wait for has come; false when all are done.
  bool release() {
    bool any = false;
    for (std::size_t w = 0; w < block.threads.size(); w += warp) any |= release_warp(w);
    if (any) return true;
    std::size_t at_barrier = 0, done = 0;
    for (const CudaThread& t : block.threads) {
      at_barrier += t.state == State::at_block;
      done += t.state == State::done;
    }
    if (done == block.threads.size()) return false;
    if (at_barrier == block.threads.size()) {
      for (CudaThread& t : block.threads) t.state = State::ready;
      return true;
    }
    block.failure = std::string("kernel ") + block.name + ": " + std::to_string(at_barrier) + " of " +
                    std::to_string(block.threads.size()) + " threads wait at __syncthreads, " +
                    std::to_string(done) + " have ended, the others wait for their warp";
    unwind();
    return false;
  }
  bool release_warp(std::size_t first) {
    bool any = false;
    for (std::size_t i = first; i < first + warp; ++i) {
      if (block.threads[i].state != State::at_warp) continue;
      const unsigned mask = block.threads[i].mask;
      bool all = true;
      for (unsigned l = 0; l < warp && all; ++l)
        if ((mask >> l) & 1u)
          all = block.threads[first + l].state == State::at_warp && block.threads[first + l].mask == mask;
      if (!all) continue;
      for (unsigned l = 0; l < warp; ++l)
        if ((mask >> l) & 1u) block.threads[first + l].state = State::ready;
      any = true;
    }
    return any;
  }
  /// Threads that wait end by an exception, so that what they hold is given back.
  void unwind() {
    for (unsigned t = 0; t < block.threads.size(); ++t)
      if (block.threads[t].fiber != nullptr && block.threads[t].state != State::done)
        resume(*block.threads[t].fiber, t);
  }

  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  Fiber* current_ = nullptr;
  bool turned_ = false;
  std::jmp_buf home_;
#if !EMSHAP_PLAIN_SWITCH
  ucontext_t home_context_{};
#endif
};

thread_local Machine* machine = nullptr;
thread_local std::unique_ptr<Machine> machine_of_thread;

std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void shuffle_order(std::vector<unsigned>& order, std::uint64_t seed) {
  for (std::size_t i = order.size(); i-- > 1;)
    std::swap(order[i], order[mix(seed + 0x9e3779b97f4a7c15u * i) % (i + 1)]);
}

}  // namespace

const Thread& thread() {
  return machine->block.where;
}
int lane() {
  return static_cast<int>(machine->block.where.index.x % warp);
}
void* shared_memory() {
  return machine->block.shared.data();
}

void block_barrier() {
  machine->wait(State::at_block);
}
bool block_any(bool predicate) {
  Block& b = machine->block;
  b.threads[b.running].given = predicate;
  machine->wait(State::at_block);
  bool any = false;
  for (const CudaThread& t : b.threads) any = any || t.given != 0;
  machine->wait(State::at_block);  // before anyone gives anew
  return any;
}

void warp_barrier(unsigned mask) {
  Block& b = machine->block;
  if (((mask >> lane()) & 1u) == 0)
    throw std::logic_error(std::string("kernel ") + b.name + ": a lane waits with a mask without it");
  b.threads[b.running].mask = mask;
  machine->wait(State::at_warp);
}
std::uint64_t exchange(unsigned mask, std::uint64_t value, int from) {
  Block& b = machine->block;
  if (((mask >> (from & 31)) & 1u) == 0)
    throw std::logic_error(std::string("kernel ") + b.name + ": a shuffle reads a lane outside its mask");
  b.threads[b.running].given = value;
  warp_barrier(mask);
  const std::uint64_t got = b.threads[b.running / warp * warp + static_cast<unsigned>(from & 31)].given;
  warp_barrier(mask);
  return got;
}
unsigned ballot(unsigned mask, bool predicate) {
  Block& b = machine->block;
  b.threads[b.running].given = predicate;
  warp_barrier(mask);
  unsigned votes = 0;
  for (unsigned l = 0; l < warp; ++l)
    if ((mask >> l) & 1u) votes |= (b.threads[b.running / warp * warp + l].given != 0 ? 1u : 0u) << l;
  warp_barrier(mask);
  return votes;
}

void run_grid(const char* name, Dim3 blocks, unsigned threads, std::size_t shared_bytes,
              const std::function<void()>& body) {
  if (threads == 0 || threads > 1024 || threads % warp != 0)
    throw std::logic_error(std::string("kernel ") + name + ": " + std::to_string(threads) +
                           " threads a block, expected a multiple of 32 up to 1024");
  if (blocks.x == 0 || blocks.x > 2147483647u || blocks.y == 0 || blocks.y > 65535 || blocks.z == 0 ||
      blocks.z > 65535)
    throw std::logic_error(std::string("kernel ") + name + ": a grid that no GPU takes");
  if (!machine_of_thread) machine_of_thread = std::make_unique<Machine>();
  machine = machine_of_thread.get();
  Block& b = machine->block;
  b.name = name;
  b.body = &body;
  b.failure.clear();
  b.where.threads = {threads, 1, 1};
  b.where.blocks = blocks;
  b.threads.assign(threads, {});
  b.order.resize(threads);
  const std::uint64_t count = std::uint64_t{blocks.x} * blocks.y * blocks.z;
  std::vector<unsigned> order(count <= 4096 ? static_cast<std::size_t>(count) : 0);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<unsigned>(i);
  shuffle_order(order, count + threads);
  // Words beyond what was asked for keep this value; NaN as float and as double within.
  constexpr std::uint64_t poison = 0xfff8dead'fff8dead, guard = 0x5ca1ab1e'0ddba115;
  const std::size_t words = (shared_bytes + 7) / 8;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t n = order.empty() ? i : order[static_cast<std::size_t>(i)];
    b.where.block = {static_cast<unsigned>(n % blocks.x), static_cast<unsigned>(n / blocks.x % blocks.y),
                     static_cast<unsigned>(n / blocks.x / blocks.y)};
    b.shared.assign(words + 8, guard);
    for (std::size_t w = 0; w < words; ++w) b.shared[w] = poison;
    for (CudaThread& t : b.threads) t = {};
    for (unsigned t = 0; t < threads; ++t) b.order[t] = t;
    shuffle_order(b.order, n * 977 + threads);
    b.next = 0;
    machine->run();
    for (std::size_t w = words; w < b.shared.size() && b.failure.empty(); ++w)
      if (b.shared[w] != guard)
        b.failure = std::string("kernel ") + name + ": wrote beyond its " + std::to_string(shared_bytes) +
                    " bytes of shared memory";
    if (!b.failure.empty()) throw std::logic_error(b.failure);
  }
}

}  // namespace emshap::host_cuda
