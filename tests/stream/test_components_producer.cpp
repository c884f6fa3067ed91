// emshap_datagen against a Kafka cluster; kcat (Debian) as a consumer that is none of ours.
#include <set>
#include <sstream>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "emshap/stream/message_generator.h"
#include "report/child_process.h"
#include "stream/cluster.h"
#include "stream/produced.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// kcat's path; empty, and the test says so, where it is not installed.
std::string kcat() {
  const auto path = report::find_program("kcat");
  if (path.empty()) MESSAGE("skipped: kcat is not installed");
  return path;
}

}  // namespace

TEST_SUITE("components: producer") {
  TEST_CASE("kcat reads what emshap_datagen was told to be acknowledged, with every compression") {
    const std::string program = kcat();
    if (program.empty()) return;
    const report::TemporaryFolder folder;
    Cluster cluster(folder.path(), 2);
    for (const char* codec : {"none", "gzip", "snappy", "lz4", "zstd"}) {
      CAPTURE(codec);
      const std::string topic = cluster.topic(8);
      Producer producer(cluster, topic, codec, folder.path(),
                        {"--rows", "3000", "--nodes", "20", "--poison", "0.05", "--compression", codec});
      const auto report = producer.done();
      CHECK(report["messages"] == 3000);
      CHECK(report["acknowledged"] == 3000);
      CHECK(report["failed"] == 0);
      CHECK(report["good"].get<int>() + report["spoiled"].get<int>() == 3000);
      CHECK(report["poison"].size() == 7);
      const Acknowledgements sent = producer.acknowledged();
      CHECK(sent.size() == 3000);

      Child consumer(
          "kcat", {program, "-C", "-b", cluster.bootstrap(), "-t", topic, "-e", "-q", "-f", "%p %o %S %R%s"},
          folder.path());
      REQUIRE(consumer.wait(30) == 0);
      // "partition offset size " and then the four bytes of the size and the message itself
      const std::string out = consumer.out();
      std::size_t at = 0, messages = 0;
      while (at < out.size()) {
        std::int32_t partition = 0;
        std::int64_t offset = 0;
        int size = 0, head = 0;
        REQUIRE(std::sscanf(out.c_str() + at, "%d %ld %d %n", &partition, &offset, &size, &head) == 3);
        // %n has passed over blanks, which a size never starts with: its first byte is 0
        const std::string bytes =
            out.substr(at + static_cast<std::size_t>(head) + 4, static_cast<std::size_t>(size));
        at += static_cast<std::size_t>(head) + 4 + bytes.size();
        ++messages;
        const auto one = sent.find({partition, offset});
        REQUIRE(one != sent.end());
        CHECK(one->second.hash == fmt::format("{:016x}", stream::message_hash(bytes)));
      }
      CHECK(messages == 3000);
    }
  }

  TEST_CASE("messages of a host are in one partition, in order") {
    const report::TemporaryFolder folder;
    Cluster cluster(folder.path());
    const std::string topic = cluster.topic(4);
    Producer producer(cluster, topic, "one", folder.path(), {"--rows", "500", "--nodes", "1"});
    producer.done();
    const Acknowledgements sent = producer.acknowledged();
    stream::MessageGenerator generator({.rows = 500, .nodes = 1}, 0);
    stream::GeneratedMessage message;
    std::int64_t offset = 0;
    for (const auto& [place, one] : sent) {
      REQUIRE(generator.next(message));
      CHECK(place == std::pair(sent.begin()->first.first, offset++));
      CHECK(one.hash == fmt::format("{:016x}", stream::message_hash(message.bytes)));
    }
    CHECK(offset == 500);
  }

  TEST_CASE("messages that the cluster refuses are counted and end with exit code 4") {
    if (needs_mock()) return;
    const report::TemporaryFolder folder;
    Cluster cluster(folder.path(), 1, true);
    const std::string topic = cluster.topic(4);
    cluster.command("errors produce TOPIC_AUTHORIZATION_FAILED 1");
    Producer producer(cluster, topic, "refused", folder.path(), {"--rows", "5000", "--nodes", "1"});
    CHECK(producer.child().wait(60) == 4);
    CHECK(producer.child().err().find("were not acknowledged: Broker: Topic authorization failed") !=
          std::string::npos);
    const auto report = producer.report();
    const auto failed = report["failed"].get<std::int64_t>();
    const auto acknowledged = report["acknowledged"].get<std::int64_t>();
    CHECK(failed > 0);
    CHECK(report["messages"].get<std::int64_t>() == acknowledged + failed);
    CHECK(producer.acknowledged().size() == static_cast<std::size_t>(acknowledged));
  }

  TEST_CASE("a producer that may not be ahead waits for the group, and ends when asked to") {
    const report::TemporaryFolder folder;
    Cluster cluster(folder.path());
    const std::string topic = cluster.topic(1);
    Producer producer(cluster, topic, "ahead", folder.path(),
                      {"--rows", "100000", "--nodes", "1", "--ahead-of", "nobody"});
    sleep_ms(1500);
    CHECK(producer.child().running());
    producer.child().signal(SIGTERM);
    CHECK(producer.child().wait(20) == 130);
    const auto report = producer.report();
    CHECK(report["acknowledged"] == report["messages"]);
    // 3 MiB of messages of about 130 bytes and 70 around each
    CHECK(report["messages"].get<std::int64_t>() > 12'000);
    CHECK(report["messages"].get<std::int64_t>() < 20'000);
  }

  TEST_CASE("no broker and bad properties are told in one sentence") {
    const report::TemporaryFolder folder;
    const auto code = [&](const std::vector<std::string>& arguments) {
      std::vector<std::string> command{app_path("emshap_datagen")};
      command.insert(command.end(), arguments.begin(), arguments.end());
      Child child("datagen", command, folder.path());
      return child.wait(30);
    };
    CHECK(code({"--kafka", "127.0.0.1:1", "--rows", "5"}) == 4);
    CHECK(code({"--kafka", "127.0.0.1:1", "--property", "linger.ms"}) == 2);
    CHECK(code({"--kafka", "127.0.0.1:1", "--property", "no.such=1"}) == 2);
    CHECK(code({"--kafka", "127.0.0.1:1", "--rows", "2000000000"}) == 2);  // ends in the future
    CHECK(code({"--kafka", "127.0.0.1:1", "--out", "x.csv"}) == 2);
    CHECK(code({"--out", "x.csv", "--poison", "0.1"}) == 2);
  }
}

TEST_SUITE("components: mock cluster") {
  TEST_CASE("it answers each command with one line and ends with its input, quit or a signal") {
    const report::TemporaryFolder folder;
    const auto start = [&] {
      return std::make_unique<Child>(
          "m", std::vector<std::string>{app_path("emshap_mock_cluster"), "--quiet"}, folder.path());
    };
    auto mock = start();
    mock->write(
        "help\nno\n\ntopic a 3\ntopic a 3\ndown 1\nup all\nrtt 2 1\nleader raw_metrics 64 1\n"
        "errors fetch NO_SUCH 1\nerrors fetch _TRANSPORT 2\nclear 1\nstate\nquit\n");
    CHECK(mock->wait(20) == 0);
    std::istringstream lines(mock->out());
    std::vector<std::string> first_words;
    for (std::string line; std::getline(lines, line);) first_words.push_back(line.substr(0, line.find(' ')));
    CHECK(first_words == std::vector<std::string>{"bootstrap", "ok", "error", "error", "ok", "error", "ok",
                                                  "ok", "error", "error", "error", "ok", "ok", "ok", "ok"});
    mock = start();
    mock->signal(SIGTERM);
    CHECK(mock->wait(20) != -1);
    Child bad("m", {app_path("emshap_mock_cluster"), "--topic", "a:b"}, folder.path());
    CHECK(bad.wait(20) == 2);
  }
}
