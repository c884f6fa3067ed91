#pragma once
// Where and how ops run: device, instruction-set level, scratch memory and the team of threads that share a
// batch.
//
// SPMD: the members of a team run the same code, each on its own Context and its own rows. Rows of a batch
// are cut into shards whose size depends on the batch only, never on the number of threads; a member owns a
// contiguous run of shards. Sums over all rows are formed as one partial per shard, added in shard order, so
// that the bits of a result do not depend on the number of threads.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "emshap/core/device.h"
#include "emshap/core/export.h"

namespace emshap {
namespace cuda {
struct DeviceState;
}

/// One shard: rows [begin, begin + rows) of the local rows; `index` counts over the whole batch.
struct Shard {
  std::int64_t index = 0;
  std::int64_t begin = 0;
  std::int64_t rows = 0;
};

/// How the rows of a batch are cut. `local_*` is what one member owns.
struct ShardPlan {
  std::int64_t total_rows = 0;
  std::int64_t shard_rows = 0;  ///< rows of every shard but possibly the last
  std::int64_t total_shards = 0;
  std::int64_t first_shard = 0;  ///< first local shard
  std::int64_t local_shards = 0;
  std::int64_t row_begin = 0;  ///< first local row, counted over the batch
  std::int64_t local_rows = 0;

  /// The i-th local shard, 0 <= i < local_shards.
  Shard shard(std::int64_t i) const {
    const std::int64_t begin = i * shard_rows;
    const std::int64_t left = local_rows - begin;
    return {first_shard + i, begin, left < shard_rows ? left : shard_rows};
  }

  static constexpr std::int64_t row_quantum = 64;  ///< whole register tiles, whole cache lines
  /// The plan of member `rank` of `size` for a batch of `rows` rows: at most 32 shards of a multiple of
  /// `quantum` rows.
  static EMSHAP_API ShardPlan make(std::int64_t rows, int rank, int size, std::int64_t quantum = row_quantum);
  /// A quantum for steps that take long per row and meet only once: 16 to 64 rows, so that up to four members
  /// share a batch of 64 rows.
  static EMSHAP_API std::int64_t fine_quantum(std::int64_t rows);
  /// The same plan with every row standing for `factor` consecutive rows (e.g. 17 energy rows a sample).
  ShardPlan times(std::int64_t factor) const;
};

/// Bump allocator for scratch memory inside ops; memory is kept and reused, 64-byte aligned.
class EMSHAP_API Workspace {
 public:
  explicit Workspace(Device device = {});
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// Uninitialised elements, valid until the enclosing Scope ends.
  template <class T>
  T* take(std::int64_t count) {
    return static_cast<T*>(take_bytes(count * static_cast<std::int64_t>(sizeof(T))));
  }
  void* take_bytes(std::int64_t bytes);

  /// Gives back at its end all that was taken since its start.
  class Scope {
   public:
    explicit Scope(Workspace& workspace);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Workspace& workspace_;
    std::size_t block_;
    std::int64_t used_;
  };

 private:
  struct Block {
    void* data;
    std::int64_t size;
  };
  Device device_;
  std::vector<Block> blocks_;
  std::size_t block_ = 0;
  std::int64_t used_ = 0;
};

struct TeamState;

/// A member's handle on its team. All members must make the same sequence of calls.
class EMSHAP_API Team {
 public:
  Team() = default;
  Team(TeamState* state, int rank, int size) : state_(state), rank_(rank), size_(size) {}
  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Waits for all members; what they wrote before is visible afterwards.
  void barrier();
  /// Publishes `mine` and waits for all: element r is what member r published. Valid until the next exchange.
  std::span<void* const> exchange(void* mine);

 private:
  TeamState* state_ = nullptr;
  int rank_ = 0;
  int size_ = 1;
  bool parity_ = false;
  void* alone_ = nullptr;  // what a team of one has published
};

/// Called on each op when set: name of the op. For tests and profiling; may be called from several threads.
using TraceFunction = std::function<void(const char* op)>;

class EMSHAP_API Context {
 public:
  /// A context for one thread, alone in its team. Throws DeviceError when the device cannot be used.
  explicit Context(Device device = {});
  /// The same with a given instruction-set level (CPU). Throws ConfigError when it is not available.
  explicit Context(Backend backend);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Device device() const { return device_; }
  Backend backend() const { return backend_; }
  Workspace& workspace() { return workspace_; }
  Team& team() { return team_; }

  /// How `rows` local rows are cut. Alone in its team a context cuts any number of rows. In a larger team the
  /// batch was announced by TeamPool::run, and `rows` must be a multiple of the local rows of that batch.
  /// Throws ShapeError.
  ShardPlan plan(std::int64_t rows) const;

  void set_trace(TraceFunction trace) { trace_ = std::move(trace); }
  const TraceFunction& trace() const { return trace_; }
  /// The CUDA stream of this context (cudaStream_t), null on the CPU.
  void* stream() const { return stream_; }
  /// What the CUDA backend keeps for this context (library handles and their memory): src/cuda makes it when
  /// first needed, and it ends before the stream. For src/cuda only.
  std::shared_ptr<cuda::DeviceState>& device_state() { return device_state_; }
  /// Waits until all work of this context is done; nothing to do on the CPU.
  void synchronize();

 private:
  friend class TeamPool;
  Device device_;
  Backend backend_;
  Workspace workspace_;
  Team team_;
  ShardPlan batch_;
  bool in_team_ = false;
  TraceFunction trace_;
  void* stream_ = nullptr;
  std::shared_ptr<cuda::DeviceState> device_state_;
};

/// A persistent pool of threads that run teams; threads spin briefly, then sleep. The calling thread is
/// member 0.
class EMSHAP_API TeamPool {
 public:
  /// `threads` >= 1 members at most; 0 means all processors. CUDA pools have one member.
  explicit TeamPool(int threads = 1, Device device = {});
  TeamPool(int threads, Backend backend);
  ~TeamPool();
  TeamPool(const TeamPool&) = delete;
  TeamPool& operator=(const TeamPool&) = delete;

  int threads() const;
  Device device() const;
  /// Context of member 0, for work outside teams.
  Context& main();
  Context& context(int rank);

  /// Runs body(context, plan) on a team for a batch of `rows` rows, each member with its local rows; uses no
  /// more members than there are shards. An exception of a member is thrown here once all have stopped; a
  /// member that throws releases the others from their barriers. One run at a time: not from several threads
  /// and not from within `body`. Shards are multiples of `quantum` rows.
  void run(std::int64_t rows, const std::function<void(Context&, const ShardPlan&)>& body,
           std::int64_t quantum = ShardPlan::row_quantum);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap
