#pragma once
// The Kafka cluster of a test: emshap_mock_cluster, or the brokers that EMSHAP_TEST_BROKERS names.
#include <librdkafka/rdkafka.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "stream/child.h"

namespace emshap::test {

class Cluster {
 public:
  /// `always_mock`: for tests that give fault commands; real() is false for them.
  explicit Cluster(const std::filesystem::path& folder, int brokers = 1, bool always_mock = false) {
    if (const char* given = std::getenv("EMSHAP_TEST_BROKERS"); given && *given && !always_mock) {
      bootstrap_ = given;
      return;
    }
    mock_ = std::make_unique<Child>(
        "mock",
        std::vector<std::string>{app_path("emshap_mock_cluster"), "--with-parent", "--brokers",
                                 std::to_string(brokers), "--topic", "unused:1"},
        folder);
    const std::string line = answer();
    if (!line.starts_with("bootstrap ")) throw std::runtime_error("the mock cluster said: " + line);
    bootstrap_ = line.substr(10);
  }

  /// The group of the tests' consumers. On the mock cluster it is never empty, so that they join quickly and
  /// may have short sessions.
  std::string group() {
    if (real()) return fmt::format("emshap_test_{}", getpid());
    if (!kept_) command("keep emshap_test");
    kept_ = true;
    return "emshap_test";
  }
  const char* session_ms() const { return real() ? "6000" : "3500"; }

  bool real() const { return !mock_; }
  const std::string& bootstrap() const { return bootstrap_; }
  void command(const std::string& text) {
    mock_->write(text + "\n");
    const std::string line = answer();
    if (!line.starts_with("ok")) throw std::runtime_error(text + ": " + line);
  }

  /// A topic that no other test uses; a real cluster makes it when it is first asked for.
  std::string topic(int partitions = 64) {
    static int number = 0;
    std::string name = fmt::format("emshap_test_{}_{}", getpid(), ++number);
    if (mock_) command(fmt::format("topic {} {}", name, partitions));
    return name;
  }

  /// Next offset of each partition.
  std::map<std::int32_t, std::int64_t> ends(const std::string& topic) const {
    char reason[256];
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap_.c_str(), reason, sizeof reason);
    const std::unique_ptr<rd_kafka_t, void (*)(rd_kafka_t*)> client(
        rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason), rd_kafka_destroy);
    rd_kafka_topic_t* handle = rd_kafka_topic_new(client.get(), topic.c_str(), nullptr);
    const rd_kafka_metadata_t* metadata = nullptr;
    rd_kafka_metadata(client.get(), 0, handle, &metadata, 10000);
    rd_kafka_topic_destroy(handle);
    if (!metadata) throw std::runtime_error("no metadata of " + topic);
    std::map<std::int32_t, std::int64_t> ends;
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(64);
    for (std::int32_t p = 0; p < metadata->topics[0].partition_cnt; ++p)
      rd_kafka_topic_partition_list_add(list, topic.c_str(), p)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_metadata_destroy(metadata);
    auto code = RD_KAFKA_RESP_ERR__TIMED_OUT;  // injected errors hit this request, too
    for (int attempt = 0; attempt < 10 && code != RD_KAFKA_RESP_ERR_NO_ERROR; ++attempt) {
      for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = RD_KAFKA_OFFSET_END;
      code = rd_kafka_offsets_for_times(client.get(), list, 10000);
    }
    for (int i = 0; i < list->cnt; ++i) ends[list->elems[i].partition] = list->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(rd_kafka_err2str(code));
    return ends;
  }

 private:
  /// The next line that the mock cluster says.
  std::string answer() {
    const auto give_up = Clock::now() + std::chrono::seconds(30);
    while (Clock::now() < give_up && mock_->running()) {
      const std::string out = mock_->out();
      if (const std::size_t end = out.find('\n', read_); end != std::string::npos) {
        const std::string line = out.substr(read_, end - read_);
        read_ = end + 1;
        return line;
      }
      sleep_ms(2);
    }
    throw std::runtime_error("the mock cluster does not answer: " + mock_->err());
  }

  std::unique_ptr<Child> mock_;
  std::string bootstrap_;
  std::size_t read_ = 0;
  bool kept_ = false;
};

/// Tests that give fault commands run on the mock cluster only.
inline bool needs_mock() {
  if (!std::getenv("EMSHAP_TEST_BROKERS")) return false;
  MESSAGE("skipped: fault commands need the mock cluster, EMSHAP_TEST_BROKERS is set");
  return true;
}

}  // namespace emshap::test
