// emshap_datagen -> Kafka -> emshap_ingest -> store, without faults: every message once, in its place, with
// its fate. On the mock cluster, or on the brokers that EMSHAP_TEST_BROKERS names.
#include <fstream>

#include <doctest/doctest.h>

#include "report/child_process.h"
#include "stream/cluster.h"
#include "stream/ingest_process.h"
#include "stream/produced.h"

using namespace emshap;
using namespace emshap::test;

namespace {

Cluster& shared_cluster() {
  static const report::TemporaryFolder folder;
  static Cluster cluster(folder.path(), 2);
  return cluster;
}

}  // namespace

TEST_SUITE("components") {
  TEST_CASE("what is lost, doubled, invented or altered is seen") {
    Stored good;
    good.records = {
        {{0, 0}, {"a", "good"}}, {{0, 1}, {"b", "no time"}}, {{1, 0}, {"a", "repeated (node_id, time)"}}};
    good.partitions[0] = {"t", 0, 2, 1, 1, 0};
    good.partitions[1] = {"t", 1, 1, 0, 1, 0};
    const std::map<std::int32_t, std::int64_t> ends{{0, 2}, {1, 1}, {2, 0}};
    const Acknowledgements sent{{{0, 0}, {"a", "good"}}, {{0, 1}, {"b", "no time"}}};
    CHECK(compare(good, ends, sent).sum() == 0);
    Acknowledgements copy = sent;
    copy[{1, 0}] = {"a", "good"};
    CHECK(compare(good, ends, copy).other_fate == 1);
    CHECK(compare(good, ends, copy, true).sum() == 0);
    Stored lost = good;
    lost.records.erase({0, 1});
    CHECK(compare(lost, ends, sent).lost == 1);
    CHECK(compare(lost, ends, sent).unaccounted == 1);
    lost.missed = lost.partitions[0].missed = 1;
    lost.partitions[0].quarantined = 0;
    CHECK(compare(lost, ends, sent).sum() == 0);  // noted as missed
    Stored more = good;
    more.records[{0, 2}] = {"c", "good"};
    CHECK(compare(more, ends, sent).invented == 1);
    Stored altered = good;
    altered.records[{0, 0}].hash = "c";
    CHECK(compare(altered, ends, sent).other_bytes == 1);
    Stored behind = good;
    behind.partitions[0].next_offset = 1;
    CHECK(compare(behind, ends, sent).unaccounted == 1);
    CHECK(compare(good, {{0, 2}, {1, 1}, {2, 3}}, sent).unaccounted == 1);
  }

  TEST_CASE("poison and compressed batches: what is stored is what was sent, by kind") {
    const report::TemporaryFolder folder;
    Cluster& cluster = shared_cluster();
    for (const char* codec : {"none", "gzip", "snappy", "lz4", "zstd"}) {
      CAPTURE(codec);
      const std::string topic = cluster.topic(), store = (folder.path() / topic).string() + ".db";
      Producer producer(cluster, topic, topic + "_sent", folder.path(),
                        {"--rows", "4000", "--nodes", "50", "--poison", "0.1", "--compression", codec});
      const auto sent = producer.done();
      Consumer consumer(cluster, topic, store, "consumer", folder.path(), {"--messages", "4000"});
      const auto report = consumer.done();
      CHECK(report["received"] == 4000);
      CHECK(report["stored"] == sent["good"]);
      const Stored stored = read_store(store);
      check_store(stored, cluster.ends(topic), producer.acknowledged());
      CHECK(stored.samples == sent["good"].get<std::int64_t>());
      for (const auto& [reason, count] : sent["poison"].items())
        CHECK(stored.rejected.at(reason) == count.get<std::int64_t>());
      CHECK(stored.rejected.size() == sent["poison"].size());
    }
  }

  TEST_CASE("a group rebalances: a second consumer joins, the first one leaves") {
    const report::TemporaryFolder folder;
    Cluster& cluster = shared_cluster();
    const std::string topic = cluster.topic(), store = (folder.path() / "s.db").string();
    Producer producer(cluster, topic, "sent", folder.path(),
                      {"--rows", "36000", "--nodes", "200", "--rate", "3000", "--poison", "0.02"});
    Consumer first(cluster, topic, store, "first", folder.path());
    wait_for_progress(store, topic, 3000);
    Consumer second(cluster, topic, store, "second", folder.path());
    sleep_ms(4000);
    const auto one = first.stop();
    const auto sent = producer.done();
    wait_for_progress(store, topic, sent["acknowledged"].get<std::int64_t>());
    const auto two = second.stop();
    CHECK(one["stored"].get<std::int64_t>() > 0);
    CHECK(two["stored"].get<std::int64_t>() > 0);
    CHECK(one["stored"].get<std::int64_t>() + two["stored"].get<std::int64_t>() ==
          sent["good"].get<std::int64_t>());
    check_store(read_store(store), cluster.ends(topic), producer.acknowledged());
  }

  TEST_CASE("a burst is taken as it comes, in bounded memory") {
    const report::TemporaryFolder folder;
    Cluster& cluster = shared_cluster();
    const std::string topic = cluster.topic(), store = (folder.path() / "s.db").string();
    Consumer consumer(cluster, topic, store, "consumer", folder.path(), {"--messages", "150000"});
    Producer producer(cluster, topic, "sent", folder.path(),
                      {"--rows", "150000", "--nodes", "640", "--ahead-of", cluster.group()});
    producer.done();
    consumer.done();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CHECK(consumer.child().peak_mib() < 200);
#endif
    check_store(read_store(store), cluster.ends(topic), producer.acknowledged());
  }

  TEST_CASE("a producer that is paced by the group loses nothing in a topic that keeps 5 MiB") {
    const report::TemporaryFolder folder;
    Cluster& cluster = shared_cluster();
    const std::string topic = cluster.topic(1), store = (folder.path() / "s.db").string();
    Consumer consumer(cluster, topic, store, "consumer", folder.path(), {"--messages", "60000"});
    Producer producer(cluster, topic, "sent", folder.path(),
                      {"--rows", "60000", "--nodes", "20", "--ahead-of", cluster.group()});
    producer.done();
    CHECK(consumer.done()["missed"] == 0);
    check_store(read_store(store), cluster.ends(topic), producer.acknowledged());
  }

  TEST_CASE("a consumer goes on where it was stopped, whatever Kafka's own offsets say") {
    const report::TemporaryFolder folder;
    Cluster& cluster = shared_cluster();
    const std::string topic = cluster.topic(8), store = (folder.path() / "s.db").string(),
                      other = (folder.path() / "other.db").string();
    Producer producer(cluster, topic, "sent", folder.path(), {"--rows", "3000", "--nodes", "50"});
    producer.done();
    Consumer(cluster, topic, store, "one", folder.path(), {"--messages", "3000"}).done();
    // The same group with an empty store: Kafka says that all has been read, the store says nothing has.
    Consumer(cluster, topic, other, "two", folder.path(), {"--messages", "3000"}).done();
    check_store(read_store(other), cluster.ends(topic), producer.acknowledged());
    // Nothing new: nothing is stored twice.
    const auto again =
        Consumer(cluster, topic, store, "three", folder.path(), {"--until-idle", "0.5"}).done();
    CHECK(again["received"] == 0);
    check_store(read_store(store), cluster.ends(topic), producer.acknowledged());
  }

  TEST_CASE("messages that the topic has dropped are counted, never passed over") {
    if (needs_mock()) return;  // it keeps 5 MiB a partition
    const report::TemporaryFolder folder;
    Cluster& cluster = shared_cluster();
    const std::string topic = cluster.topic(2), store = (folder.path() / "s.db").string();
    const auto produce = [&](const char* name, const char* rows, const char* start) {
      Producer producer(cluster, topic, name, folder.path(),
                        {"--rows", rows, "--nodes", "20", "--interval", "5", "--start", start});
      producer.done();
      return producer.acknowledged();
    };
    Acknowledgements all = produce("before", "2000", "1735689600");
    Consumer(cluster, topic, store, "one", folder.path(), {"--until-idle", "0.5"}).done();
    all.merge(produce("meanwhile", "150000", "1745689600"));
    const auto report = Consumer(cluster, topic, store, "two", folder.path(), {"--until-idle", "0.5"}).done();
    const Stored stored = read_store(store);
    CHECK(stored.missed > 10'000);
    CHECK(report["missed"] == stored.missed);
    CHECK(report["gaps"].get<int>() >= 1);
    CHECK(stored.samples + stored.missed == 152'000);
    check_store(stored, cluster.ends(topic), all);
  }

  TEST_CASE("what kcat sends from files is ingested") {
    const auto program = report::find_program("kcat");
    if (program.empty()) {
      MESSAGE("skipped: kcat is not installed");
      return;
    }
    const report::TemporaryFolder folder;
    Cluster& cluster = shared_cluster();
    const std::string topic = cluster.topic(2), store = (folder.path() / "s.db").string();
    stream::MessageGenerator generator({.rows = 40, .nodes = 40}, 0);
    std::vector<std::string> command{program, "-P", "-b", cluster.bootstrap(), "-t", topic, "-p", "0"};
    std::vector<std::string> sent;
    stream::GeneratedMessage message;
    while (generator.next(message)) {
      sent.push_back(sent.size() == 20 ? "no message" : message.bytes);
      command.push_back((folder.path() / std::to_string(sent.size())).string());
      std::ofstream(command.back(), std::ios::binary) << sent.back();
    }
    Child kcat("kcat", command, folder.path());
    REQUIRE(kcat.wait(30) == 0);
    const auto report =
        Consumer(cluster, topic, store, "consumer", folder.path(), {"--messages", "40"}).done();
    CHECK(report["stored"] == 39);
    CHECK(report["rejected"] == 1);
    const Stored stored = read_store(store);
    check_store(stored, cluster.ends(topic), {});
    for (std::size_t i = 0; i < sent.size(); ++i) {
      const Acknowledged& got = stored.records.at({0, static_cast<std::int64_t>(i)});
      CHECK(got.hash == fmt::format("{:016x}", stream::message_hash(sent[i])));
      CHECK(got.kind == (i == 20 ? "not a message" : "good"));
    }
  }
}
