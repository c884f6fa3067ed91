// Files into SQLite: nothing twice, grown files go on, changed ones are refused.
#include <unistd.h>

#include <fstream>

#include <nlohmann/json.hpp>

#include "stream/ingest_fixture.h"
#include "stream/store_fixture.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

std::string lines(int first, int count) {
  std::string text;
  for (int i = first; i < first + count; ++i)
    text += R"({"time": )" + std::to_string(1'000'000 + i) + R"(, "node_id": "a", "cpu_util": 5})" + "\n";
  return text;
}
void append(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary | std::ios::app) << text;
}

struct FileRun {
  const StoreFolder folder;
  const std::filesystem::path file = folder / "metrics.jsonl";
  std::unique_ptr<FeatureStore> store = open_store((folder / "store.db").string());
  IngestReport report;
  LogSink log;
  IngestOptions options;
  void run() { ingest_file(*store, file, "metrics.jsonl", {}, options, report, log); }
};

}  // namespace

TEST_CASE("A file is stored once however often it is read, and goes on when it has grown") {
  FileRun f;
  f.options.batch_records = 32;
  append(f.file, lines(0, 99) + "no json\n" + lines(5, 1));
  f.run();
  CHECK(f.report.topic == "file:metrics.jsonl");
  CHECK(f.report.received == 101);
  CHECK(f.report.stored == 99);
  CHECK(f.report.rejected == 1);
  CHECK(f.report.repeated == 1);
  CHECK(f.report.adds_up());
  CHECK(f.report.batches == 4);
  CHECK(f.report.ended == "end of the file");
  f.run();
  CHECK(f.report.received == 0);
  CHECK(f.store->count({}) == 99);
  append(f.file, lines(200, 3) + R"({"time": 1)");
  f.run();
  CHECK(f.report.received == 3);
  CHECK(f.log.says("no whole record"));
  CHECK(f.store->count({}) == 102);
  append(f.file, R"(000999, "node_id": "b"})" + std::string("\n"));
  f.run();
  CHECK(f.report.received == 1);
  CHECK(f.report.stored == 1);
  CHECK(f.report.positions.at(0) == 105);
}

TEST_CASE("A file that has changed is refused with a sentence") {
  FileRun f;
  append(f.file, lines(0, 10));
  f.run();
  std::filesystem::remove(f.file);
  SUBCASE("other records") {
    append(f.file, lines(1, 20));
  }
  SUBCASE("fewer records") {
    append(f.file, lines(0, 5));
  }
  CHECK_THROWS_AS(f.run(), DataError);
  CHECK(f.store->count({}) == 10);
}

TEST_CASE("So many records are taken, a stop ends between batches") {
  FileRun f;
  append(f.file, lines(0, 100));
  f.options.messages = 33;
  f.options.batch_records = 10;
  f.run();
  CHECK(f.report.received == 33);
  CHECK(f.report.ended == "33 messages");
  StopToken stop;
  stop.request_stop();
  f.options.messages = 0;
  ingest_file(*f.store, f.file, "metrics.jsonl", {}, f.options, f.report, f.log, stop);
  CHECK(f.report.ended == "stopped");
  CHECK(f.report.received == 10);
  CHECK(f.store->count({}) == 43);
}

TEST_CASE("A file whose name cannot be stored needs another one") {
  FileRun f;
  append(f.file, lines(0, 3));
  CHECK_THROWS_AS(ingest_file(*f.store, f.file, "\xff.jsonl", {}, f.options, f.report, f.log), ConfigError);
  CHECK(f.report.received == 0);
}

TEST_CASE("A store that another process fills from the same file is an error") {
  FileRun f;
  append(f.file, lines(0, 100));
  MemoryStore store;
  store.before_commit = [&](const Batch& batch) {
    if (batch.ranges.at(0).first == 0) store.put(0, 7);
  };
  f.options.batch_records = 10;
  try {
    ingest_file(store, f.file, "metrics.jsonl", {}, f.options, f.report, f.log);
    FAIL("no error");
  } catch (const IoError& e) {
    CHECK(std::string(e.what()).find("another process reads the same file") != std::string::npos);
  }
  CHECK(f.report.received >= f.report.discarded);
  CHECK(f.report.stored == 0);
}

TEST_CASE("Metrics that may stand for zero are named; the report is text and JSON") {
  FileRun f;
  append(f.file, lines(0, 2000));
  f.run();
  CHECK(f.report.perhaps_zero.size() >= 19);
  CHECK(f.log.says("use --absent zero"));
  const auto json = nlohmann::json::parse(to_json(f.report));
  CHECK(json["received"] == 2000);
  CHECK(json["adds_up"] == true);
  CHECK(json["positions"]["0"] == 2000);
  CHECK(to_text(f.report).find("received 2000 = stored 2000 + rejected 0") != std::string::npos);
  f.report.stored = 1999;
  CHECK(to_text(f.report).find("received 2000 differs from") != std::string::npos);
}

TEST_CASE("What comes on standard input is written in time; a stop does not wait for more") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const int before = dup(0);
  dup2(ends[0], 0);
  const auto write = [&](const std::string& text) {
    REQUIRE(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  };
  MemoryStore store;
  StopToken stop;
  IngestReport report;
  RecordOptions records;
  records.format = RecordFormat::jsonl;
  std::thread run([&] { ingest_file(store, "-", "piped", records, quick(), report, null_sink(), stop); });
  write(lines(0, 3) + R"({"time": 1)");
  CHECK(wait_for([&] { return store.records() == 3; }));
  write(R"(000007, "node_id": "b"})"
        "\n" +
        lines(10, 1));
  CHECK(wait_for([&] { return store.records() == 5; }));
  SUBCASE("stopped") {
    stop.request_stop();
    run.join();
    CHECK(report.ended == "stopped");
  }
  SUBCASE("at its end") {
    close(ends[1]);
    ends[1] = -1;
    run.join();
    CHECK(report.ended == "end of the file");
  }
  CHECK(report.received == 5);
  CHECK(report.rejected == 0);
  CHECK(report.adds_up());
  dup2(before, 0);
  for (const int file : {before, ends[0], ends[1]})
    if (file >= 0) close(file);
}
