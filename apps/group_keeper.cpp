#include "group_keeper.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include "emshap/core/error.h"

namespace emshap::app {

struct GroupKeeper::Member {
  rd_kafka_t* consumer = nullptr;
  std::atomic<bool> stop{false};
  std::thread thread;

  Member(const std::string& brokers, const std::string& group, const std::string& topic) {
    char reason[512] = "";
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    const std::vector<std::pair<const char*, std::string>> properties{
        {"bootstrap.servers", brokers},  {"group.id", group},
        {"session.timeout.ms", "3500"},  {"heartbeat.interval.ms", "100"},
        {"enable.auto.commit", "false"}, {"log_level", "2"},
        {"fetch.wait.max.ms", "500"},    {"reconnect.backoff.max.ms", "200"}};
    for (const auto& [name, value] : properties)
      rd_kafka_conf_set(conf, name, value.c_str(), reason, sizeof reason);
    consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    if (!consumer) {
      rd_kafka_conf_destroy(conf);
      throw IoError(fmt::format("no member for group {}: {}", group, reason), ErrorKind::environment);
    }
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t* topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic.c_str(), RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    thread = std::thread([this] {
      while (!stop)
        if (rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer, 50))
          rd_kafka_message_destroy(message);
    });
  }
  ~Member() {
    stop = true;
    thread.join();
    rd_kafka_destroy_flags(consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);  // may be waiting to be let in
  }

  bool assigned() const {
    rd_kafka_topic_partition_list_t* list = nullptr;
    rd_kafka_assignment(consumer, &list);
    const bool any = list && list->cnt > 0;
    if (list) rd_kafka_topic_partition_list_destroy(list);
    return any;
  }
};

GroupKeeper::GroupKeeper(const std::string& brokers, const std::string& group, const std::string& topic) {
  for (int attempt = 0; attempt < 4; ++attempt) {  // where the machine is slow it may be thrown out
    member_ = std::make_unique<Member>(brokers, group, topic);
    for (int i = 0; i < 500; ++i) {
      if (member_->assigned()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  throw IoError(fmt::format("group {} could not be joined within 20 s", group), ErrorKind::environment);
}
GroupKeeper::~GroupKeeper() = default;

}  // namespace emshap::app
