// Slow and failing stores, brokers that go away, groups that change.
#include "stream/ingest_fixture.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

void slow_store() {
  MockKafka kafka(4);
  for (int p = 0; p < 4; ++p) kafka.produce_samples(p, 0, 2000);
  kafka.flush();
  MemoryStore store;
  std::atomic<int> naps{0};
  store.before_commit = [&](const Batch& batch) {
    // Longer than max.poll.interval.ms, which the poll must not notice.
    if (!batch.samples.empty() && naps++ < 1) std::this_thread::sleep_for(std::chrono::milliseconds(7000));
  };
  KafkaOptions options = kafka.options();
  options.properties["max.poll.interval.ms"] = "6000";
  IngestOptions ingest = until_idle();
  ingest.batch_records = 100;
  ingest.ahead_bytes = 100'000;
  IngestReport report;
  LogSink log;
  ingest_topic(store, options, ingest, report, log);
  CHECK(store.records() == 8000);
  CHECK(store.twice() == 0);
  CHECK(report.rebalances == 0);
  CHECK(report.gaps == 0);
  CHECK(log.says("the store is slow"));
}

void store_recovers() {
  MockKafka kafka(1);
  kafka.produce_samples(0, 0, 300);
  kafka.flush();
  MemoryStore store;
  std::atomic<int> failures{0};
  IngestReport report;
  LogSink log;

  store.before_commit = [&](const Batch&) {
    if (failures++ < 3) throw IoError("disk full", ErrorKind::environment);
  };
  ingest_topic(store, kafka.options(), until_idle(), report, log);
  CHECK(report.stored == 300);
  CHECK(report.store_retries == 3);
  CHECK(log.says("disk full; trying again"));
  CHECK(log.says("can be written again"));
}

void store_is_lost() {
  MockKafka kafka(1);
  kafka.produce_samples(0, 0, 300);
  kafka.flush();
  MemoryStore store;

  store.before_commit = [&](const Batch& batch) {
    if (batch.ranges.at(0).first > 0) throw IoError("disk full", ErrorKind::environment);
  };
  IngestOptions options = until_idle();
  options.batch_records = 100;
  options.store_seconds = .2;
  RunningIngest run(store, kafka.options(), options);
  run.join();
  CHECK(run.kind == ErrorKind::environment);
  CHECK(run.error.find("could not be written") != std::string::npos);
  CHECK(run.error.find("disk full") != std::string::npos);
  CHECK(run.error.find("records of this run are in it") != std::string::npos);
  CHECK(run.report.adds_up());
  CHECK(run.report.discarded == run.report.received - store.records());
}

void two_consumers(const char* strategy) {
  MockKafka kafka(8);
  MemoryStore store;
  const auto produce = [&](std::int64_t first) {
    for (int p = 0; p < 8; ++p) kafka.produce_samples(p, first, 200);
    kafka.flush();
  };
  KafkaOptions options = kafka.options();
  options.properties["partition.assignment.strategy"] = strategy;
  options.properties["session.timeout.ms"] = "4000";
  produce(0);
  RunningIngest first(store, options, quick());
  REQUIRE(wait_for([&] { return store.records() == 1600; }));
  {
    RunningIngest second(store, options, quick());
    REQUIRE(wait_for([&] { return second.log.says("partitions assigned"); }));
    produce(200);
    REQUIRE(wait_for([&] { return store.records() == 3200; }));
    second.end();
    CHECK(second.error == "");
    CHECK(second.report.adds_up());
    CHECK(second.report.received > 0);
  }
  produce(400);
  REQUIRE(wait_for([&] { return store.records() == 4800; }));
  first.end();
  CHECK(first.error == "");
  CHECK(first.report.ended == "stopped");
  CHECK(first.report.rebalances >= 1);
  CHECK(first.report.adds_up());
  CHECK(store.twice() == 0);
  CHECK(store.gaps().empty());
}

void commits_fail() {
  MockKafka kafka(1);
  kafka.produce_samples(0, 0, 100);
  kafka.flush();
  rd_kafka_mock_push_request_errors(
      kafka.cluster, 8 /* OffsetCommit */, 3, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  MemoryStore store;
  IngestReport report;
  LogSink log;
  ingest_topic(store, kafka.options(), until_idle(), report, log);
  CHECK(report.stored == 100);
  CHECK(report.commits_failed >= 1);
  CHECK(log.says("debug: Kafka did not take a commit"));
}

void broker_away() {
  MockKafka kafka(2);
  kafka.produce_samples(0, 0, 100);
  kafka.flush();
  MemoryStore store;
  RunningIngest run(store, kafka.options(), quick());
  REQUIRE(wait_for([&] { return store.records() == 100; }));
  rd_kafka_mock_broker_set_down(kafka.cluster, -1);
  CHECK(wait_for([&] { return run.log.says("trying again until one does"); }));
  rd_kafka_mock_broker_set_up(kafka.cluster, -1);
  CHECK(wait_for([&] { return run.log.says("answers again"); }));
  kafka.produce_samples(1, 0, 100);
  kafka.flush();
  CHECK(wait_for([&] { return store.records() == 200; }));
  run.end();
  CHECK(run.error == "");
  CHECK(run.report.outages == 1);
  CHECK(store.twice() == 0);
}

void idle_after_an_outage() {
  MockKafka kafka(2);
  kafka.produce_samples(0, 0, 100);
  kafka.flush();
  MemoryStore store;
  IngestOptions options = quick();
  options.until_idle = 1.5;
  RunningIngest run(store, kafka.options(), options);
  REQUIRE(wait_for([&] { return store.records() == 100; }));
  rd_kafka_mock_broker_set_down(kafka.cluster, -1);
  REQUIRE(wait_for([&] { return run.log.says("trying again until one does"); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(1600));
  rd_kafka_mock_broker_set_up(kafka.cluster, -1);
  REQUIRE(wait_for([&] { return run.log.says("answers again"); }));
  kafka.produce_samples(1, 0, 100);
  run.join();
  CHECK(run.error == "");
  CHECK(run.report.ended == "idle");
  CHECK(store.records() == 200);
}

/// What was decoded before an error of the topic is written and counted.
void error_of_a_partition() {
  MockKafka kafka(2);
  kafka.produce_samples(0, 0, 20);
  kafka.produce_samples(1, 0, 4000);
  kafka.flush();
  MemoryStore store;
  store.put(0, 500);
  store.before_commit = [](const Batch&) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  IngestOptions options = until_idle();
  options.batch_records = 100;
  RunningIngest run(store, kafka.options(), options);
  run.join();
  CHECK(run.kind == ErrorKind::data);
  CHECK(run.report.adds_up());
  CHECK(run.report.received == run.report.stored);
  CHECK(run.report.stored == store.records());
}

void stopped_before_offsets_are_known() {
  MockKafka kafka(1);
  const std::vector<rd_kafka_resp_err_t> errors(2000, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
  rd_kafka_mock_push_request_errors_array(kafka.cluster, 2 /* ListOffsets */, errors.size(), errors.data());
  MemoryStore store;
  IngestOptions options = quick();
  options.connect_seconds = 60;
  RunningIngest run(store, kafka.options(), options);
  std::this_thread::sleep_for(std::chrono::milliseconds(5000));  // the group is formed by then
  run.end();
  CHECK(run.error == "");
  CHECK(run.report.ended == "stopped");
  CHECK(store.place(0) == -1);
}

void nothing_there() {
  MemoryStore store;
  IngestReport report;
  IngestOptions options = quick();
  options.connect_seconds = .3;
  const auto error_of = [&](const KafkaOptions& kafka) -> std::string {
    try {
      ingest_topic(store, kafka, options, report);
    } catch (const IoError& e) {
      CHECK(e.kind() == ErrorKind::environment);
      return e.what();
    }
    return {};
  };
  KafkaOptions nobody;
  nobody.brokers = "127.0.0.1:1";
  CHECK(error_of(nobody).find("no broker of 127.0.0.1:1 answers") != std::string::npos);
  MockKafka kafka(1);
  rd_kafka_mock_topic_set_error(kafka.cluster, "absent", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  KafkaOptions absent = kafka.options();
  absent.topic = "absent";
  CHECK(error_of(absent).find("topic absent") != std::string::npos);
}

}  // namespace

TEST_CASE("Trouble costs no record and stores none twice") {
  together({
      {"a slow store", slow_store},
      {"a store that recovers", store_recovers},
      {"a store that does not", store_is_lost},
      {"two consumers", [] { two_consumers("range"); }},
      {"Kafka's commits fail", commits_fail},
      {"a broker goes away", broker_away},
      {"idle after an outage", idle_after_an_outage},
      {"an error of one partition", error_of_a_partition},
      {"stopped before offsets are known", stopped_before_offsets_are_known},
      {"nothing to be reached", nothing_there},
  });
}

TEST_SUITE_BEGIN("slow ingest");

TEST_CASE("Two consumers with the incremental protocol") {
  two_consumers("cooperative-sticky");
}

TEST_SUITE_END();
