// A consumer is made: properties, callbacks, handles.
#include "emshap/core/error.h"
#include "stream/kafka_consumer_impl.h"

namespace emshap::stream {
namespace {

/// Some hundred bytes of librdkafka come with each message it holds, so its queue stays small; what bridges
/// its pause of a second after the queue was full is held decoded, in less space (ingest.cpp).
const std::pair<const char*, const char*> defaults[] = {
    {"client.id", "emshap_ingest"},         {"allow.auto.create.topics", "false"},
    {"queued.max.messages.kbytes", "8192"}, {"fetch.max.bytes", "4194304"},
    {"fetch.error.backoff.ms", "100"},      {"log.connection.close", "false"},
    {"socket.keepalive.enable", "true"},
};
/// What the guarantees rest on; not to be changed by properties.
const std::pair<const char*, const char*> fixed[] = {
    {"enable.auto.commit", "false"}, {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},  {"enable.partition.eof", "false"},
    {"log.queue", "true"},
};

}  // namespace

KafkaConsumer::KafkaConsumer(const KafkaOptions& options, ProgressSink& sink)
    : impl_(std::make_unique<Impl>(options, sink)) {
  Impl& im = *impl_;
  if (options.topic.empty() || options.topic[0] == '^')
    throw ConfigError(fmt::format("topic '{}': expected the name of one topic", options.topic));
  if (options.group.empty()) throw ConfigError("the name of the consumer group is empty");
  if (options.brokers.empty()) throw ConfigError("brokers: expected HOST:PORT, several with commas");
  Owned<rd_kafka_conf_t> conf(rd_kafka_conf_new());
  char text[512] = "";
  const auto set = [&](const std::string& name, const std::string& value) {
    const auto result = rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), text, sizeof text);
    if (result == RD_KAFKA_CONF_UNKNOWN)
      throw ConfigError(fmt::format("'{}' is not a property of librdkafka {}", name, rd_kafka_version_str()));
    if (result != RD_KAFKA_CONF_OK)
      throw ConfigError(
          fmt::format("property {}: {}", name, is_secret(name) ? "the value is not accepted" : text));
  };
  for (const auto& [name, value] : defaults) set(name, value);
  // Newer versions let the pause after a full queue be chosen; older ones do not know the name.
  rd_kafka_conf_set(conf.get(), "fetch.queue.backoff.ms", "50", text, sizeof text);
  for (const auto& [name, value] : options.properties) set(name, value);
  for (const auto& [name, value] : fixed) set(name, value);
  set("bootstrap.servers", options.brokers);
  set("group.id", options.group);
  char value[64] = "";
  std::size_t size = sizeof value;
  if (rd_kafka_conf_get(conf.get(), "max.poll.interval.ms", value, &size) == RD_KAFKA_CONF_OK)
    im.max_poll_interval_ms = std::atoi(value);

  rd_kafka_conf_set_opaque(conf.get(), &im);
  rd_kafka_conf_set_error_cb(conf.get(), [](rd_kafka_t*, int error, const char* reason, void* self) {
    static_cast<Impl*>(self)->on_error(static_cast<rd_kafka_resp_err_t>(error), reason);
  });
  rd_kafka_conf_set_log_cb(conf.get(),
                           [](const rd_kafka_t* k, int level, const char* facility, const char* line) {
                             static_cast<Impl*>(rd_kafka_opaque(k))->on_log(level, facility, line);
                           });
  rd_kafka_conf_set_rebalance_cb(
      conf.get(), [](rd_kafka_t*, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t* partitions,
                     void* self) { static_cast<Impl*>(self)->on_rebalance(error, partitions); });
  rd_kafka_conf_set_offset_commit_cb(
      conf.get(), [](rd_kafka_t*, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t*, void* self) {
        static_cast<Impl*>(self)->on_commit(error);
      });
  im.kafka.reset(rd_kafka_new(RD_KAFKA_CONSUMER, conf.get(), text, sizeof text));
  if (!im.kafka)
    throw ConfigError(fmt::format("Kafka client: {}", without_secrets(text, options.properties)));
  conf.release();  // taken over
  rd_kafka_set_log_queue(im.kafka.get(), nullptr);
  rd_kafka_poll_set_consumer(im.kafka.get());
  im.queue.reset(rd_kafka_queue_get_consumer(im.kafka.get()));
  im.topic.reset(rd_kafka_topic_new(im.kafka.get(), options.topic.c_str(), nullptr));
  if (!im.topic)
    throw ConfigError(fmt::format("topic '{}': {}", options.topic, rd_kafka_err2str(rd_kafka_last_error())));
  im.asker = std::make_unique<EndsAsker>(im.kafka.get(), options.topic);
}

}  // namespace emshap::stream
