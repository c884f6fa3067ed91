#pragma once
// What a KafkaConsumer holds, and what librdkafka calls it with.
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "emshap/stream/kafka_consumer.h"
#include "stream/ends_asker.h"
#include "stream/kafka_owned.h"

namespace emshap::stream {

struct KafkaConsumer::Impl {
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t almost_empty = 4096;  ///< messages in librdkafka's queue
  static constexpr std::size_t busy_poll = 256;  ///< messages of a poll that shows that there is much to read
  static constexpr std::chrono::milliseconds ask_interval{30}, busy_time{1200};

  KafkaOptions options;
  ProgressSink& sink;
  Owned<rd_kafka_t> kafka;
  Owned<rd_kafka_topic_t> topic;
  Owned<rd_kafka_queue_t> queue;
  std::set<std::int32_t> mine;
  std::unique_ptr<EndsAsker> asker;
  Clock::time_point last_busy{}, next_ask{};
  std::vector<rd_kafka_message_t*> raw;
  std::vector<KafkaMessage> messages;
  std::size_t held = 0;  // of `raw`, to be given back
  Polled polled;
  std::deque<Rebalance> pending;
  std::optional<Rebalance> unanswered;
  std::string last_error, lasting_error;
  bool joined = false, leaving = false, outage = false;
  Clock::time_point next_probe{};
  std::int64_t commits_failed = 0;
  int max_poll_interval_ms = 300000;

  Impl(const KafkaOptions& o, ProgressSink& s) : options(o), sink(s) {}
  ~Impl() { release(); }
  /// When much was read lately and librdkafka has little left, it is to fetch on.
  void ask_for_more() {
    const auto now = Clock::now();
    if (held >= busy_poll) last_busy = now;
    if (now - last_busy > busy_time || now < next_ask || rd_kafka_queue_length(queue.get()) > almost_empty)
      return;
    next_ask = now + ask_interval;
    asker->ask();
  }

  void log(LogLevel level, const std::string& text) {
    sink.log(level, without_secrets(text, options.properties));
  }
  void release() {
    for (std::size_t i = 0; i < held; ++i) rd_kafka_message_destroy(raw[i]);
    held = 0;
  }
  Owned<rd_kafka_topic_partition_list_t> list(const std::map<std::int32_t, std::int64_t>& offsets) const {
    Owned<rd_kafka_topic_partition_list_t> l(
        rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
    for (const auto& [partition, offset] : offsets)
      rd_kafka_topic_partition_list_add(l.get(), options.topic.c_str(), partition)->offset = offset;
    return l;
  }
  Owned<rd_kafka_topic_partition_list_t> list(const std::vector<std::int32_t>& partitions) const {
    Owned<rd_kafka_topic_partition_list_t> l(
        rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
    for (const std::int32_t p : partitions)
      rd_kafka_topic_partition_list_add(l.get(), options.topic.c_str(), p);
    return l;
  }
  bool cooperative() const {
    const char* protocol = rd_kafka_rebalance_protocol(kafka.get());
    return protocol != nullptr && std::string_view(protocol) == "COOPERATIVE";
  }
  void note(const char* what, rd_kafka_error_t* error) {
    const Owned<rd_kafka_error_t> owned(error);
    if (error != nullptr)
      log(LogLevel::warning, fmt::format("Kafka: {}: {}", what, rd_kafka_error_string(error)));
  }
  void note(const char* what, rd_kafka_resp_err_t error) {
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
      log(LogLevel::warning, fmt::format("Kafka: {}: {}", what, rd_kafka_err2str(error)));
  }
  void assign(const rd_kafka_topic_partition_list_t* l) {
    if (cooperative())
      note("assignment", rd_kafka_incremental_assign(kafka.get(), l));
    else
      note("assignment", rd_kafka_assign(kafka.get(), l));
  }
  void unassign(const rd_kafka_topic_partition_list_t* l) {
    if (cooperative())
      note("revocation", rd_kafka_incremental_unassign(kafka.get(), l));
    else
      note("revocation", rd_kafka_assign(kafka.get(), nullptr));
  }

  void on_error(rd_kafka_resp_err_t error, const std::string& reason) {
    if (error == RD_KAFKA_RESP_ERR__FATAL) {
      char text[512] = "";
      rd_kafka_fatal_error(kafka.get(), text, sizeof text);
      lasting_error = text;
      return;
    }
    if (error != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || last_error.empty()) last_error = reason;
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && joined && !outage && !leaving) {
      outage = true;
      next_probe = Clock::now() + std::chrono::seconds(1);
      log(LogLevel::warning, fmt::format("Kafka: no broker of {} answers ({}); trying again until one does",
                                         options.brokers, last_error));
    } else {
      log(LogLevel::debug, fmt::format("Kafka: {}: {}", rd_kafka_err2name(error), reason));
    }
  }
  void on_log(int level, const char* facility, const char* text) {
    // Lost connections are told once, by on_error, and topics are looked for by connect().
    const std::string_view name = facility;
    const bool known = name == "FAIL" || name == "ERROR" || name == "AUTOCREATE";
    log(level <= 4 && !known ? LogLevel::warning : LogLevel::debug,
        fmt::format("librdkafka: {}: {}", facility, text));
  }
  void on_rebalance(rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t* partitions) {
    const bool assigned = error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (leaving) {  // nothing is held any more, but librdkafka waits for an answer
      assigned ? assign(partitions) : unassign(partitions);
      return;
    }
    if (!assigned && error != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
      note("rebalance", error);
      rd_kafka_assign(kafka.get(), nullptr);
      return;
    }
    Rebalance& r = pending.emplace_back();
    r.assigned = assigned;
    r.lost = !assigned && rd_kafka_assignment_lost(kafka.get()) != 0;
    for (int i = 0; i < partitions->cnt; ++i) r.partitions.push_back(partitions->elems[i].partition);
    rd_kafka_yield(kafka.get());
  }
  void on_commit(rd_kafka_resp_err_t error) {
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR__NO_OFFSET) return;
    ++commits_failed;
    log(LogLevel::debug,
        fmt::format("Kafka did not take a commit ({}); the store has the offsets", rd_kafka_err2str(error)));
  }

  Owned<const rd_kafka_metadata_t> metadata(int milliseconds, rd_kafka_resp_err_t& error) {
    const rd_kafka_metadata_t* m = nullptr;
    error = rd_kafka_metadata(kafka.get(), 0, topic.get(), &m, milliseconds);
    return Owned<const rd_kafka_metadata_t>(m);
  }
  void probe() {
    const auto now = Clock::now();
    if (now < next_probe) return;
    next_probe = now + std::chrono::seconds(1);
    rd_kafka_resp_err_t error{};
    metadata(200, error);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) recovered();
  }
  void recovered() {
    outage = false;
    last_error.clear();
    log(LogLevel::info, fmt::format("Kafka: {} answers again", options.brokers));
  }
};

}  // namespace emshap::stream
