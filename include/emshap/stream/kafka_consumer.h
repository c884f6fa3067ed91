#pragma once
// A member of a consumer group that reads one topic, by librdkafka, with offsets kept elsewhere: it begins
// where its caller says, never resets offsets by itself, and what it commits to Kafka is a hint only.
//
// Used by one thread. Librdkafka's log lines reach the sink from within poll().
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/core/progress.h"
#include "emshap/stream/kafka_properties.h"

namespace emshap::stream {

struct KafkaOptions {
  std::string brokers = "localhost:9092";
  std::string topic = "raw_metrics";
  std::string group = "ml_training_consumer";
  KafkaProperties properties;
};

struct KafkaMessage {
  const char* data = nullptr;  ///< the value
  std::size_t size = 0;
  std::int64_t offset = 0;
  std::int32_t partition = 0;
};

/// A change of the group, to be answered by take() or give_up() before the next poll().
struct Rebalance {
  bool assigned = false;  ///< else revoked
  bool lost = false;      ///< revoked after the fact: another member may have them already
  std::vector<std::int32_t> partitions;
};

struct Polled {
  std::span<const KafkaMessage> messages;  ///< valid until the next poll()
  std::vector<std::int32_t> out_of_range;  ///< partitions whose next offset the broker does not have
  std::optional<Rebalance> rebalance;      ///< after the messages
};

/// First offset there is and the one after the last.
struct Watermarks {
  std::int64_t low = 0, high = 0;
};

class EMSHAP_API KafkaConsumer {
 public:
  /// Throws ConfigError for an unknown property or a bad value, naming it.
  KafkaConsumer(const KafkaOptions& options, ProgressSink& sink);
  ~KafkaConsumer();  ///< leaves the group if leave() was not called; waits some seconds at most

  /// Waits for a broker and the topic; returns its number of partitions, 0 when stopped. Throws IoError
  /// (environment) after `seconds`, naming brokers or topic and the last error.
  std::int32_t connect(double seconds, const StopToken& stop);
  void subscribe();
  /// At most `most` messages; returns when there are so many or after `milliseconds`. Throws IoError
  /// (environment) for errors that do not pass: no permission, fenced.
  const Polled& poll(std::size_t most, int milliseconds);

  /// Answers an assignment: where each of its partitions begins.
  void take(const std::map<std::int32_t, std::int64_t>& offsets);
  /// Answers a revocation.
  void give_up(const std::vector<std::int32_t>& partitions);
  /// Partitions go on at these offsets; what had been fetched of them is dropped. `all`: where every
  /// partition stands, needed when one had come to rest with an error.
  void seek(const std::map<std::int32_t, std::int64_t>& offsets,
            const std::map<std::int32_t, std::int64_t>& all);
  void pause(const std::vector<std::int32_t>& partitions);
  void resume(const std::vector<std::int32_t>& partitions);

  /// Asks the broker; empty when it does not answer in time.
  std::optional<Watermarks> ask_watermarks(std::int32_t partition, int milliseconds);
  /// First (or end) offsets of partitions, in one request a broker; those that it could not tell are left
  /// out.
  std::map<std::int32_t, std::int64_t> ask_ends(const std::vector<std::int32_t>& partitions, bool first,
                                                int milliseconds);
  /// The end as of the last answer of the broker; -1 before the first.
  std::int64_t known_end(std::int32_t partition) const;

  /// Tells Kafka, without waiting, that the records before these offsets are done.
  void commit(const std::map<std::int32_t, std::int64_t>& offsets);
  std::int64_t commits_failed() const;
  /// No broker answers at the moment.
  bool outage() const;
  int max_poll_interval_ms() const;
  /// Leaves the group; waits at most `milliseconds`.
  void leave(int milliseconds);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap::stream
