#pragma once
// Writes batches into a store on a thread of its own, in order, with a bounded queue in front.
//
// Every partition has a generation number. renew() makes all that was queued of a partition stale; stale
// records are dropped before they reach the store. A conflict renews the partition's generation too.
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "emshap/core/progress.h"
#include "emshap/stream/feature_store.h"

namespace emshap::stream {

struct Parcel {
  Batch batch;
  std::vector<std::uint32_t> generations;  ///< of batch.ranges, in their order
  std::string fingerprint;                 ///< of a file
  std::int64_t bytes = 0;                  ///< memory, roughly

  /// Removes all that belongs to these partitions; returns the number of records.
  std::int64_t remove(const std::vector<std::int32_t>& partitions);
  void clear();
};

/// What has been done since the last time somebody asked.
struct Written {
  std::int64_t stored = 0, rejected = 0, repeated = 0, discarded = 0, gaps = 0, missed = 0;
  std::int64_t batches = 0, conflicts = 0, retries = 0;
  std::array<std::int64_t, reason_count> reasons{};
  std::map<std::int32_t, std::int64_t> positions;  ///< next offsets, as they are in the store now
  std::map<std::int32_t, std::int64_t> moved;      ///< by others, to these offsets
  std::vector<std::pair<LogLevel, std::string>> lines;
};

class BatchWriter {
 public:
  using Milliseconds = std::chrono::milliseconds;
  struct Options {
    std::int64_t most_bytes = 64 << 20;  ///< queued; one parcel always has room
    double retry_seconds = 60;
    std::string store_name;
  };

  /// `store` and `stop` are kept by reference; nobody else uses the store meanwhile.
  BatchWriter(FeatureStore& store, Options options, const StopToken& stop);
  ~BatchWriter();  ///< what still waits is dropped

  /// An empty parcel, with memory of earlier ones.
  Parcel blank(const std::string& topic);
  /// Hands a parcel over; false, with the parcel as it was, when there was no room in time. Throws what
  /// ended the writer.
  bool push(Parcel& parcel, Milliseconds wait);
  /// True when all that was handed over has been written or dropped. Throws what ended the writer.
  bool drain(Milliseconds wait);
  /// Asks the store, in order with the batches, and as patiently. Throws what ended the writer.
  std::map<std::int32_t, Position> positions(const std::string& topic);

  std::uint32_t generation(std::int32_t partition);
  std::uint32_t renew(std::int32_t partition);
  Written take();
  /// Throws what ended the writer, if something did.
  void check();

 private:
  struct Job {
    Parcel parcel;
    const std::string* topic = nullptr;  // set: a question for positions
  };
  void work();
  void write(Parcel& parcel);
  bool commit(Parcel& parcel);
  bool insist(const char* what, const std::function<void()>& use);
  bool pause(double seconds);
  void rethrow();  // with the lock held

  FeatureStore& store_;
  const Options options_;
  const StopToken& stop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> queue_;
  std::vector<Parcel> spare_;
  std::int64_t queued_bytes_ = 0;
  bool busy_ = false, ending_ = false;
  bool stopped_in_pause_ = false;  // of the writer's thread only
  std::map<std::int32_t, std::uint32_t> generations_;
  Written written_;
  std::optional<std::map<std::int32_t, Position>> answer_;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace emshap::stream
