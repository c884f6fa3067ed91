// Reading blocks, filters, summaries and removal, on every engine.
#include <algorithm>
#include <set>

#include "emshap/core/error.h"
#include "stream/store_fixture.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

/// 4 nodes at 50 times (100, 110, ...), in two partitions; the offsets count up in each.
Batch grid() {
  Batch batch;
  batch.topic = "grid";
  std::int64_t offsets[2] = {0, 0};
  const std::string names[] = {"B", "a", "Ä", "z"};
  for (std::int64_t t = 49; t >= 0; --t)
    for (std::int32_t n = 0; n < 4; ++n)
      batch.samples.push_back(make_sample(n % 2, offsets[n % 2]++, 100 + 10 * t, names[n]));
  batch.ranges = {{1, 0, offsets[1]}, {0, 0, offsets[0]}};
  return batch;
}

}  // namespace

TEST_SUITE("store_reading") {
  TEST_CASE("samples come by the bytes of the node and by time, in blocks of any size") {
    on_engines([](const std::string& location) {
      const auto store = open_store(location);
      Batch batch;
      batch.topic = "nodes";
      const std::vector<std::string> names = {"B", "a", "b", "z", "ä", "中"};
      for (std::int64_t t = 0; t < 20; ++t)
        for (std::size_t n = names.size(); n-- > 0;)
          batch.samples.push_back(
              make_sample(0, static_cast<std::int64_t>(batch.samples.size()), 100 + t, names[n]));
      batch.ranges = {{0, 0, static_cast<std::int64_t>(batch.samples.size())}};
      CHECK(store->commit(batch).stored == 120);
      for (const std::int64_t block : {1, 2, 5, 119, 120, 121}) {
        const auto samples = all_samples(*store, {}, block);
        REQUIRE(samples.size() == 120);
        for (std::size_t i = 0; i < samples.size(); ++i) {
          CHECK(samples[i].time == 100 + static_cast<std::int64_t>(i % 20));
          CHECK(samples[i].node_id == names[i / 20]);
        }
      }
      std::int64_t blocks = 0;
      store->scan({}, 10, [&](const std::vector<Sample>& rows) {
        CHECK(rows.size() == 10);
        return ++blocks < 3;
      });
      CHECK(blocks == 3);
    });
  }

  TEST_CASE("a filter takes the rows that it says") {
    on_engines([](const std::string& location) {
      const auto store = open_store(location);
      CHECK(store->commit(grid()).stored == 200);
      const auto all = all_samples(*store);
      for (const char* text :
           {"", "time >= 200", "time < 200", "time >= 150 and time < 300", "node_id = a", "node_id != a",
            "node_id in (a, B)", "node_id not in (a, B) and time >= 300", "node_id = Ä and time < 333",
            "time > 10000", "node_id = nobody", "node_id = \"a' OR 1=1 --\""}) {
        CAPTURE(text);
        const RowFilter filter = parse_row_filter(text);
        std::size_t expected = 0;
        for (const Sample& s : all) expected += filter.takes_time(s.time) && filter.takes_node(s.node_id);
        const auto samples = all_samples(*store, filter, 13);
        CHECK(samples.size() == expected);
        CHECK(store->count(filter) == static_cast<std::int64_t>(expected));
        for (const Sample& s : samples) CHECK((filter.takes_time(s.time) && filter.takes_node(s.node_id)));
      }
    });
  }

  TEST_CASE("reading goes on while samples arrive") {
    on_engines([](const std::string& location) {
      const auto store = open_store(location), writer = open_store(location);
      CHECK(writer->commit(make_batch(0, 0, 50)).stored == 50);
      std::int64_t seen = 0, next = 50;
      store->scan({}, 10, [&](const std::vector<Sample>& rows) {
        seen += static_cast<std::int64_t>(rows.size());
        if (next < 100) {
          CHECK(writer->commit(make_batch(0, next, 10)).stored == 10);
          next += 10;
        }
        return true;
      });
      CHECK(seen == 100);
    });
  }

  TEST_CASE("a summary counts what is there") {
    on_engines([](const std::string& location) {
      const auto store = open_store(location);
      Batch batch = grid();
      const std::int64_t next = batch.ranges[0].next;
      batch.ranges[0].next += 3;
      batch.rejected = {{next, 1, Reason::no_time, "", "x"},
                        {next + 1, 1, Reason::not_a_message, "", "y"},
                        {next + 2, 1, Reason::no_time, "", "z"}};
      CHECK(store->commit(batch).quarantined == 3);
      CHECK(store->commit(make_batch(7, 1000, 5)).stored == 5);
      const StoreSummary s = store->summary();
      CHECK(s.samples == 205);
      CHECK(s.first_time == 100);
      CHECK(s.last_time == 2004);
      CHECK(s.version == 1);
      CHECK(s.schema_hash.size() == 16);
      CHECK(s.location == without_password(location));
      CHECK(s.nodes == std::vector<std::pair<std::string, std::int64_t>>{
                           {"B", 50}, {"a", 50}, {"n7", 5}, {"z", 50}, {"Ä", 50}});
      CHECK(s.rejected == std::vector<std::pair<std::string, std::int64_t>>{
                              {to_string(Reason::no_time), 2}, {to_string(Reason::not_a_message), 1}});
      REQUIRE(s.partitions.size() == 3);
      CHECK(s.partitions[0].topic == "grid");
      CHECK(s.partitions[0].samples == 100);
      CHECK(s.partitions[1].partition == 1);
      CHECK(s.partitions[1].quarantined == 3);
      CHECK(s.partitions[1].next_offset == 103);
      CHECK(s.partitions[2].topic == "topic");
      CHECK(s.partitions[2].partition == 7);
      CHECK(s.partitions[2].next_offset == 1005);
    });
  }

  TEST_CASE("prune removes what is older and keeps the positions") {
    on_engines([](const std::string& location) {
      const auto store = open_store(location);
      Batch batch = grid();
      batch.rejected = {{batch.ranges[1].next++, 0, Reason::no_time, "", "x"}};
      CHECK(store->commit(batch).written());
      CHECK(store->prune(100) == std::pair<std::int64_t, std::int64_t>(0, 0));
      CHECK(store->prune(101) == std::pair<std::int64_t, std::int64_t>(4, 0));
      CHECK(store->prune(300) == std::pair<std::int64_t, std::int64_t>(76, 0));
      CHECK(store->count({}) == 120);
      CHECK(all_samples(*store).front().time == 300);
      CHECK(store->positions("grid").at(0).next_offset == 101);
      CHECK_FALSE(store->commit(batch).written());
      CHECK(store->prune(4'000'000'000) == std::pair<std::int64_t, std::int64_t>(120, 1));
      CHECK(store->positions("grid").at(1).next_offset == 100);
      CHECK(store->summary().samples == 0);
    });
  }

  TEST_CASE("prune of a host with more rows than one part") {
    on_engines([](const std::string& location) {
      const auto store = open_store(location);
      constexpr std::int64_t rows = 120'000;
      for (const char* node : {"a", "b"}) {
        Batch batch;
        batch.topic = node;
        for (std::int64_t r = 0; r < rows; ++r) batch.samples.push_back(make_sample(0, r, 1000 + r, node));
        batch.ranges = {{0, 0, rows}};
        CHECK(store->commit(batch).stored == rows);
      }
      CHECK(store->prune(1000 + rows - 7).first == 2 * (rows - 7));
      CHECK(store->count({}) == 14);
    });
  }

  TEST_CASE("prune of more than one part gives the file's room back") {
    const StoreFolder folder;
    const std::string path = (folder / "store.db").string();
    const auto store = open_store(path);
    constexpr std::int64_t rows = 120'000, block = 20'000;
    for (std::int64_t r = 0; r < rows; r += block) {
      Batch batch = make_batch(0, r, block);
      for (Sample& s : batch.samples)
        s.time = 1000 + s.offset / 7, s.node_id = "n" + std::to_string(s.offset % 7);
      CHECK(store->commit(batch).stored == block);
    }
    CHECK(store->prune(1000 + rows / 7 - 10).first == rows / 7 * 7 - 70);
    CHECK(store->count({}) == 76);
    CHECK(std::filesystem::file_size(path) < 1 << 20);
  }

  TEST_CASE("a store opened for reading only does not write") {
    on_engines([](const std::string& location) {
      StoreOptions options;
      options.read_only = true;
      CHECK_THROWS_AS(open_store(location, options), IoError);
      const auto writer = open_store(location);
      CHECK(writer->commit(make_batch(0, 0, 5)).stored == 5);
      const auto reader = open_store(location, options);
      CHECK(reader->count({}) == 5);
      CHECK_THROWS_AS(reader->commit(make_batch(0, 5, 5)), IoError);
      CHECK_THROWS_AS(reader->prune(4'000'000'000), IoError);
      CHECK(reader->count({}) == 5);
      CHECK(writer->commit(make_batch(0, 5, 5)).stored == 5);
      CHECK(reader->count({}) == 10);
    });
  }
}
