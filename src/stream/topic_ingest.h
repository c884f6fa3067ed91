#pragma once
// The loop over a topic: poll, decode, hand over; assignments, gaps and conflicts.
#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "stream/ingest_shared.h"

namespace emshap::stream {

inline constexpr std::size_t most_at_once = 4096;  ///< messages of one poll

/// One partition of ours.
struct Partition {
  std::int64_t next = 0;         // offset of the next record to take
  std::uint32_t generation = 0;  // of the writer's
  int range = -1;                // in the open parcel
  bool assigned = false;
  bool waiting = false;     // to be sought: what comes before is of no use
  bool proven = false;      // a record came since reading began here, or the jump came twice
  bool lost_place = false;  // the broker does not have `next`
};

class TopicIngest {
 public:
  TopicIngest(FeatureStore& store, const KafkaOptions& kafka, const IngestOptions& options,
              IngestReport& report, ProgressSink& sink, const StopToken& stop)
      : options_(options),
        kafka_(kafka),
        report_(report),
        sink_(sink),
        stop_(stop),
        decoder_(options.acceptance),
        consumer_(kafka, sink),
        writer_(store, {options.ahead_bytes, options.store_seconds, options.store_name}, stop) {}

  void run();

 private:
  void step();

  bool known(std::int32_t p) const {
    return p >= 0 && static_cast<std::size_t>(p) < partitions_.size() &&
           partitions_[static_cast<std::size_t>(p)].assigned;
  }
  template <class F>
  void each_assigned(F&& f) {
    for (std::size_t i = 0; i < partitions_.size(); ++i)
      if (partitions_[i].assigned) f(static_cast<std::int32_t>(i), partitions_[i]);
  }
  std::map<std::int32_t, std::int64_t> places() {
    std::map<std::int32_t, std::int64_t> all;
    each_assigned([&](std::int32_t i, const Partition& p) { all[i] = p.next; });
    return all;
  }
  bool enough() const {
    return options_.messages > 0 && report_.received - report_.discarded >= options_.messages;
  }

  // Messages (topic_messages.cpp)
  void take_messages(std::span<const KafkaMessage> messages);
  Range& range_of(std::int32_t i, Partition& p);
  /// The record after next is not `next`. Right after reading began, or began anew, it is fetched once more
  /// before it is believed. False: wait.
  bool jump(std::int32_t i, Partition& p, std::int64_t offset);
  void gap(std::int32_t i, Partition& p, std::int64_t next, const char* cause);
  /// Partitions whose next offset the broker does not have: older ones were removed, or the topic is another.
  void find_lost_places();
  void seek_waiting();

  // Handing over to the writer (topic_writing.cpp)
  bool open_due() const;
  /// Blocks until the writer has room; when that takes long, partitions are paused and polling goes on, so
  /// that the group keeps us.
  void hand_over();
  void drop_open(const std::vector<std::int32_t>& partitions);
  void take_written();
  /// After an error that is not the store's, what has been decoded is written all the same.
  void save() noexcept;
  void flush();

  // The group (topic_group.cpp)
  void assigned(const std::vector<std::int32_t>& partitions);
  std::map<std::int32_t, std::int64_t> first_places(const std::vector<std::int32_t>& fresh);
  void revoked(const Rebalance& change);

  // The end, and what is told (ingest_topic.cpp)
  bool ended();
  bool idle();
  /// Records of our partitions that have not been taken; -1 when the broker has not told of one of them yet.
  std::int64_t lag();
  void look();
  void finish_counts();

  const IngestOptions& options_;
  const KafkaOptions& kafka_;
  IngestReport& report_;
  ProgressSink& sink_;
  const StopToken& stop_;
  Decoder decoder_;
  KafkaConsumer consumer_;
  BatchWriter writer_;
  Parcel open_;
  std::vector<Partition> partitions_;
  std::map<std::int32_t, std::int64_t> to_commit_;
  Clock::time_point opened_{}, begun_{}, start_{}, last_message_{}, next_commit_{}, next_look_{},
      next_lost_{};
  std::int64_t gaps_told_ = 0;
  bool joined_ = false, outage_ = false, waited_ = false;
};

}  // namespace emshap::stream
