// A store reads as the CSV file of its rows does.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "data/data_support.h"
#include "emshap/data/split.h"
#include "emshap/stream/store_source.h"
#include "fake_store.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

std::shared_ptr<FakeStore> store_of(std::vector<Sample> samples) {
  auto store = std::make_shared<FakeStore>();
  store->samples = std::move(samples);
  return store;
}

ColumnSelection hosts() {
  ColumnSelection s;
  s.target = "power_consumption";
  s.time = "time";
  s.node_id = "node_id";
  return s;
}

/// What a CSV file of all columns of these rows says.
std::string as_csv(const std::shared_ptr<FakeStore>& store, const RowFilter& filter = {}) {
  ColumnSelection all = hosts();
  all.target.clear();
  all.features = {host_metric_names.begin(), host_metric_names.end()};
  all.features.push_back("power_consumption");
  StoreSource source(store, "s", all, filter);
  Table table(source.schema()), ordered(host_schema());
  Chunk chunk;
  while (source.next(chunk)) table.append(chunk.table);
  for (Column& c : ordered.columns()) c.append(table.column(c.name()));
  std::string text;
  CsvWriter writer([&](std::string_view part) { text += part; });
  writer.write(ordered);
  return text;
}

Table read(const std::shared_ptr<FakeStore>& store, const ColumnSelection& selection,
           const RowFilter& filter = {}, std::int64_t block = 8192) {
  StoreSource source(store, "s", selection, filter, block);
  return read_all(source, {.target = MissingTarget::drop});
}

}  // namespace

TEST_CASE("store source: the table of the CSV file, its hash and its provenance") {
  std::vector<Sample> samples = host_samples(533, 7, .1);
  samples[3].metrics[0] = -0.0f;
  samples[4].metrics[0] = 1e-42f;
  samples[5].metrics[0] = 3.4028234e38f;
  samples[6].power_consumption = not_measured;
  samples[7].node_id = "a node, \"quoted\"";
  samples[8].node_id = "NA";
  samples[9].node_id = " blank ";
  std::reverse(samples.begin(), samples.end());
  const auto store = store_of(samples);
  const std::string csv = as_csv(store);
  const Table expected = csv_table(csv, hosts(), {.target = MissingTarget::drop});
  for (const std::int64_t block : {1, 31, 32, 33, 532, 533, 534}) {
    const Table got = read(store, hosts(), {}, block);
    CHECK(got.content_hash() == expected.content_hash());
    CHECK(got.provenance().data_hash == expected.provenance().data_hash);
    CHECK(got.provenance().rows_read == 533);
    CHECK(got.rows() == 532);
    CHECK(got.source_row(531) == expected.source_row(531));
  }
  CHECK(store->longest_read == 533);
  // One split serves both.
  const TemporaryFolder folder;
  write_split(folder / "split.csv", make_split(expected, {}), expected);
  CHECK(read_split(folder / "split.csv", read(store, hosts())).train == make_split(expected, {}).train);
}

TEST_CASE("store source: the hash sees every column, whatever is selected") {
  std::vector<Sample> samples = host_samples(40, 4);
  ColumnSelection few = hosts();
  few.features = {"load_avg", "cpu_util"};
  const std::string before = read(store_of(samples), hosts()).provenance().data_hash;
  CHECK(read(store_of(samples), few).provenance().data_hash == before);
  samples[17].metrics[9] += 1;
  const std::string changed = read(store_of(samples), few).provenance().data_hash;
  CHECK(changed != before);
  samples[17].extra = R"({"a":1})";
  CHECK(read(store_of(samples), few).provenance().data_hash != changed);
}

TEST_CASE("store source: chosen rows") {
  const auto store = store_of(host_samples(300, 5));
  const RowFilter filter =
      parse_row_filter("time >= 2025-01-01T00:10 and time < 1735691400 and node_id not in (node-1)");
  const Table got = read(store, hosts(), filter, 7);
  CHECK(got.rows() == 20 * 4);
  CHECK(got.source_row(79) == 79);
  // The same condition on the file, and a file of these rows alone.
  CsvOptions options;
  options.rows = {"time", "node_id", [&](std::int64_t time, std::string_view node) {
                    return filter.takes_time(time) && filter.takes_node(node);
                  }};
  for (const Table& expected :
       {csv_table(as_csv(store), hosts(), {}, options), csv_table(as_csv(store, filter), hosts())}) {
    CHECK(got.content_hash() == expected.content_hash());
    CHECK(got.provenance().data_hash == expected.provenance().data_hash);
    CHECK(got.provenance().rows_read == expected.provenance().rows_read);
  }
  CHECK_SAYS(error_text(ErrorKind::data, [&] { read(store, hosts(), parse_row_filter("node_id = x")); }),
             "s: there are no data rows");
}

TEST_CASE("store source: extra metrics are columns when they are named") {
  std::vector<Sample> samples = host_samples(6, 2);
  samples[0].extra = R"({"inlet":21.5,"rack":7})";
  samples[3].extra = R"({"inlet":0})";
  const auto store = store_of(samples);
  ColumnSelection selection = hosts();
  selection.features = {"extra.inlet", "cpu_util", "extra.absent"};
  selection.group = "extra.rack";
  const Table t = read(store, selection);
  CHECK(t.feature_names() == selection.features);
  const Column& inlet = t.column("extra.inlet");
  CHECK(inlet.missing() == 4);
  CHECK(inlet.f32()[0] == 21.5f);
  CHECK(inlet.f32()[3] == 0);
  CHECK(t.column("extra.rack").text(0) == "7");
  CHECK(t.column("extra.absent").missing() == 6);
  // Without names there are none, and leaving one out is no error.
  selection = hosts();
  selection.exclude = {"extra.inlet", "fan_speed"};
  CHECK(read(store, selection).feature_names().size() == 19);
  samples[1].extra = "no json";
  selection.features = {"extra.inlet"};
  selection.exclude.clear();
  CHECK_SAYS(error_text(ErrorKind::data, [&] { read(store_of(samples), selection); }), "no JSON object");
}

TEST_CASE("store source: a metric that nobody measures is no feature, unless it is named") {
  std::vector<Sample> samples = host_samples(100, 4);
  for (Sample& s : samples) s.metrics[4] = s.metrics[5] = not_measured;
  samples[99].metrics[5] = 3;
  const auto store = store_of(samples);
  const Table t = read(store, hosts(), {}, 16);
  CHECK(t.find("gpu_util") == nullptr);
  CHECK(t.find("gpu_mem") != nullptr);
  CHECK(t.feature_names().size() == 19);
  REQUIRE(t.provenance().skipped.size() == 1);
  CHECK(t.provenance().skipped[0].column == "gpu_util");
  CHECK(t.provenance().skipped[0].count == 100);
  CHECK(t.provenance().data_hash == csv_table(as_csv(store), hosts()).provenance().data_hash);
  ColumnSelection named = hosts();
  named.features = {"gpu_util", "cpu_util"};
  CHECK(read(store, named).column("gpu_util").missing() == 100);
  for (Sample& s : samples) s.metrics.fill(not_measured);
  CHECK_SAYS(error_text(ErrorKind::data, [&] { read(store_of(samples), hosts()); }),
             "none of the 100 rows has a value of any feature");
}

TEST_CASE("store source: columns in other roles") {
  const auto store = store_of(host_samples(12, 3));
  ColumnSelection selection;
  selection.features = {"time"};
  selection.group = "node_id";
  selection.node_id = "node_id";
  const Table t = read(store, selection);
  CHECK(t.column("time").f32()[11] == static_cast<float>(1735689600 + 180));
  CHECK(t.only(ColumnRole::group)->text(4) == "node-1");
  selection.features = {"node_id"};
  selection.group = selection.node_id = "";
  CHECK_SAYS(error_text(ErrorKind::data, [&] { read(store, selection); }), "'node-0' is not a number");
  selection.features = {"cpu_util"};
  selection.time = "voltage";
  CHECK_SAYS(error_text(ErrorKind::data, [&] { read(store, selection); }), "column 'voltage' holds no times");
  selection.time = "";
  selection.features = {"cpu_utl"};
  CHECK_SAYS(error_text(ErrorKind::data, [&] { read(store, selection); }), "did you mean 'cpu_util'");
  CHECK_SAYS(error_text(ErrorKind::data, [&] { read(store_of({}), hosts()); }), "there are no data rows");
}
