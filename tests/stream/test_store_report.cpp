// inspect, prune and export.
#include <doctest/doctest.h>

#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "data/data_support.h"
#include "emshap/core/atomic_file.h"
#include "emshap/data/npy.h"
#include "emshap/stream/feature_vector.h"
#include "emshap/stream/store_report.h"
#include "emshap/stream/store_source.h"
#include "fake_store.h"
#include "store_fixture.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;
namespace fs = std::filesystem;

namespace {

std::string message(float cpu_util) {
  Sample s;
  s.time = 1735689600;
  s.node_id = "web-1";
  s.metrics.fill(not_measured);
  s.metrics[0] = cpu_util;
  std::string bytes;
  encode(s, bytes);
  return bytes;
}

Rejected rejected(std::int64_t offset, Reason reason, const std::string& detail, const std::string& bytes) {
  Rejected r;
  r.offset = offset;
  r.reason = reason;
  r.detail = detail;
  r.bytes = bytes;
  return r;
}

/// A store with 60 samples, 3 quarantined messages and a gap of 4.
void fill(FeatureStore& store) {
  Batch batch;
  batch.topic = "raw_metrics";
  batch.samples = host_samples(60, 3);
  batch.samples[7].extra = R"({"inlet":21.5})";
  batch.rejected = {rejected(60, Reason::not_a_message, "", std::string("\xff\x00\x7f", 3)),
                    rejected(61, Reason::negative_value, "cpu_util is -1", message(-1)),
                    rejected(62, Reason::no_node, "empty", R"({"time": 5})")};
  batch.ranges = {{0, 0, 63}};
  CHECK(store.commit(batch).written());
  Batch later;
  later.topic = "raw_metrics";
  later.samples = {batch.samples[0]};
  later.samples[0].time += 100000;
  later.samples[0].offset = 67;
  later.gaps = {{0, 63, 67, "retention"}};
  later.ranges = {{0, 67, 68}};
  CHECK(store.commit(later).written());
}

}  // namespace

TEST_CASE("store report: what an operator sees") {
  on_engines([](const std::string& location) {
    const auto store = open_store(location);
    CHECK_SAYS(report_text(inspect_store(*store)), "samples: 0\n");
    CHECK(nlohmann::json::parse(report_json(inspect_store(*store)))["first_time"].is_null());
    fill(*store);
    const StoreReport report = inspect_store(*store, 10);
    const std::string text = report_text(report);
    CHECK_SAYS(text, "samples: 61, 2025-01-01T00:00:00Z to 2025-01-02T03:46:40Z");
    CHECK_SAYS(text, "raw_metrics          0           68       61            3               4");
    CHECK_SAYS(text, "node-0       21");
    CHECK_SAYS(text, "not a message");
    CHECK_SAYS(text, "ff007f");
    CHECK_SAYS(text, R"("cpu_util":-1)");
    CHECK_SAYS(text, R"({"time": 5})");
    CHECK(report_text(inspect_store(*store)).find("ff007f") == std::string::npos);

    const auto j = nlohmann::json::parse(report_json(report));
    CHECK(j["samples"] == 61);
    CHECK(j["nodes"]["node-2"] == 20);
    CHECK(j["quarantined"]["negative value"] == 1);
    CHECK(j["partitions"][0]["missed"] == 4);
    REQUIRE(j["quarantine"].size() == 3);
    CHECK(j["quarantine"][0]["hex"] == "ff007f");
    CHECK(!j["quarantine"][0].contains("message"));
    CHECK(j["quarantine"][1]["message"]["node_id"] == "web-1");
    CHECK(nlohmann::json::parse(report_json(inspect_store(*store, 1)))["quarantine"].size() == 1);
  });
}

TEST_CASE("store report: bytes") {
  CHECK(shown_bytes("") == "");
  CHECK(shown_bytes("plain text") == "plain text");
  CHECK(shown_bytes(std::string("\0\x1f", 2)) == "001f");
  CHECK(shown_bytes(message(2)).find("\"cpu_util\":2") != std::string::npos);
  CHECK(shown_bytes(message(2) + "\xf8\x01\x05").find("cpu_util") == std::string::npos);  // field 31
}

TEST_CASE("store report: how old") {
  constexpr std::int64_t now = 1'750'000'000;
  CHECK(parse_older_than("30d", now) == now - 30 * 86400);
  CHECK(parse_older_than("12h", now) == now - 12 * 3600);
  CHECK(parse_older_than("90m", now) == now - 5400);
  CHECK(parse_older_than("0s", now) == now);
  CHECK(parse_older_than("2w", now) == now - 14 * 86400);
  CHECK(parse_older_than("2025-01-01", now) == 1735689600);
  CHECK(parse_older_than("1735689600", now) == 1735689600);
  for (const char* text : {"", "d", "-3d", "3y", "3dd", "yesterday", "2099-01-01", "99999999999d", "1e3s"})
    CHECK_SAYS(error_text(ErrorKind::usage, [&] { parse_older_than(text, now); }),
               "the time '" + std::string(text) + "'");
  CHECK(utc_text(0) == "1970-01-01T00:00:00Z");
  CHECK(utc_text(-1) == "1969-12-31T23:59:59Z");
  CHECK(utc_text(1735689600 + 86399) == "2025-01-01T23:59:59Z");
  CHECK(utc_text(INT64_MAX) == std::to_string(INT64_MAX));
}

struct Warnings final : ProgressSink {
  std::string text;
  void log(LogLevel level, const std::string& line) override {
    if (level == LogLevel::warning) text += line + "\n";
  }
  void progress(const Progress&) override {}
};

TEST_CASE("store export: a further metric that no sample has is warned about") {
  const TemporaryFolder folder;
  const auto store = open_store((folder / "store.db").string());
  fill(*store);
  Warnings said;
  export_csv(*store, {}, folder / "all.csv", {"inlet", "inlett"}, said);
  CHECK(said.text.find("no sample has the metric 'inlett'") != std::string::npos);
  CHECK(said.text.find("'inlet'") == std::string::npos);
}

TEST_CASE("store export: the CSV file is the store's rows") {
  on_engines([](const std::string& location) {
    const TemporaryFolder folder;
    const std::shared_ptr<FeatureStore> store = open_store(location);
    const ExportResult none = export_csv(*store, {}, folder / "none.csv", {});
    CHECK(none.rows == 0);
    CHECK(csv_header(folder / "none.csv") == store_columns());
    fill(*store);
    const RowFilter filter = parse_row_filter("node_id != node-1 and time < 2025-01-02");
    const ExportResult out = export_csv(*store, filter, folder / "some.csv", {"inlet"});
    CHECK(out.rows == 40);
    ColumnSelection all;
    all.target = "power_consumption";
    all.time = "time";
    all.node_id = "node_id";
    StoreSource source(store, "s", all, filter, 7);
    const Table rows = read_all(source), file = read_csv(folder / "some.csv", all);
    CHECK(out.data_hash == rows.provenance().data_hash);
    CHECK(file.feature_names().back() == "extra.inlet");
    all.exclude = {"extra.inlet"};
    CHECK(read_csv(folder / "some.csv", all).content_hash() == rows.content_hash());
    // Without extra metrics the file has the store's hash.
    all.exclude.clear();
    const RowFilter plain = parse_row_filter("node_id = node-2");
    const std::string hash = export_csv(*store, plain, folder / "plain.csv", {}).data_hash;
    CHECK(read_csv(folder / "plain.csv", all).provenance().data_hash == hash);
  });
}

TEST_CASE("store export: files for NumPy") {
  const TemporaryFolder folder;
  FakeStore store;
  store.samples = host_samples(9000, 3, .1);  // more than a block
  CHECK(export_npy(store, {}, folder / "m.npy").rows == 9000);
  const Tensor matrix = read_npy(folder / "m.npy");
  REQUIRE(matrix.shape() == Shape{9000, 21});
  CHECK(matrix.ptr<float>()[8999 * 21] == store.samples[8999].power_consumption);
  CHECK(matrix.ptr<float>()[5 * 21 + 3] == store.samples[5].metrics[2]);
  const auto names = nlohmann::json::parse(read_file(folder / "m_names.json"));
  CHECK(names["columns"].size() == 21);
  CHECK(names["columns"][0] == "power_consumption");
  CHECK(names["nodes"] == std::vector<std::string>{"node-0", "node-1", "node-2"});

  if (std::system("/usr/bin/python3 -c 'import numpy' >/dev/null 2>&1") != 0) {
    MESSAGE("/usr/bin/python3 with numpy is not there: NumPy's reading of the files is not checked");
    return;
  }
  const std::string program =
      "import numpy as np, sys\n"
      "f = sys.argv[1]\n"
      "m, t, n = (np.load(f + '/m' + s + '.npy') for s in ('', '_time', '_node'))\n"
      "assert m.dtype == np.float32 and m.shape == (9000, 21) and m.flags.c_contiguous\n"
      "assert t.dtype == np.int64 and t.shape == (9000,) and (np.diff(t) >= 0).all() and t[0] == 1735689600\n"
      "assert n.dtype == np.int32 and n.shape == (9000,) and (n == np.arange(9000) % 3).all()\n"
      "assert 0.05 < np.isnan(m[:, 1:]).mean() < 0.15 and not np.isnan(m[:, 0]).any()\n";
  folder.write("check.py", program);
  CHECK(std::system(
            fmt::format("/usr/bin/python3 '{}' '{}'", (folder / "check.py").string(), (folder / "").string())
                .c_str()) == 0);
}

TEST_CASE("store export: stopped or empty") {
  const TemporaryFolder folder;
  FakeStore store;
  CHECK(export_npy(store, {}, folder / "none.npy").rows == 0);
  CHECK(read_npy(folder / "none.npy").shape() == Shape{0, 21});
  store.samples = host_samples(10, 2);
  StopToken stop;
  stop.request_stop();
  CHECK_SAYS(error_text(ErrorKind::interrupted,
                        [&] { export_csv(store, {}, folder / "a.csv", {}, null_sink(), &stop); }),
             "nothing was written");
  CHECK_SAYS(error_text(ErrorKind::interrupted,
                        [&] { export_npy(store, {}, folder / "a.npy", null_sink(), &stop); }),
             "nothing was written");
  for (const char* name : {"a.csv", "a.npy", "a_time.npy", "a_node.npy", "a_names.json"})
    CHECK(!fs::exists(folder / name));
  CHECK_SAYS(error_text(ErrorKind::environment, [&] { export_csv(store, {}, folder / "no/a.csv", {}); }),
             "created");
}
