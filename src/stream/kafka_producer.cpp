#include "emshap/stream/kafka_producer.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include "emshap/core/error.h"
#include "stream/producer_pace.h"

namespace emshap::stream {
namespace {

using Clock = std::chrono::steady_clock;

template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* object) const {
    destroy(object);
  }
};
using Handle = std::unique_ptr<rd_kafka_t, Destroy<rd_kafka_destroy>>;
using Conf = std::unique_ptr<rd_kafka_conf_t, Destroy<rd_kafka_conf_destroy>>;
using Topic = std::unique_ptr<rd_kafka_topic_t, Destroy<rd_kafka_topic_destroy>>;
using List = std::unique_ptr<rd_kafka_topic_partition_list_t, Destroy<rd_kafka_topic_partition_list_destroy>>;

IoError environment(const std::string& what) {
  return IoError(what, ErrorKind::environment);
}

void set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  char reason[512] = "";
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason, sizeof reason) != RD_KAFKA_CONF_OK)
    throw ConfigError(fmt::format("Kafka property {}: {}", name, reason));
}

Handle make_handle(rd_kafka_type_t type, Conf conf) {
  char reason[512] = "";
  Handle handle(rd_kafka_new(type, conf.get(), reason, sizeof reason));
  if (!handle) throw ConfigError(fmt::format("the Kafka client could not be set up: {}", reason));
  (void)conf.release();  // the handle has it now
  rd_kafka_set_log_queue(handle.get(), nullptr);
  return handle;
}

}  // namespace

struct KafkaProducer::Impl {
  ProducerOptions options;
  const StopToken& stop;
  ProgressSink& sink;
  std::function<void(const Delivery&)> delivered;
  Handle producer;
  Topic topic;
  std::int32_t partitions = 0;
  std::int64_t sent = 0, acknowledged = 0, failed = 0;
  std::string first_error, fatal;

  Handle group;  ///< asks for the group's committed offsets; takes part in nothing
  std::unique_ptr<ProducerPace> pace;
  Clock::time_point asked{};

  Impl(const ProducerOptions& o, const StopToken& token, ProgressSink& to,
       std::function<void(const Delivery&)> report)
      : options(o), stop(token), sink(to), delivered(std::move(report)) {}
  Conf configuration();
  void find_partitions();
  void follow_group();
  List committed();
  void wait_for_group(std::int32_t partition);
  void report(const rd_kafka_message_t& message);
  void poll(int milliseconds) {
    rd_kafka_poll(producer.get(), milliseconds);
    if (!fatal.empty()) throw environment("the Kafka producer cannot go on: " + fatal);
  }
  void stop_if_asked() const {
    if (stop.stop_requested()) throw Interrupted("stopped while waiting to send to Kafka");
  }
};

Conf KafkaProducer::Impl::configuration() {
  Conf conf(rd_kafka_conf_new());
  set(conf.get(), "bootstrap.servers", options.brokers);
  set(conf.get(), "client.id", "emshap");
  set(conf.get(), "log.queue", "true");
  rd_kafka_conf_set_opaque(conf.get(), this);
  rd_kafka_conf_set_log_cb(conf.get(), [](const rd_kafka_t* from, int level, const char*, const char* text) {
    const auto* self = static_cast<const Impl*>(rd_kafka_opaque(from));
    self->sink.log(level <= 3 ? LogLevel::warning : LogLevel::debug, fmt::format("Kafka: {}", text));
  });
  rd_kafka_conf_set_error_cb(conf.get(), [](rd_kafka_t* from, int code, const char* text, void* opaque) {
    auto* self = static_cast<Impl*>(opaque);
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
      char why[512] = "";
      rd_kafka_fatal_error(from, why, sizeof why);
      self->fatal = why;
    }
    self->sink.log(LogLevel::debug, fmt::format("Kafka: {}", text));
  });
  return conf;
}

void KafkaProducer::Impl::find_partitions() {
  const auto give_up = Clock::now() + std::chrono::seconds(10);
  rd_kafka_resp_err_t code;
  do {
    const rd_kafka_metadata_t* metadata = nullptr;
    code = rd_kafka_metadata(producer.get(), 0, topic.get(), &metadata, 10000);
    if (metadata) {
      if (metadata->topic_cnt == 1) {
        code = metadata->topics[0].err;
        partitions = metadata->topics[0].partition_cnt;
      }
      rd_kafka_metadata_destroy(metadata);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && partitions > 0) return;
    stop_if_asked();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // a topic that is just being created
  } while (Clock::now() < give_up);
  throw environment(fmt::format("topic {} cannot be had from Kafka at {}: {}", options.topic, options.brokers,
                                rd_kafka_err2str(code)));
}

void KafkaProducer::Impl::follow_group() {
  Conf conf = configuration();
  set(conf.get(), "group.id", options.ahead_of);
  for (const auto& [name, value] : options.properties)  // what is needed to be let in, not what producers set
    for (const char* start :
         {"security.", "ssl.", "sasl.", "enable.ssl", "enable.sasl", "broker.", "socket."})
      if (name.starts_with(start)) set(conf.get(), name, value);
  group = make_handle(RD_KAFKA_CONSUMER, std::move(conf));
  pace = std::make_unique<ProducerPace>(partitions, options.most_ahead);
  const List at = committed();
  for (int i = 0; i < at->cnt; ++i) {
    const auto& place = at->elems[i];
    std::int64_t low = 0, high = 0;
    rd_kafka_query_watermark_offsets(group.get(), options.topic.c_str(), place.partition, &low, &high, 5000);
    const std::int64_t lag = high - std::max(place.offset, low);
    if (lag > 0) pace->found(place.partition, high, lag);
  }
}

List KafkaProducer::Impl::committed() {
  List list(rd_kafka_topic_partition_list_new(partitions));
  for (std::int32_t p = 0; p < partitions; ++p)
    rd_kafka_topic_partition_list_add(list.get(), options.topic.c_str(), p);
  const auto code = rd_kafka_committed(group.get(), list.get(), 2000);
  rd_kafka_poll(group.get(), 0);  // its log lines
  for (int i = 0; i < list->cnt; ++i)
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR || list->elems[i].err || list->elems[i].offset < 0)
      list->elems[i].offset = 0;
  return list;
}

/// The group's brokers may be away for a while: then it waits, as for a slow group.
void KafkaProducer::Impl::wait_for_group(std::int32_t partition) {
  const auto begin = Clock::now();
  bool told = false;
  while (pace->too_far(partition)) {
    if (Clock::now() - asked > std::chrono::milliseconds(20)) {
      const List at = committed();
      for (int i = 0; i < at->cnt; ++i) pace->committed(at->elems[i].partition, at->elems[i].offset);
      asked = Clock::now();
      if (!pace->too_far(partition)) return;
    }
    stop_if_asked();
    if (!told && Clock::now() - begin > std::chrono::seconds(10)) {
      sink.log(LogLevel::warning,
               fmt::format("waiting for group {}: partition {} is more than {} bytes ahead of it",
                           options.ahead_of, partition, options.most_ahead));
      told = true;
    }
    poll(5);
  }
}

void KafkaProducer::Impl::report(const rd_kafka_message_t& message) {
  Delivery delivery;
  delivery.partition = message.partition;
  delivery.offset = message.offset;
  delivery.bytes = {static_cast<const char*>(message.payload), message.len};
  delivery.tag = reinterpret_cast<std::uintptr_t>(message._private);
  if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    ++acknowledged;
    if (pace) pace->acknowledged(message.partition, message.offset, message.len + message.key_len);
  } else {
    delivery.error = rd_kafka_err2str(message.err);
    if (++failed == 1) first_error = delivery.error;
    if (pace) pace->failed(message.partition, message.len + message.key_len);
  }
  if (delivered) delivered(delivery);
}

KafkaProducer::KafkaProducer(const ProducerOptions& options, const StopToken& stop, ProgressSink& sink,
                             std::function<void(const Delivery&)> delivered)
    : impl_(std::make_unique<Impl>(options, stop, sink, std::move(delivered))) {
  Impl& m = *impl_;
  Conf conf = m.configuration();
  set(conf.get(), "enable.idempotence", "true");
  set(conf.get(), "compression.codec", options.compression);
  for (const auto& [name, value] : options.properties) set(conf.get(), name, value);
  rd_kafka_conf_set_dr_msg_cb(conf.get(), [](rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
    static_cast<Impl*>(opaque)->report(*message);
  });
  m.producer = make_handle(RD_KAFKA_PRODUCER, std::move(conf));
  m.topic.reset(rd_kafka_topic_new(m.producer.get(), options.topic.c_str(), nullptr));
  if (!m.topic)
    throw ConfigError(fmt::format("topic '{}': {}", options.topic, rd_kafka_err2str(rd_kafka_last_error())));
  m.find_partitions();
  if (!options.ahead_of.empty()) m.follow_group();
}

KafkaProducer::~KafkaProducer() {
  // What flush() did not wait for is given up.
  rd_kafka_purge(impl_->producer.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  impl_->topic.reset();
}

void KafkaProducer::send(std::string_view key, std::string_view bytes, std::uint64_t tag) {
  Impl& m = *impl_;
  const std::int32_t partition = rd_kafka_msg_partitioner_murmur2_random(
      m.topic.get(), key.empty() ? nullptr : key.data(), key.size(), m.partitions, nullptr, nullptr);
  if (m.pace) {
    if (m.pace->too_far(partition)) m.wait_for_group(partition);
    m.pace->sent(partition, key.size() + bytes.size());
  }
  while (rd_kafka_produce(m.topic.get(), partition, RD_KAFKA_MSG_F_COPY, const_cast<char*>(bytes.data()),
                          bytes.size(), key.data(), key.size(),
                          reinterpret_cast<void*>(static_cast<std::uintptr_t>(tag))) != 0) {
    const rd_kafka_resp_err_t code = rd_kafka_last_error();
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
      throw environment(fmt::format("a message of {} bytes could not be sent to topic {}: {}", bytes.size(),
                                    m.options.topic, rd_kafka_err2str(code)));
    m.poll(20);
    m.stop_if_asked();
  }
  if ((++m.sent & 255) == 0) m.poll(0);
}

void KafkaProducer::poll(int milliseconds) {
  impl_->poll(milliseconds);
}

void KafkaProducer::flush() {
  Impl& m = *impl_;
  // After a fatal error librdkafka fails all that is left; those reports are wanted too.
  while (m.acknowledged + m.failed < m.sent) rd_kafka_flush(m.producer.get(), 100);
  m.poll(0);
}

std::int32_t KafkaProducer::partitions() const {
  return impl_->partitions;
}
std::int64_t KafkaProducer::sent() const {
  return impl_->sent;
}
std::int64_t KafkaProducer::acknowledged() const {
  return impl_->acknowledged;
}
std::int64_t KafkaProducer::failed() const {
  return impl_->failed;
}
const std::string& KafkaProducer::first_error() const {
  return impl_->first_error;
}

}  // namespace emshap::stream
