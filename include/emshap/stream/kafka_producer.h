#pragma once
// Publishes messages to a Kafka topic: idempotent, every message acknowledged or counted as failed.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "emshap/core/export.h"
#include "emshap/core/progress.h"
#include "emshap/stream/kafka_properties.h"

namespace emshap::stream {

struct ProducerOptions {
  std::string brokers = "localhost:9092";
  std::string topic = "raw_metrics";
  std::string compression = "none";  ///< none, gzip, snappy, lz4 or zstd
  KafkaProperties properties;        ///< librdkafka's; they have the last word
  /// A consumer group that is not left behind: sending waits while a partition has more than `most_ahead`
  /// bytes that the group has not committed. For topics that drop old messages early. Empty: never wait.
  std::string ahead_of;
  std::int64_t most_ahead = 3 << 20;
};

/// What became of one message.
struct Delivery {
  std::int32_t partition = 0;
  std::int64_t offset = 0;  ///< where it stands in the topic
  std::string_view bytes;   ///< valid during the call
  std::uint64_t tag = 0;    ///< as given to send()
  std::string error;        ///< empty: acknowledged by all replicas
};

/// For one thread; deliveries and log lines are reported from within its calls. Messages with one key go to
/// one partition (murmur2 as in Java clients) and stay in order.
class EMSHAP_API KafkaProducer {
 public:
  /// Throws ConfigError for an unknown property or value, IoError (environment) when no broker answers within
  /// 10 s or the topic cannot be had.
  KafkaProducer(const ProducerOptions& options, const StopToken& stop, ProgressSink& sink = null_sink(),
                std::function<void(const Delivery&)> delivered = {});
  ~KafkaProducer();
  KafkaProducer(const KafkaProducer&) = delete;
  KafkaProducer& operator=(const KafkaProducer&) = delete;

  /// Queues a copy of the message; waits while the queue is full or the group is too far behind. Throws
  /// Interrupted when asked to stop while it waits, IoError (environment) when the producer cannot go on.
  void send(std::string_view key, std::string_view bytes, std::uint64_t tag = 0);
  /// Takes reports of deliveries; waits for one for at most so long.
  void poll(int milliseconds = 0);
  /// Waits until every message was acknowledged or has failed (librdkafka's message.timeout.ms).
  void flush();

  std::int32_t partitions() const;
  std::int64_t sent() const;
  std::int64_t acknowledged() const;
  std::int64_t failed() const;
  const std::string& first_error() const;  ///< of the failed ones

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap::stream
