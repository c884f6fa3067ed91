#pragma once
// The ends of the partitions of a consumer, asked for beside its reading.
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "stream/kafka_owned.h"

namespace emshap::stream {

/// Asks the leaders, on a thread of its own, for the ends of our partitions.
///
/// This also keeps reading fast: once librdkafka's queue was full, version 2.0 looks up to a second later
/// whether there is room again, unless something else wakes the thread of that broker, as this request does.
class EndsAsker {
 public:
  EndsAsker(rd_kafka_t* kafka, std::string topic)
      : kafka_(kafka), topic_(std::move(topic)), thread_([this] { work(); }) {}
  ~EndsAsker() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  EndsAsker(const EndsAsker&) = delete;
  EndsAsker& operator=(const EndsAsker&) = delete;

  void set_partitions(std::set<std::int32_t> partitions) {
    const std::lock_guard lock(mutex_);
    partitions_ = std::move(partitions);
    ends_.clear();
  }
  void ask() {
    {
      const std::lock_guard lock(mutex_);
      wanted_ = true;
    }
    changed_.notify_all();
  }
  std::int64_t end(std::int32_t partition) const {
    const std::lock_guard lock(mutex_);
    const auto found = ends_.find(partition);
    return found == ends_.end() ? -1 : found->second;
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return ending_ || wanted_; });
      if (ending_) return;
      wanted_ = false;
      if (partitions_.empty()) continue;
      const Owned<rd_kafka_topic_partition_list_t> l(
          rd_kafka_topic_partition_list_new(static_cast<int>(partitions_.size())));
      for (const std::int32_t p : partitions_)
        rd_kafka_topic_partition_list_add(l.get(), topic_.c_str(), p)->offset = RD_KAFKA_OFFSET_END;
      lock.unlock();
      rd_kafka_offsets_for_times(kafka_, l.get(), 500);
      lock.lock();
      for (int i = 0; i < l->cnt; ++i)
        if (l->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR && l->elems[i].offset >= 0 &&
            partitions_.contains(l->elems[i].partition))
          ends_[l->elems[i].partition] = l->elems[i].offset;
    }
  }

  rd_kafka_t* const kafka_;
  const std::string topic_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::int32_t> partitions_;
  std::map<std::int32_t, std::int64_t> ends_;
  bool wanted_ = false, ending_ = false;
  std::thread thread_;
};

}  // namespace emshap::stream
