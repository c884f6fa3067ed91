#include "stream/store_schema.h"

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/data/hash.h"

namespace emshap::stream {
namespace {

constexpr std::string_view kinds[2][5] = {
    {"INTEGER", "INTEGER", "REAL", "TEXT", "BLOB"},
    // Names in the order of their bytes, as SQLite compares them.
    {"bigint", "integer", "real", R"(text COLLATE "C")", "bytea"},
};

/// Types as {long}, {int}, {real}, {text}, {bytes}.
std::vector<std::string> description() {
  std::string samples = "CREATE TABLE samples (time {long} NOT NULL, node_id {text} NOT NULL";
  samples += ", power_consumption {real}";
  for (const char* name : metric_names) samples += fmt::format(", {} {{real}}", name);
  samples += R"(, extra {text}, topic {text} NOT NULL, "partition" {int} NOT NULL, "offset" {long} NOT NULL)";
  samples += ", PRIMARY KEY (node_id, time))";
  return {
      samples,
      R"(CREATE TABLE quarantine (topic {text} NOT NULL, "partition" {int} NOT NULL, "offset" {long} NOT NULL)"
      ", reason {text} NOT NULL, detail {text} NOT NULL, bytes {bytes} NOT NULL, stored_at {long} NOT NULL)",
      R"(CREATE TABLE progress (topic {text} NOT NULL, "partition" {int} NOT NULL, next_offset {long} NOT NULL)"
      R"(, fingerprint {text} NOT NULL, PRIMARY KEY (topic, "partition")))",
      R"(CREATE TABLE gaps (topic {text} NOT NULL, "partition" {int} NOT NULL, first_offset {long} NOT NULL)"
      ", next_offset {long} NOT NULL, cause {text} NOT NULL, noted_at {long} NOT NULL)",
      "CREATE TABLE store_info (version {long} NOT NULL, schema_hash {text} NOT NULL)",
  };
}

}  // namespace

std::vector<std::string> schema_statements(Dialect dialect) {
  const auto& kind = kinds[static_cast<std::size_t>(dialect)];
  std::vector<std::string> statements;
  for (const std::string& text : description())
    statements.push_back(fmt::format(fmt::runtime(text), fmt::arg("long", kind[0]), fmt::arg("int", kind[1]),
                                     fmt::arg("real", kind[2]), fmt::arg("text", kind[3]),
                                     fmt::arg("bytes", kind[4])));
  return statements;
}

std::string schema_hash() {
  Hash64 hash;
  for (const std::string& text : description()) hash.text(text);
  return hash.hex();
}

const std::string& sample_columns() {
  static const std::string columns = [] {
    std::string text = "time, node_id, power_consumption";
    for (const char* name : metric_names) text += fmt::format(", {}", name);
    return text + R"(, extra, topic, "partition", "offset")";
  }();
  return columns;
}

void read_sample(const StoreRow& row, Sample& sample) {
  sample.time = row.integer(0);
  sample.node_id = row.text(1);
  sample.power_consumption = row.real(2);
  constexpr int count = static_cast<int>(metric_count);
  for (int m = 0; m < count; ++m) sample.metrics[static_cast<std::size_t>(m)] = row.real(3 + m);
  sample.extra = row.text(3 + count);
  sample.partition = static_cast<std::int32_t>(row.integer(5 + count));
  sample.offset = row.integer(6 + count);
}

void create_schema(StoreEngine& engine, Dialect dialect) {
  for (const std::string& statement : schema_statements(dialect)) engine.run(statement);
  const std::string hash = schema_hash();
  const StoreValue values[] = {store_version, hash};
  engine.run("INSERT INTO store_info (version, schema_hash) VALUES ($1, $2)", values);
}

void check_schema(StoreEngine& engine) {
  std::int64_t version = 0, rows = 0;
  std::string hash;
  engine.run("SELECT version, schema_hash FROM store_info", {}, [&](const StoreRow& row) {
    ++rows;
    version = row.integer(0);
    hash = row.text(1);
    return true;
  });
  if (rows != 1)
    throw IoError(fmt::format("{}: store_info has {} rows, expected 1", engine.location(), rows));
  if (version != store_version)
    throw IoError(fmt::format("{}: a store of version {}, this program reads version {}", engine.location(),
                              version, store_version));
  if (hash != schema_hash())
    throw IoError(fmt::format("{}: the store's tables have the schema hash {}, expected {}",
                              engine.location(), hash, schema_hash()));
}

}  // namespace emshap::stream
