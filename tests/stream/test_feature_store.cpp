// What a store promises, on every engine.
#include <bit>
#include <cmath>

#include "emshap/core/error.h"
#include "emshap/stream/feature_vector.h"
#include "stream/store_fixture.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

bool same(const Sample& a, const Sample& b) {
  const auto bits = [](float v) { return std::isnan(v) ? 0xFFFFFFFFU : std::bit_cast<std::uint32_t>(v); };
  bool equal = a.time == b.time && a.offset == b.offset && a.partition == b.partition &&
               a.node_id == b.node_id && a.extra == b.extra &&
               bits(a.power_consumption) == bits(b.power_consumption);
  for (std::size_t m = 0; m < metric_count; ++m) equal &= bits(a.metrics[m]) == bits(b.metrics[m]);
  return equal;
}

std::string message_of(const Sample& sample) {
  std::string bytes;
  encode(sample, bytes);
  return bytes;
}

}  // namespace

TEST_SUITE("feature_store") {
  TEST_CASE("what was committed is read again, bit for bit") {
    on_engines([](const std::string& location) {
      Batch batch = make_batch(3, 10, 40);
      batch.samples[1].metrics.fill(not_measured);
      batch.samples[1].power_consumption = not_measured;
      batch.samples[2].node_id = "Knoten-ä-节点-🖥";
      batch.samples[3].extra = R"({"rack_inlet":21.5})";
      batch.samples[4].metrics[0] = -0.F;
      batch.samples[5].metrics[7] = std::nextafter(1.F, 2.F);
      batch.samples[6].metrics[8] = 3.4e38F;
      batch.samples[7].metrics[9] = 1e-45F;
      batch.samples[8].time = 253'402'300'799;  // end of the year 9999
      batch.samples[9].node_id = std::string(3000, 'x');
      {
        const auto store = open_store(location);
        const CommitResult result = store->commit(batch);
        CHECK(result.written());
        CHECK(result.stored == 40);
        CHECK(result.repeated == 0);
        CHECK(result.quarantined == 0);
      }
      StoreOptions reading;
      reading.read_only = true;
      const auto store = open_store(location, reading);
      std::sort(batch.samples.begin(), batch.samples.end(), [](const Sample& a, const Sample& b) {
        return a.node_id != b.node_id ? a.node_id < b.node_id : a.time < b.time;
      });
      for (const std::int64_t block : {1, 39, 40, 1000}) {
        const std::vector<Sample> samples = all_samples(*store, {}, block);
        REQUIRE(samples.size() == 40);
        // Zero has no sign in the database.
        for (std::size_t i = 0; i < samples.size(); ++i) {
          CAPTURE(i);
          Sample expected = batch.samples[i];
          expected.metrics[0] += 0.F;
          Sample got = samples[i];
          got.metrics[0] += 0.F;
          CHECK(same(got, expected));
        }
      }
      CHECK(store->count({}) == 40);
    });
  }

  TEST_CASE("an empty store has nothing and takes batches of any size") {
    on_engines([](const std::string& location) {
      const auto store = open_store(location);
      CHECK(store->positions("topic").empty());
      CHECK(all_samples(*store).empty());
      CHECK(store->count({}) == 0);
      CHECK(store->prune(1'000'000) == std::pair<std::int64_t, std::int64_t>(0, 0));
      CHECK(store->summary().samples == 0);
      CHECK(store->commit({}).written());
      std::int64_t next = 0;
      for (const std::int64_t count : {0, 1, 31, 32, 33, 5000}) {
        CHECK(store->commit(make_batch(0, next, count)).stored == count);
        next += count;
        CHECK(store->positions("topic").at(0).next_offset == next);
        CHECK(store->count({}) == next);
      }
      CHECK(store->positions("another").empty());
    });
  }

  TEST_CASE("a batch that another consumer has read changes nothing and names the stored positions") {
    on_engines([](const std::string& location) {
      const auto store = open_store(location);
      CHECK(store->commit(make_batch(0, 0, 10)).written());
      CHECK(store->commit(make_batch(1, 50, 10)).written());
      Batch batch = make_batch(0, 5, 10);  // behind
      Batch ahead = make_batch(1, 70, 10), fine = make_batch(2, 0, 10);
      for (const Batch& more : {ahead, fine}) {
        batch.samples.insert(batch.samples.end(), more.samples.begin(), more.samples.end());
        batch.ranges.push_back(more.ranges[0]);
      }
      const CommitResult result = store->commit(batch);
      CHECK_FALSE(result.written());
      CHECK(result.conflicts == std::map<std::int32_t, std::int64_t>{{0, 10}, {1, 60}});
      CHECK(result.stored == 0);
      CHECK(store->count({}) == 20);
      CHECK(store->positions("topic").size() == 2);
      CHECK(store->commit(make_batch(0, 0, 10)).conflicts.at(0) == 10);  // the same again
      CHECK(store->commit(make_batch(0, 10, 3)).stored == 3);
    });
  }

  TEST_CASE("topics have positions of their own, files a fingerprint") {
    on_engines([](const std::string& location) {
      const auto store = open_store(location);
      Batch batch = make_batch(0, 0, 3);
      CHECK(store->commit(batch, "f1").written());
      CHECK(store->positions("topic").at(0).fingerprint == "f1");
      batch = make_batch(0, 0, 2);
      batch.topic = "Thema's \"zwei\"";
      for (Sample& s : batch.samples) s.node_id = "other";
      CHECK(store->commit(batch).written());
      CHECK(store->positions(batch.topic).at(0).next_offset == 2);
      CHECK(store->positions("topic").at(0).next_offset == 3);
      CHECK(store->commit(make_batch(0, 3, 1), "f2").written());
      CHECK(store->positions("topic").at(0).fingerprint == "f2");
    });
  }

  TEST_CASE("gaps explain a jump, also several and in any order") {
    on_engines([](const std::string& location) {
      const auto store = open_store(location);
      CHECK(store->commit(make_batch(0, 0, 10)).written());
      Batch batch = make_batch(0, 40, 5);
      batch.gaps = {{0, 25, 40, "missing offsets"}, {0, 10, 25, "retention"}};
      Batch wrong = batch;
      wrong.gaps[1].first = 11;
      CHECK(store->commit(wrong).conflicts.at(0) == 10);
      wrong = batch;
      wrong.gaps.pop_back();
      CHECK(store->commit(wrong).conflicts.at(0) == 10);
      wrong = batch;
      wrong.gaps[1].partition = 1;
      CHECK(store->commit(wrong).conflicts.at(0) == 10);
      const CommitResult result = store->commit(batch);
      CHECK(result.written());
      CHECK(result.gaps == 2);
      CHECK(result.missed == 30);
      CHECK(store->commit(batch).conflicts.at(0) == 45);
      // Offsets that are missing inside a range are noted, too; a batch may hold a gap alone.
      batch = make_batch(0, 45, 2);
      batch.ranges[0].next = 60;
      batch.gaps = {{0, 47, 60, "missing offsets"}};
      CHECK(store->commit(batch).missed == 13);
      batch = make_batch(0, 70, 0);
      batch.gaps = {{0, 60, 70, "retention"}};
      CHECK(store->commit(batch).written());
      const StoreSummary summary = store->summary();
      REQUIRE(summary.partitions.size() == 1);
      CHECK(summary.partitions[0].missed == 53);
      CHECK(summary.partitions[0].next_offset == 70);
      CHECK(summary.partitions[0].samples + summary.partitions[0].missed == 70);
    });
  }

  TEST_CASE("of samples with one node and time one stays, the other goes to quarantine") {
    on_engines([](const std::string& location) {
      CAPTURE(location);
      for (const Repeated policy : {Repeated::first, Repeated::last}) {
        CAPTURE(static_cast<int>(policy));
        StoreOptions options;
        options.repeated = policy;
        const auto store = open_store(location, options);
        const bool first = policy == Repeated::first;
        const std::string node = first ? "a" : "b";
        const std::int64_t begin = first ? 0 : 100;
        const Sample one = make_sample(0, begin, 500, node), two = make_sample(0, begin + 1, 500, node),
                     three = make_sample(0, begin + 2, 500, node),
                     four = make_sample(0, begin + 3, 501, node);
        Batch batch;
        batch.topic = first ? "first" : "last";
        batch.samples = {one, two};
        batch.ranges = {{0, begin, begin + 2}};
        CommitResult result = store->commit(batch);
        CHECK(result.stored == 1);
        CHECK(result.repeated == 1);
        CHECK(result.quarantined == 0);
        batch.samples = {four, three};
        batch.ranges = {{0, begin + 2, begin + 4}};
        result = store->commit(batch);
        CHECK(result.stored == 1);
        CHECK(result.repeated == 1);
        RowFilter filter;
        filter.nodes = {node};
        const auto samples = all_samples(*store, filter);
        REQUIRE(samples.size() == 2);
        CHECK(same(samples[0], first ? one : three));
        CHECK(same(samples[1], four));
        std::vector<Quarantined> messages = all_quarantined(*store);
        std::erase_if(messages, [&](const Quarantined& q) { return q.topic != batch.topic; });
        REQUIRE(messages.size() == 2);
        CHECK(messages[0].bytes == message_of(first ? two : one));
        CHECK(messages[1].bytes == message_of(first ? three : two));
        for (const Quarantined& q : messages) CHECK(q.reason == to_string(Reason::repeated));
        CHECK(messages[0].offset == (first ? begin + 1 : begin));
        CHECK(store->positions(batch.topic).at(0).next_offset == begin + 4);
      }
    });
  }

  TEST_CASE("rejected messages are kept byte for byte") {
    on_engines([](const std::string& location) {
      const auto store = open_store(location);
      Batch batch = make_batch(0, 0, 2);
      std::string all;
      for (int b = 0; b < 256; ++b) all += static_cast<char>(b);
      batch.rejected.push_back({2, 0, Reason::not_a_message, std::string("bad \xff text\0here", 15), all});
      batch.rejected.push_back({3, 0, Reason::no_time, "time 0", ""});
      // What no database takes as text: a wrong sequence of bytes, a zero byte.
      batch.samples.push_back(make_sample(0, 4, 7, "\xC3("));
      batch.samples.push_back(make_sample(0, 5, 7, std::string("a\0b", 3)));
      batch.ranges[0].next = 6;
      const CommitResult result = store->commit(batch);
      CHECK(result.stored == 2);
      CHECK(result.quarantined == 4);
      const auto messages = all_quarantined(*store);
      REQUIRE(messages.size() == 4);
      CHECK(messages[0].bytes == all);
      CHECK(messages[0].detail == "bad ? text?here");
      CHECK(messages[0].reason == to_string(Reason::not_a_message));
      CHECK(messages[0].offset == 2);
      CHECK(messages[0].stored_at > 1'600'000'000);
      CHECK(messages[1].bytes.empty());
      CHECK(messages[3].reason == to_string(Reason::no_node));
      batch.samples[3].node_id = "a?b";
      CHECK(messages[3].bytes == message_of(batch.samples[3]));
      std::int64_t seen = 0;
      store->scan_quarantine(3, [&](const Quarantined&) { ++seen; });
      CHECK(seen == 3);
    });
  }

  TEST_CASE("a batch that contradicts itself is not written") {
    on_engines([](const std::string& location) {
      const auto store = open_store(location);
      Batch batch = make_batch(0, 0, 3);
      batch.ranges[0].next = 2;
      CHECK_THROWS_AS(store->commit(batch), Error);
      batch.ranges[0] = {1, 0, 3};
      CHECK_THROWS_AS(store->commit(batch), Error);
      batch.ranges = {{0, 0, 3}, {0, 0, 3}};
      CHECK_THROWS_AS(store->commit(batch), Error);
      batch.ranges = {{0, 3, 0}};
      CHECK_THROWS_AS(store->commit(batch), Error);
      CHECK(store->positions("topic").empty());
    });
  }
}
