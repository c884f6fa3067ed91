// The same with faults of the cluster: brokers that go away, requests that fail, leaders that move. Needs the
// mock cluster.
#include <doctest/doctest.h>

#include "report/child_process.h"
#include "stream/cluster.h"
#include "stream/ingest_process.h"
#include "stream/produced.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// A producer and a consumer at work; faults come between start() and finish().
struct Run {
  const report::TemporaryFolder folder;
  Cluster cluster{folder.path(), 3, true};
  std::string topic = cluster.topic(), store = (folder.path() / "s.db").string();
  std::unique_ptr<Producer> producer;
  std::unique_ptr<Consumer> consumer;

  void start(const char* rows = "20000", const char* rate = "4000", const char* nodes = "200") {
    producer = std::make_unique<Producer>(
        cluster, topic, "sent", folder.path(),
        std::vector<std::string>{"--rows", rows, "--nodes", nodes, "--rate", rate, "--poison", "0.02",
                                 "--property", "retry.backoff.ms=50", "--property",
                                 "reconnect.backoff.max.ms=300"});
    consumer = std::make_unique<Consumer>(cluster, topic, store, "consumer", folder.path());
    wait_for_progress(store, topic, 1000);
  }
  /// All that is in the topic has to come into the store.
  nlohmann::json finish(bool copies) {
    const auto sent = producer->done();
    CHECK(sent["failed"] == 0);
    const auto ends = cluster.ends(topic);
    CHECK(sum(ends) >= sent["acknowledged"].get<std::int64_t>());
    if (!copies) CHECK(sum(ends) == sent["acknowledged"].get<std::int64_t>());
    wait_for_progress(store, topic, sum(ends), 90);
    const auto report = consumer->stop();
    check_store(read_store(store), ends, producer->acknowledged(), copies);
    return report;
  }
};

}  // namespace

TEST_SUITE("components: faults") {
  TEST_CASE("brokers go down and come up again") {
    if (needs_mock()) return;
    Run run;
    run.start();
    for (const char* broker : {"1", "2", "3"}) {
      run.cluster.command(std::string("down ") + broker);
      sleep_ms(700);
      run.cluster.command(std::string("up ") + broker);
      sleep_ms(300);
    }
    run.cluster.command("down all");
    sleep_ms(1500);
    run.cluster.command("up all");
    run.finish(true);
  }

  TEST_CASE("requests fail: fetch, offsets, group, metadata") {
    if (needs_mock()) return;
    Run run;
    run.start();
    for (const char* errors :
         {"fetch NOT_LEADER_FOR_PARTITION 3", "fetch UNKNOWN_TOPIC_OR_PART 2", "fetch _TRANSPORT 3",
          "fetch KAFKA_STORAGE_ERROR 2", "offset_commit REQUEST_TIMED_OUT 2",
          "offset_commit NOT_COORDINATOR 2", "offset_commit COORDINATOR_NOT_AVAILABLE 2",
          "offset_commit ILLEGAL_GENERATION 1", "offset_commit _TRANSPORT 2",
          "heartbeat REBALANCE_IN_PROGRESS 1", "heartbeat UNKNOWN_MEMBER_ID 1",
          "join_group NOT_COORDINATOR 1", "sync_group REBALANCE_IN_PROGRESS 1",
          "find_coordinator COORDINATOR_NOT_AVAILABLE 2", "metadata LEADER_NOT_AVAILABLE 1",
          "list_offsets NOT_LEADER_FOR_PARTITION 1", "heartbeat ILLEGAL_GENERATION 1"}) {
      run.cluster.command(std::string("errors ") + errors);
      sleep_ms(150);
    }
    run.finish(false);
  }

  TEST_CASE("produced messages are written though requests fail and answers are lost") {
    if (needs_mock()) return;
    Run run;
    run.start("12000");
    for (const char* errors : {"produce NOT_LEADER_FOR_PARTITION 3", "produce REQUEST_TIMED_OUT 2",
                               "produce _TRANSPORT 2", "produce NOT_ENOUGH_REPLICAS 2"}) {
      run.cluster.command(std::string("errors ") + errors);
      sleep_ms(200);
    }
    run.finish(true);
  }

  TEST_CASE("a slow broker delays and loses nothing") {
    if (needs_mock()) return;
    Run run;
    run.start("8000", "2000");
    run.cluster.command("rtt 1 400");
    sleep_ms(2500);
    run.cluster.command("rtt 1 0");
    run.finish(false);
  }

  TEST_CASE("leaders and the group's coordinator move") {
    if (needs_mock()) return;
    Run run;
    run.start();
    for (const char* broker : {"2", "3", "1"}) {
      run.cluster.command("leader " + run.topic + " all " + broker);
      sleep_ms(400);
      run.cluster.command("coordinator " + run.cluster.group() + " " + broker);
      sleep_ms(400);
    }
    run.finish(true);
  }

  TEST_CASE("no broker for the consumer is told in one sentence, with exit code 4") {
    const report::TemporaryFolder folder;
    Child child(
        "ingest",
        {app_path("emshap_ingest"), "--brokers", "127.0.0.1:1", "--store", "s.db", "--connect-seconds", "1"},
        folder.path());
    CHECK(child.wait(30) == 4);
    CHECK(child.err().find("127.0.0.1:1") != std::string::npos);
  }
}
