#include "mock_cluster.h"

#include <algorithm>
#include <array>
#include <future>
#include <map>
#include <sstream>
#include <vector>

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "emshap/core/error.h"
#include "group_keeper.h"

namespace emshap::app {
namespace {

struct Api {
  const char* name;
  std::int16_t key;
};
/// The requests of the protocol that clients of ours send, with the protocol's numbers.
constexpr std::array<Api, 14> apis{{{"produce", 0},
                                    {"fetch", 1},
                                    {"list_offsets", 2},
                                    {"metadata", 3},
                                    {"offset_commit", 8},
                                    {"offset_fetch", 9},
                                    {"find_coordinator", 10},
                                    {"join_group", 11},
                                    {"heartbeat", 12},
                                    {"leave_group", 13},
                                    {"sync_group", 14},
                                    {"api_versions", 18},
                                    {"init_producer_id", 22},
                                    {"txn_offset_commit", 28}}};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(c == '-' ? '_' : std::tolower(c)); });
  return text;
}

std::int64_t number(const std::string& text, const char* what, std::int64_t low, std::int64_t high) {
  std::size_t used = 0;
  std::int64_t value = 0;
  try {
    value = std::stoll(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (text.empty() || used != text.size() || value < low || value > high)
    throw ConfigError(
        fmt::format("{} is '{}', expected a whole number from {} to {}", what, text, low, high));
  return value;
}

std::int16_t api_key(const std::string& text) {
  for (const Api& api : apis)
    if (lower(text) == api.name) return api.key;
  return static_cast<std::int16_t>(number(text, "API", 0, 60));
}

/// By the name that librdkafka gives it ("REQUEST_TIMED_OUT", "_TRANSPORT") or by its number.
rd_kafka_resp_err_t error_code(const std::string& text) {
  const rd_kafka_err_desc* descriptions = nullptr;
  std::size_t count = 0;
  rd_kafka_get_err_descs(&descriptions, &count);
  for (std::size_t i = 0; i < count; ++i)
    if (descriptions[i].name && lower(text) == lower(descriptions[i].name)) return descriptions[i].code;
  return static_cast<rd_kafka_resp_err_t>(number(text, "CODE", -200, 200));
}

void check(rd_kafka_resp_err_t code) {
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) throw ConfigError(rd_kafka_err2str(code));
}

struct DestroyClient {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
};
struct DestroyCluster {
  void operator()(rd_kafka_mock_cluster_t* cluster) const { rd_kafka_mock_cluster_destroy(cluster); }
};
using Client = std::unique_ptr<rd_kafka_t, DestroyClient>;

Client make_client(const std::string& brokers) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char reason[512] = "";
  const std::vector<std::pair<std::string, std::string>> properties{
      {"bootstrap.servers", brokers}, {"log_level", "2"}, {"reconnect.backoff.max.ms", "100"}};
  for (const auto& [key, value] : properties)
    if (!value.empty()) rd_kafka_conf_set(conf, key.c_str(), value.c_str(), reason, sizeof reason);
  Client client(rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason));
  if (!client) {
    rd_kafka_conf_destroy(conf);
    throw IoError(fmt::format("the mock cluster's client could not be made: {}", reason),
                  ErrorKind::environment);
  }
  return client;
}

}  // namespace

struct MockCluster::Impl {
  Client owner = make_client("");
  std::unique_ptr<rd_kafka_mock_cluster_t, DestroyCluster> cluster;
  std::int64_t brokers = 0;
  std::map<std::string, std::int64_t> topics;
  std::map<std::string, std::unique_ptr<GroupKeeper>> keepers;
  Client asks;  ///< asks the cluster for offsets, as any client would

  std::string run(const std::vector<std::string>& words);
  void move_all(const std::string& topic, std::int64_t partitions, std::int32_t leader);
  std::string offsets(const std::string& topic);
  std::vector<std::int64_t> query(const std::string& topic, std::int64_t partitions, std::int64_t which);
  std::int32_t broker(const std::string& text) const {
    return text == "all" ? -1 : static_cast<std::int32_t>(number(text, "BROKER", 1, brokers));
  }
};

MockCluster::MockCluster(std::int64_t brokers) : impl_(std::make_unique<Impl>()) {
  impl_->brokers = brokers;
  impl_->cluster.reset(rd_kafka_mock_cluster_new(impl_->owner.get(), static_cast<int>(brokers)));
  if (!impl_->cluster)
    throw IoError(fmt::format("a mock cluster of {} brokers could not be started", brokers),
                  ErrorKind::environment);
  impl_->asks = make_client(bootstrap());
}
MockCluster::~MockCluster() = default;

std::string MockCluster::bootstrap() const {
  return rd_kafka_mock_cluster_bootstraps(impl_->cluster.get());
}

void MockCluster::create_topic(const std::string& name, std::int64_t partitions) {
  if (name.empty() || partitions < 1 || partitions > 10000)
    throw ConfigError(
        fmt::format("topic '{}' with {} partitions cannot be created, expected a name and 1 to "
                    "10000 partitions",
                    name, partitions));
  const auto code =
      rd_kafka_mock_topic_create(impl_->cluster.get(), name.c_str(), static_cast<int>(partitions),
                                 static_cast<int>(std::min<std::int64_t>(impl_->brokers, 3)));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    throw ConfigError(fmt::format("topic '{}' could not be created: {}", name, rd_kafka_err2str(code)));
  impl_->topics[name] = partitions;
}

std::string MockCluster::help() {
  return "down BROKER | up BROKER | rtt BROKER MS | leader TOPIC PARTITION BROKER | coordinator GROUP BROKER "
         "| "
         "errors API CODE COUNT | delay BROKER API MS COUNT | clear API | topic NAME PARTITIONS | offsets "
         "TOPIC | "
         "state | help | quit; BROKER is a number or all, API one of produce, fetch, list_offsets, metadata, "
         "offset_commit, offset_fetch, find_coordinator, join_group, heartbeat, leave_group, sync_group, "
         "api_versions, init_producer_id, txn_offset_commit or its number, CODE an error's name as in "
         "NOT_LEADER_FOR_PARTITION or its number (_TRANSPORT: disconnect)";
}

std::string MockCluster::answer(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  try {
    if (words.empty()) throw ConfigError("an empty command; help lists them");
    if (words[0] == "topic" && words.size() == 3) {
      create_topic(words[1], number(words[2], "PARTITIONS", 1, 10000));
      return "ok";
    }
    const std::string said = impl_->run(words);
    return said.empty() ? "ok" : "ok " + said;
  } catch (const std::exception& e) {
    return std::string("error ") + e.what();
  }
}

std::string MockCluster::Impl::run(const std::vector<std::string>& words) {
  const std::string& name = words[0];
  const auto is = [&](const char* command, std::size_t arguments) {
    if (name != command) return false;
    if (words.size() != arguments + 1)
      throw ConfigError(fmt::format("{} has {} arguments, expected {}; help lists the commands", name,
                                    words.size() - 1, arguments));
    return true;
  };
  rd_kafka_mock_cluster_t* mock = cluster.get();
  if (is("down", 1)) {
    check(rd_kafka_mock_broker_set_down(mock, broker(words[1])));
  } else if (is("up", 1)) {
    check(rd_kafka_mock_broker_set_up(mock, broker(words[1])));
  } else if (is("rtt", 2)) {
    check(rd_kafka_mock_broker_set_rtt(mock, broker(words[1]),
                                       static_cast<int>(number(words[2], "MS", 0, 600000))));
  } else if (is("leader", 3)) {
    const std::int32_t leader =
        words[3] == "none" ? -1 : static_cast<std::int32_t>(number(words[3], "BROKER", 1, brokers));
    const auto known = topics.find(words[1]);
    if (known == topics.end()) throw ConfigError(fmt::format("there is no topic '{}'", words[1]));
    if (words[2] == "all")
      move_all(words[1], known->second, leader);
    else
      check(rd_kafka_mock_partition_set_leader(
          mock, words[1].c_str(),
          static_cast<std::int32_t>(number(words[2], "PARTITION", 0, known->second - 1)), leader));
  } else if (is("coordinator", 2)) {
    check(rd_kafka_mock_coordinator_set(mock, "group", words[1].c_str(),
                                        static_cast<std::int32_t>(number(words[2], "BROKER", 1, brokers))));
  } else if (is("keep", 1)) {
    if (topics.count("keeper") == 0) {
      check(rd_kafka_mock_topic_create(mock, "keeper", 2, 1));
      topics["keeper"] = 2;
    }
    auto& keeper = keepers[words[1]];
    if (!keeper)
      keeper = std::make_unique<GroupKeeper>(rd_kafka_mock_cluster_bootstraps(mock), words[1], "keeper");
  } else if (is("errors", 3)) {
    const std::vector<rd_kafka_resp_err_t> codes(
        static_cast<std::size_t>(number(words[3], "COUNT", 1, 100000)), error_code(words[2]));
    rd_kafka_mock_push_request_errors_array(mock, api_key(words[1]), codes.size(), codes.data());
    return fmt::format("{} x {}", codes.size(), rd_kafka_err2name(codes[0]));
  } else if (is("delay", 4)) {
    const std::int32_t one = broker(words[1]);
    const std::int16_t api = api_key(words[2]);
    const int delay = static_cast<int>(number(words[3], "MS", 0, 600000));
    const std::int64_t count = number(words[4], "COUNT", 1, 100000);
    for (std::int32_t b = 1; b <= brokers; ++b)
      for (std::int64_t i = 0; i < count && (one == -1 || one == b); ++i)
        check(
            rd_kafka_mock_broker_push_request_error_rtts(mock, b, api, 1, RD_KAFKA_RESP_ERR_NO_ERROR, delay));
  } else if (is("clear", 1)) {
    rd_kafka_mock_clear_request_errors(mock, api_key(words[1]));
  } else if (is("offsets", 1)) {
    return offsets(words[1]);
  } else if (is("state", 0)) {
    std::string text = fmt::format("brokers {}", rd_kafka_mock_cluster_bootstraps(mock));
    for (const auto& [topic, partitions] : topics) text += fmt::format(" topic {}:{}", topic, partitions);
    return text;
  } else if (is("help", 0)) {
    return MockCluster::help();
  } else {
    throw ConfigError(fmt::format("unknown command '{}'; help lists the commands", name));
  }
  return "";
}

/// The cluster's thread takes up to 0.2 s for a request but answers all that wait, so many are sent at once.
void MockCluster::Impl::move_all(const std::string& topic, std::int64_t partitions, std::int32_t leader) {
  for (std::int32_t first = 0; first < partitions; first += 64) {
    std::vector<std::future<rd_kafka_resp_err_t>> answers;
    for (std::int32_t p = first; p < std::min<std::int64_t>(first + 64, partitions); ++p)
      answers.push_back(std::async(std::launch::async, [this, &topic, p, leader] {
        return rd_kafka_mock_partition_set_leader(cluster.get(), topic.c_str(), p, leader);
      }));
    for (auto& answer : answers) check(answer.get());
  }
}

/// "PARTITION:OLDEST-NEXT ..."
std::string MockCluster::Impl::offsets(const std::string& topic) {
  const auto known = topics.find(topic);
  if (known == topics.end()) throw ConfigError(fmt::format("there is no topic '{}'", topic));
  const std::vector<std::int64_t> oldest = query(topic, known->second, RD_KAFKA_OFFSET_BEGINNING);
  const std::vector<std::int64_t> next = query(topic, known->second, RD_KAFKA_OFFSET_END);
  std::string text;
  for (std::size_t p = 0; p < next.size(); ++p)
    text += fmt::format("{}{}:{}-{}", p == 0 ? "" : " ", p, oldest[p], next[p]);
  return text;
}

/// One request for all partitions: those with a time of `which` ask for the oldest or the next offset.
std::vector<std::int64_t> MockCluster::Impl::query(const std::string& topic, std::int64_t partitions,
                                                   std::int64_t which) {
  const std::unique_ptr<rd_kafka_topic_partition_list_t, void (*)(rd_kafka_topic_partition_list_t*)> list(
      rd_kafka_topic_partition_list_new(static_cast<int>(partitions)), rd_kafka_topic_partition_list_destroy);
  for (std::int32_t p = 0; p < partitions; ++p)
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), p)->offset = which;
  check(rd_kafka_offsets_for_times(asks.get(), list.get(), 5000));
  std::vector<std::int64_t> offsets(static_cast<std::size_t>(partitions));
  for (int i = 0; i < list->cnt; ++i) {
    check(list->elems[i].err);
    offsets[static_cast<std::size_t>(list->elems[i].partition)] = list->elems[i].offset;
  }
  return offsets;
}

}  // namespace emshap::app
