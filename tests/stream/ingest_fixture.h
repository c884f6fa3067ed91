#pragma once
// librdkafka's mock cluster within the test, a producer, and a store in memory.
#include <librdkafka/rdkafka.h>
// After rdkafka.h, which it needs:
#include <librdkafka/rdkafka_mock.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "emshap/core/error.h"
#include "emshap/stream/ingest.h"

namespace emshap::test {

/// A configuration for tests; the values are those of rd_kafka_conf_set().
inline rd_kafka_conf_t* test_conf(const std::vector<std::pair<const char*, std::string>>& settings) {
  char text[512] = "";
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
  for (const auto& [key, value] : settings)
    REQUIRE(rd_kafka_conf_set(conf, key, value.c_str(), text, sizeof text) == RD_KAFKA_CONF_OK);
  return conf;
}

/// Brokers on loopback.
class MockCluster {
 public:
  MockCluster() {
    host_ = rd_kafka_new(RD_KAFKA_PRODUCER, test_conf({}), nullptr, 0);
    REQUIRE(host_ != nullptr);
    cluster = rd_kafka_mock_cluster_new(host_, 1);
    REQUIRE(cluster != nullptr);
  }
  ~MockCluster() {
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host_);
  }
  MockCluster(const MockCluster&) = delete;
  MockCluster& operator=(const MockCluster&) = delete;

  rd_kafka_mock_cluster_t* cluster = nullptr;

 private:
  rd_kafka_t* host_ = nullptr;
};

/// A cluster with one topic, and a producer that writes to a partition of its choice.
class MockKafka {
 public:
  explicit MockKafka(int partitions) {
    rd_kafka_mock_topic_create(cluster, topic.c_str(), partitions, 1);
    producer_ = rd_kafka_new(RD_KAFKA_PRODUCER,
                             test_conf({{"bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster)},
                                        {"linger.ms", "1"},
                                        {"batch.num.messages", "200"}}),
                             nullptr, 0);
    REQUIRE(producer_ != nullptr);
  }
  ~MockKafka() { rd_kafka_destroy(producer_); }
  MockKafka(const MockKafka&) = delete;
  MockKafka& operator=(const MockKafka&) = delete;

  void produce(std::int32_t partition, const std::string& bytes) {
    while (rd_kafka_producev(producer_, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(partition),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_VALUE(const_cast<char*>(bytes.data()), bytes.size()),
                             RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
      rd_kafka_poll(producer_, 10);
  }
  /// `count` good messages of a partition with times from `first` on; node "n<partition>".
  void produce_samples(std::int32_t partition, std::int64_t first, std::int64_t count) {
    stream::Sample sample;
    sample.node_id = "n" + std::to_string(partition);
    sample.power_consumption = 100;
    sample.metrics.fill(1);
    std::string bytes;
    for (std::int64_t i = first; i < first + count; ++i) {
      sample.time = 1'000'000 + i;
      bytes.clear();
      stream::encode(sample, bytes);
      produce(partition, bytes);
    }
  }
  void flush() { REQUIRE(rd_kafka_flush(producer_, 10000) == RD_KAFKA_RESP_ERR_NO_ERROR); }

  /// The mock cluster lets the first member of a group wait for 3 s, and forgets it meanwhile if its session
  /// is shorter; the next ones wait for a second less than the session.
  stream::KafkaOptions options() const {
    stream::KafkaOptions o;
    o.brokers = rd_kafka_mock_cluster_bootstraps(cluster);
    o.topic = topic;
    o.group = "test";
    o.properties = {{"fetch.wait.max.ms", "10"},
                    {"session.timeout.ms", "6000"},
                    {"heartbeat.interval.ms", "50"},
                    {"reconnect.backoff.max.ms", "200"}};
    return o;
  }

 private:
  const MockCluster held_;

 public:
  const std::string topic = "raw_metrics";
  rd_kafka_mock_cluster_t* const cluster = held_.cluster;

 private:
  rd_kafka_t* producer_ = nullptr;
};

/// Keeps everything in memory, checks each batch as a database does, and fails or waits when told to. For
/// several threads.
class MemoryStore final : public stream::FeatureStore {
 public:
  stream::CommitResult commit(const stream::Batch& batch, const std::string& fingerprint) override {
    if (before_commit) before_commit(batch);
    const std::lock_guard lock(mutex_);
    stream::CommitResult result;
    for (const stream::Range& r : batch.ranges) {
      const auto found = places_.find(r.partition);
      if (found != places_.end() && found->second.next_offset != r.first)
        result.conflicts[r.partition] = found->second.next_offset;
    }
    if (!result.written()) return result;
    for (const stream::Sample& s : batch.samples) {
      twice_ += records_[s.partition].insert(s.offset).second ? 0 : 1;
      if (keys_.insert({s.time, s.node_id}).second)
        ++result.stored;
      else
        ++result.repeated;
    }
    for (const stream::Rejected& r : batch.rejected) {
      twice_ += records_[r.partition].insert(r.offset).second ? 0 : 1;
      ++result.quarantined;
    }
    for (const stream::Gap& g : batch.gaps) {
      gaps_.push_back(g);
      ++result.gaps;
      result.missed += g.next - g.first;
    }
    for (const stream::Range& r : batch.ranges) places_[r.partition] = {r.next, fingerprint};
    ++commits_;
    return result;
  }
  std::map<std::int32_t, stream::Position> positions(const std::string&) override {
    if (before_positions) before_positions();
    const std::lock_guard lock(mutex_);
    return places_;
  }
  void read(const stream::RowFilter&, const stream::Sample*, std::int64_t,
            std::vector<stream::Sample>& rows) override {
    rows.clear();
  }
  std::int64_t count(const stream::RowFilter&) override { return 0; }
  void scan_quarantine(std::int64_t, const std::function<void(const stream::Quarantined&)>&) override {}
  stream::StoreSummary summary() override { return {}; }
  std::pair<std::int64_t, std::int64_t> prune(std::int64_t) override { return {}; }

  void put(std::int32_t partition, std::int64_t offset) {
    const std::lock_guard lock(mutex_);
    places_[partition] = {offset, {}};
  }
  std::int64_t place(std::int32_t partition) {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(partition);
    return found == places_.end() ? -1 : found->second.next_offset;
  }
  std::int64_t records() {
    const std::lock_guard lock(mutex_);
    std::int64_t n = 0;
    for (const auto& [partition, offsets] : records_) n += static_cast<std::int64_t>(offsets.size());
    return n;
  }
  std::set<std::int64_t> offsets(std::int32_t partition) {
    const std::lock_guard lock(mutex_);
    return records_[partition];
  }
  std::int64_t twice() {
    const std::lock_guard lock(mutex_);
    return twice_;
  }
  std::int64_t commits() {
    const std::lock_guard lock(mutex_);
    return commits_;
  }
  std::vector<stream::Gap> gaps() {
    const std::lock_guard lock(mutex_);
    return gaps_;
  }

  std::function<void(const stream::Batch&)> before_commit;  ///< set before the run; may throw or sleep
  std::function<void()> before_positions;                   ///< the same

 private:
  std::mutex mutex_;
  std::map<std::int32_t, stream::Position> places_;
  std::map<std::int32_t, std::set<std::int64_t>> records_;
  std::set<std::pair<std::int64_t, std::string>> keys_;
  std::vector<stream::Gap> gaps_;
  std::int64_t twice_ = 0, commits_ = 0;
};

/// Keeps log lines.
class LogSink final : public ProgressSink {
 public:
  void log(LogLevel level, const std::string& text) override {
    const std::lock_guard lock(mutex_);
    if (std::getenv("EMSHAP_TEST_LOG") != nullptr) std::fprintf(stderr, "%s\n", text.c_str());
    text_ += (level == LogLevel::warning ? "warning: "
              : level == LogLevel::debug ? "debug: "
                                         : "") +
             text + "\n";
  }
  bool says(const std::string& part) {
    const std::lock_guard lock(mutex_);
    return text_.find(part) != std::string::npos;
  }
  std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  std::mutex mutex_;
  std::string text_;
};

/// Waits for a condition, some seconds at most.
inline bool wait_for(const std::function<bool()>& condition, double seconds = 20) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

inline stream::IngestOptions quick() {
  stream::IngestOptions o;
  o.batch_seconds = .05;
  o.connect_seconds = 10;
  o.store_seconds = 10;
  return o;
}
inline stream::IngestOptions until_idle() {
  stream::IngestOptions o = quick();
  o.until_idle = .3;
  return o;
}

/// Runs all at once: most of their time they wait for the group. What a body throws is a failure.
inline void together(const std::vector<std::pair<const char*, std::function<void()>>>& scenarios) {
  std::vector<std::thread> threads;
  for (const auto& [name, body] : scenarios)
    threads.emplace_back([name = name, body = body] {
      INFO(name);
      try {
        body();
      } catch (const std::exception& e) {
        FAIL_CHECK(e.what());
      } catch (...) {  // REQUIRE
      }
    });
  for (std::thread& thread : threads) thread.join();
}

/// A consumer on a thread of its own.
struct RunningIngest {
  stream::IngestReport report;
  LogSink log;
  StopToken stop;
  std::string error;
  ErrorKind kind = ErrorKind::internal;
  std::thread thread;

  RunningIngest(stream::FeatureStore& store, stream::KafkaOptions kafka, stream::IngestOptions options)
      : thread([this, &store, kafka = std::move(kafka), options = std::move(options)] {
          try {
            ingest_topic(store, kafka, options, report, log, stop);
          } catch (const Error& e) {
            error = e.what();
            kind = e.kind();
          }
        }) {}
  ~RunningIngest() { end(); }
  void end() {
    stop.request_stop();
    join();
  }
  void join() {
    if (thread.joinable()) thread.join();
  }
};

}  // namespace emshap::test
