// The thread that writes: order, room, staleness, conflicts, failures.
#include "stream/batch_writer.h"
#include "stream/ingest_fixture.h"
#include "stream/store_fixture.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;
using std::chrono::milliseconds;

namespace {

Parcel parcel_of(BatchWriter& writer, std::vector<Range> ranges, std::int64_t bytes = 100) {
  Parcel parcel = writer.blank("topic");
  for (const Range& r : ranges) {
    for (std::int64_t o = r.first; o < r.next; ++o)
      parcel.batch.samples.push_back(
          make_sample(r.partition, o, 1000 + o, "n" + std::to_string(r.partition)));
    parcel.batch.ranges.push_back(r);
    parcel.generations.push_back(writer.generation(r.partition));
  }
  parcel.bytes = bytes;
  return parcel;
}

/// Holds the store's first commit until it is opened.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool reached = false, open = false;
  void pass() {
    std::unique_lock lock(mutex);
    reached = true;
    changed.notify_all();
    changed.wait(lock, [&] { return open; });
  }
  void wait_until_reached() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return reached; });
  }
  void let_go() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
};

}  // namespace

TEST_CASE("Batches are written in order and counted; the queue is bounded by bytes") {
  MemoryStore store;
  Gate gate;
  store.before_commit = [&](const Batch&) { gate.pass(); };
  const StopToken stop;
  BatchWriter writer(store, {250, 1, "store"}, stop);
  std::int64_t next = 0;
  for (; next < 20; next += 10) {
    Parcel p = parcel_of(writer, {{0, next, next + 10}});
    CHECK(writer.push(p, milliseconds(0)));
  }
  gate.wait_until_reached();
  Parcel third = parcel_of(writer, {{0, 20, 30}});
  CHECK(!writer.push(third, milliseconds(1)));
  CHECK(third.batch.records() == 10);  // still ours
  CHECK(!writer.drain(milliseconds(1)));
  gate.let_go();
  CHECK(writer.push(third, milliseconds(10000)));
  CHECK(writer.drain(milliseconds(10000)));
  const Written written = writer.take();
  CHECK(written.stored == 30);
  CHECK(written.batches == 3);
  CHECK(written.positions.at(0) == 30);
  CHECK(writer.take().stored == 0);
  Parcel large = parcel_of(writer, {{0, 30, 31}}, 1'000'000);
  CHECK(writer.push(large, milliseconds(0)));                // one always has room
  CHECK(writer.positions("topic").at(0).next_offset == 31);  // asked behind the batches
}

TEST_CASE("Stale records are dropped before the store sees them") {
  MemoryStore store;
  const StopToken stop;
  BatchWriter writer(store, {1000, 1, "store"}, stop);
  Parcel p = parcel_of(writer, {{0, 0, 5}, {1, 0, 7}, {2, 0, 3}});
  Parcel q = parcel_of(writer, {{1, 7, 9}});
  writer.renew(1);
  CHECK(writer.push(p, milliseconds(0)));
  CHECK(writer.push(q, milliseconds(0)));
  CHECK(writer.drain(milliseconds(10000)));
  const Written written = writer.take();
  CHECK(written.stored == 8);
  CHECK(written.discarded == 9);
  CHECK(written.batches == 1);
  CHECK(store.place(1) == -1);
}

TEST_CASE("After a conflict the rest is written and the partition's later records are dropped") {
  MemoryStore store;
  store.put(1, 4);
  const StopToken stop;
  BatchWriter writer(store, {1000, 1, "store"}, stop);
  Parcel p = parcel_of(writer, {{0, 0, 5}, {1, 0, 7}});
  Parcel q = parcel_of(writer, {{1, 7, 9}, {0, 5, 6}});
  CHECK(writer.push(p, milliseconds(0)));
  CHECK(writer.push(q, milliseconds(0)));
  CHECK(writer.drain(milliseconds(10000)));
  const Written written = writer.take();
  CHECK(written.conflicts == 1);
  CHECK(written.moved.at(1) == 4);
  CHECK(written.stored == 6);
  CHECK(written.discarded == 9);
  CHECK(writer.generation(1) == 1);
  CHECK(writer.generation(0) == 0);
  CHECK(store.place(1) == 4);
  CHECK(store.place(0) == 6);
}

TEST_CASE("A batch that was written though the answer was lost is not taken for another's") {
  MemoryStore store;
  const StopToken stop;
  int calls = 0;
  store.before_commit = [&](const Batch& batch) {
    if (++calls > 1) return;
    for (const Range& r : batch.ranges) store.put(r.partition, r.next);  // the database did it all the same
    throw IoError("connection lost", ErrorKind::environment);
  };
  BatchWriter writer(store, {1000, 10, "store"}, stop);
  Parcel p = parcel_of(writer, {{0, 0, 5}, {1, 0, 7}, {2, 40, 40}});
  CHECK(writer.push(p, milliseconds(0)));
  CHECK(writer.drain(milliseconds(10000)));
  const Written written = writer.take();
  CHECK(written.conflicts == 0);
  CHECK(written.discarded == 0);
  CHECK(written.stored == 12);
  CHECK(written.retries == 1);
}

TEST_CASE("Positions are asked for as patiently as batches are written") {
  MemoryStore store;
  store.put(0, 7);
  int calls = 0;
  store.before_positions = [&] {
    if (++calls < 3) throw IoError("the server restarts", ErrorKind::environment);
  };
  const StopToken stop;
  SUBCASE("until the store answers") {
    BatchWriter writer(store, {1000, 10, "store"}, stop);
    CHECK(writer.positions("topic").at(0).next_offset == 7);
    const Written written = writer.take();
    CHECK(written.retries == 2);
    REQUIRE(written.lines.size() == 2);
    CHECK(written.lines[0].second.find("could not be read: the server restarts") != std::string::npos);
  }
  SUBCASE("not longer than allowed") {
    BatchWriter writer(store, {1000, 0, "store"}, stop);
    CHECK_THROWS_AS(writer.positions("topic"), IoError);
    CHECK(calls == 1);
  }
}

TEST_CASE("What ends the writer reaches whoever asks; nothing is written afterwards") {
  MemoryStore store;
  StopToken stop;
  double seconds = 0;
  SUBCASE("no retry") {}
  SUBCASE("a stop leaves one more attempt") {
    seconds = 1000;
    stop.request_stop();
  }
  std::atomic<int> calls{0};
  store.before_commit = [&](const Batch&) {
    ++calls;
    throw IoError("disk full", ErrorKind::environment);
  };
  BatchWriter writer(store, {1000, seconds, "features.db"}, stop);
  Parcel p = parcel_of(writer, {{0, 0, 5}});
  CHECK(writer.push(p, milliseconds(0)));
  std::string text;
  try {
    writer.drain(milliseconds(20000));
  } catch (const IoError& e) {
    text = e.what();
    CHECK(e.kind() == ErrorKind::environment);
  }
  CHECK(text.find("features.db could not be written") == 0);
  CHECK(text.find("disk full") != std::string::npos);
  CHECK(calls == (seconds > 0 ? 2 : 1));
  Parcel q = parcel_of(writer, {{0, 5, 6}});
  CHECK_THROWS_AS(writer.push(q, milliseconds(0)), IoError);
  CHECK_THROWS_AS(writer.check(), IoError);
  CHECK(writer.take().discarded == 5);
}
