// From librdkafka's mock cluster into a store in memory: every record once.
#include "stream/ingest_fixture.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

void read_to_the_end() {
  MockKafka kafka(4);
  for (int p = 0; p < 4; ++p) kafka.produce_samples(p, 0, 500);
  for (int i = 0; i < 7; ++i) kafka.produce(i % 4, "\xff no message");
  kafka.produce_samples(0, 10, 3);  // same node and time again
  kafka.flush();
  MemoryStore store;
  LogSink log;
  IngestReport report;
  ingest_topic(store, kafka.options(), until_idle(), report, log);
  CHECK(report.received == 2010);
  CHECK(report.stored == 2000);
  CHECK(report.rejected == 7);
  CHECK(report.reasons[static_cast<std::size_t>(Reason::not_a_message)] == 7);
  CHECK(report.repeated == 3);
  CHECK(report.discarded == 0);
  CHECK(report.adds_up());
  CHECK(report.lag == 0);
  CHECK(report.ended == "idle");
  CHECK(report.gaps == 0);
  CHECK(store.records() == 2010);
  CHECK(store.twice() == 0);
  CHECK_MESSAGE(!log.says("warning"), log.text());
  CHECK(report.positions.at(3) == 501);

  // Stored offsets win over Kafka's: another store gets what it lacks, and what is there is not read again.
  MemoryStore older;
  for (int p = 0; p < 4; ++p) older.put(p, 400);
  ingest_topic(older, kafka.options(), until_idle(), report, log);
  CHECK(report.received == 410);
  CHECK(older.offsets(3).size() == 101);
  CHECK(*older.offsets(3).begin() == 400);
}

void exactly_so_many() {
  MockKafka kafka(2);
  kafka.produce_samples(0, 0, 300);
  kafka.produce_samples(1, 0, 300);
  kafka.flush();
  MemoryStore store;
  IngestReport report;
  for (const std::int64_t n : {1, 133}) {
    IngestOptions options = quick();
    options.messages = n;
    ingest_topic(store, kafka.options(), options, report);
    CHECK(report.received == n);
    CHECK(report.stored == n);
  }
  CHECK(store.records() == 134);
  ingest_topic(store, kafka.options(), until_idle(), report);
  CHECK(report.received == 600 - 134);
  CHECK(report.gaps == 0);
  CHECK(store.twice() == 0);
}

void from_the_end() {
  MockKafka kafka(1);
  kafka.produce_samples(0, 0, 50);
  kafka.flush();
  MemoryStore store;
  IngestReport report;
  IngestOptions options = until_idle();
  options.from = From::end;
  ingest_topic(store, kafka.options(), options, report);
  CHECK(report.received == 0);
  CHECK(store.place(0) == 50);
  kafka.produce_samples(0, 50, 5);
  kafka.flush();
  ingest_topic(store, kafka.options(), options, report);
  CHECK(report.received == 5);
}

void retention() {
  MockKafka kafka(2);
  MemoryStore store;
  IngestReport report;
  kafka.produce_samples(0, 0, 100);
  kafka.produce_samples(1, 0, 100);
  kafka.flush();
  IngestOptions options = quick();
  options.messages = 150;
  ingest_topic(store, kafka.options(), options, report);
  const std::int64_t place = store.place(0);
  const std::string large(20000, 'x');
  for (int i = 0; i < 600; ++i) kafka.produce(0, large);  // the cluster keeps 5 MiB of a partition
  kafka.flush();
  LogSink log;
  ingest_topic(store, kafka.options(), until_idle(), report, log);
  REQUIRE(report.gaps == 1);
  const Gap gap = store.gaps().at(0);
  CHECK(gap.partition == 0);
  CHECK(gap.first == place);
  CHECK(gap.cause == "retention");
  CHECK(report.missed == gap.next - gap.first);
  CHECK(store.place(0) == 700);
  CHECK(store.place(1) == 100);
  CHECK(static_cast<std::int64_t>(store.offsets(0).size()) == 700 - report.missed);
  CHECK(store.twice() == 0);
  CHECK(log.says("partition 0: offsets"));
}

void topic_made_anew() {
  MockKafka kafka(1);
  kafka.produce_samples(0, 0, 20);
  kafka.flush();
  MemoryStore store;
  store.put(0, 500);
  IngestReport report;
  LogSink log;
  StopToken stop;
  try {
    ingest_topic(store, kafka.options(), until_idle(), report, log, stop);
    FAIL("no error");
  } catch (const DataError& e) {
    const std::string text = e.what();
    CHECK(text.find("stands at offset 500, but the topic ends at 20") != std::string::npos);
    CHECK(text.find("another store") != std::string::npos);
  }
  CHECK(store.place(0) == 500);
}

void moved_by_another() {
  MockKafka kafka(2);
  kafka.produce_samples(0, 0, 400);
  kafka.produce_samples(1, 0, 400);
  kafka.flush();
  MemoryStore store;
  std::atomic<bool> moved{false};
  store.before_commit = [&](const Batch& batch) {
    if (!batch.samples.empty() && !moved.exchange(true)) store.put(0, 250);
  };
  IngestReport report;
  ingest_topic(store, kafka.options(), until_idle(), report);
  CHECK(report.conflicts == 1);
  CHECK(store.place(0) == 400);
  CHECK(store.place(1) == 400);
  CHECK(store.offsets(0).size() == 150);
  CHECK(*store.offsets(0).begin() == 250);
  CHECK(store.offsets(1).size() == 400);
  CHECK(report.discarded > 0);
  CHECK(report.gaps == 0);
  CHECK(report.adds_up());
  CHECK(store.twice() == 0);
}

}  // namespace

TEST_CASE("Topics are read from the stored offsets on") {
  together({
      {"to the end", read_to_the_end},
      {"exactly so many messages", exactly_so_many},
      {"new partitions from the end", from_the_end},
      {"removed by retention: a gap", retention},
      {"the topic was made anew", topic_made_anew},
      {"another consumer was faster", moved_by_another},
  });
}
