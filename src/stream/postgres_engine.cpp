// PostgreSQL as the engine of a store: several hosts may write.
#include <fmt/format.h>

#include "emshap/core/error.h"
#include "stream/store_engine.h"

#if EMSHAP_WITH_POSTGRESQL
#include <cstring>

#include "stream/postgres_connection.h"
#include "stream/store_schema.h"

namespace emshap::stream {
namespace {

/// Results in binary format.
class PostgresRow final : public StoreRow {
 public:
  explicit PostgresRow(const PGresult* result) : result_(result) {}
  int row = 0;

  std::int64_t integer(int column) const override {
    switch (PQgetlength(result_, row, column)) {
      case 8:
        return static_cast<std::int64_t>(number<std::uint64_t>(column));
      case 4:
        return static_cast<std::int32_t>(number<std::uint32_t>(column));
      default:
        return 0;
    }
  }
  float real(int column) const override {
    return PQgetisnull(result_, row, column) == 1 ? not_measured
                                                  : std::bit_cast<float>(number<std::uint32_t>(column));
  }
  std::string_view text(int column) const override {
    return {PQgetvalue(result_, row, column), static_cast<std::size_t>(PQgetlength(result_, row, column))};
  }

 private:
  template <class Unsigned>
  Unsigned number(int column) const {
    Unsigned value = 0;
    std::memcpy(&value, PQgetvalue(result_, row, column), sizeof value);
    return network_order(value);
  }
  const PGresult* result_;
};

class PostgresEngine final : public StoreEngine {
 public:
  PostgresEngine(const std::string& url, const StoreOptions& options) : connection_(url), options_(options) {
    connect();
    open();
  }

  std::string name() const override { return "PostgreSQL"; }
  std::string location() const override { return connection_.location(); }
  std::string for_update() const override { return " FOR UPDATE"; }

  void begin(bool writes) override;
  void commit() override;
  void rollback() noexcept override;
  std::int64_t run(const std::string& sql, std::span<const StoreValue> values, const TakeRow& take) override;
  void insert_samples(std::string_view topic, std::span<const Sample* const> samples,
                      std::vector<std::size_t>& repeated) override;
  void insert_quarantined(std::span<const Quarantined> messages) override;
  std::vector<Group> count_groups() override;
  void reclaim() override;

 private:
  bool connect();
  void open();
  bool has_table(const char* name);
  bool copy(const std::string& sql, std::string_view topic, std::span<const Sample* const> samples);
  const char* doing() const { return writes_ ? "write" : "read"; }

  PostgresConnection connection_;
  StoreOptions options_;
  bool writes_ = false;
  int careful_ = 0;  ///< so many batches do not try COPY into the table itself
};

bool PostgresEngine::connect() {
  if (!connection_.connect()) return false;
  const char* encoding = PQparameterStatus(connection_.get(), "server_encoding");
  if (encoding == nullptr || std::strcmp(encoding, "UTF8") != 0) {
    const std::string got = encoding == nullptr ? "unknown" : encoding;
    connection_.drop();
    throw IoError(fmt::format("store {}: the database has the encoding {}, expected UTF8", location(), got));
  }
  // Who waits for a lock waits for another consumer's batch. Should we vanish in the middle of ours, with the
  // host or the network, the server is to notice in half a minute, not after hours, and give our locks free.
  connection_.run_all(
      fmt::format(
          "SET lock_timeout = {}; SET idle_in_transaction_session_timeout = 60000; "
          "SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; "
          "SET default_transaction_isolation = 'read committed'{}",
          static_cast<std::int64_t>(std::min(options_.busy_seconds, 1e6) * 1e3) + 1,
          options_.read_only ? "; SET default_transaction_read_only = on" : ""),
      "set up the connection");
  return true;
}

/// Asks the catalog: to_regclass may remember what was before another program made the tables.
bool PostgresEngine::has_table(const char* name) {
  bool found = false;
  const StoreValue values[] = {std::string_view(name)};
  run("SELECT count(*) FROM pg_catalog.pg_class WHERE relname = $1 AND pg_catalog.pg_table_is_visible(oid)",
      values, [&](const StoreRow& row) { return found = row.integer(0) > 0, true; });
  return found;
}

void PostgresEngine::open() {
  try {
    if (!has_table("store_info") && !has_table("samples")) {
      if (options_.read_only || !options_.create)
        throw IoError(fmt::format("store {}: there is no store in this database", location()));
      begin(true);
      // Two programs may open an empty database at once: the second one waits.
      run(fmt::format("SELECT pg_advisory_xact_lock({})", sqlite_application_id), {}, {});
      if (!has_table("store_info")) create_schema(*this, Dialect::postgres);
      commit();
    }
    if (!has_table("store_info"))
      throw IoError(
          fmt::format("store {}: the database has a table \"samples\" of something else", location()));
    check_schema(*this);
  } catch (...) {
    rollback();
    throw;
  }
}

/// An idle connection may have been lost without notice: it is made anew once.
void PostgresEngine::begin(bool writes) {
  writes_ = writes;
  const bool fresh = connect();
  try {
    connection_.run_all("BEGIN", doing());
  } catch (const IoError&) {
    if (fresh || PQstatus(connection_.get()) == CONNECTION_OK) throw;
    connection_.drop();
    connect();
    connection_.run_all("BEGIN", doing());
  }
}

void PostgresEngine::commit() {
  const PostgresResult result = connection_.run("COMMIT", {}, doing());
  // The server answers ROLLBACK where a statement had failed.
  if (std::strcmp(PQcmdStatus(result.get()), "COMMIT") != 0)
    throw IoError(fmt::format("store {}: the transaction was rolled back", location()),
                  ErrorKind::environment);
}

void PostgresEngine::rollback() noexcept {
  if (connection_.get() == nullptr || connection_.idle()) return;
  const PGTransactionStatusType status = PQtransactionStatus(connection_.get());
  if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR) {
    const PostgresResult result(PQexec(connection_.get(), "ROLLBACK"));
    if (connection_.idle()) return;
  }
  connection_.drop();
}

std::int64_t PostgresEngine::run(const std::string& sql, std::span<const StoreValue> values,
                                 const TakeRow& take) {
  const PostgresResult result = connection_.run(sql, values, doing());
  PostgresRow row(result.get());
  for (const int rows = take ? PQntuples(result.get()) : 0; row.row < rows; ++row.row)
    if (!take(row)) break;
  return std::strtoll(PQcmdTuples(result.get()), nullptr, 10);
}

bool PostgresEngine::copy(const std::string& sql, std::string_view topic,
                          std::span<const Sample* const> samples) {
  PostgresCopy copy(connection_, sql);
  for (const Sample* s : samples) {
    copy.row(sample_column_count);
    copy.integer(s->time);
    copy.text(s->node_id);
    copy.real(s->power_consumption);
    for (const float metric : s->metrics) copy.real(metric);
    s->extra.empty() ? copy.null() : copy.text(s->extra);
    copy.text(topic);
    copy.integer32(s->partition);
    copy.integer(s->offset);
  }
  return copy.finish();
}

/// COPY into the table itself is quickest, but one repeated key undoes it. Then the rows go to a table of
/// this session and from there to the others; so do those of the next batches.
void PostgresEngine::insert_samples(std::string_view topic, std::span<const Sample* const> samples,
                                    std::vector<std::size_t>& repeated) {
  constexpr int batches_after_repeated = 16;
  const auto into = [](const char* table) {
    return fmt::format("COPY {} ({}) FROM STDIN (FORMAT binary)", table, sample_columns());
  };
  if (careful_ > 0) {
    --careful_;
  } else {
    if (copy("SAVEPOINT arrived; " + into("samples"), topic, samples)) return;
    connection_.run_all("ROLLBACK TO SAVEPOINT arrived", doing());
    careful_ = batches_after_repeated;
  }
  connection_.run_all(
      "CREATE TEMPORARY TABLE IF NOT EXISTS emshap_arrived (LIKE samples) ON COMMIT DELETE ROWS;"
      "TRUNCATE emshap_arrived",
      doing());
  copy(into("pg_temp.emshap_arrived"), topic, samples);
  // Rows come back in the order of insertion, which is that of `samples`.
  std::size_t next = 0;
  run(fmt::format("INSERT INTO samples ({0}) SELECT {0} FROM pg_temp.emshap_arrived ORDER BY node_id, time "
                  "ON CONFLICT DO NOTHING RETURNING time, node_id",
                  sample_columns()),
      {}, [&](const StoreRow& row) {
        for (; next < samples.size(); repeated.push_back(next++))
          if (samples[next]->time == row.integer(0) && samples[next]->node_id == row.text(1)) break;
        ++next;
        return true;
      });
  for (; next < samples.size(); ++next) repeated.push_back(next);
  if (!repeated.empty()) careful_ = batches_after_repeated;
}

void PostgresEngine::insert_quarantined(std::span<const Quarantined> messages) {
  PostgresCopy copy(connection_,
                    fmt::format("COPY quarantine ({}) FROM STDIN (FORMAT binary)", quarantine_columns));
  for (const Quarantined& q : messages) {
    copy.row(7);
    copy.text(q.topic);
    copy.integer32(q.partition);
    copy.integer(q.offset);
    copy.text(q.reason);
    copy.text(q.detail);
    copy.text(q.bytes);
    copy.integer(q.stored_at);
  }
  copy.finish();
}

std::vector<StoreEngine::Group> PostgresEngine::count_groups() {
  std::vector<Group> groups;
  run(R"(SELECT node_id, topic, "partition", count(*), min(time), max(time) FROM samples GROUP BY 1, 2, 3)",
      {}, [&](const StoreRow& row) {
        groups.push_back({std::string(row.text(0)), std::string(row.text(1)),
                          static_cast<std::int32_t>(row.integer(2)), row.integer(3), row.integer(4),
                          row.integer(5)});
        return true;
      });
  return groups;
}

/// The server does it in time by itself; now, so that the room is of use at once. Only the owner may.
void PostgresEngine::reclaim() {
  connect();
  for (const char* statement : {"VACUUM (ANALYZE) samples", "VACUUM (ANALYZE) quarantine"})
    const PostgresResult ignored(PQexec(connection_.get(), statement));
}

}  // namespace

std::unique_ptr<StoreEngine> open_postgres(const std::string& url, const StoreOptions& options) {
  return std::make_unique<PostgresEngine>(url, options);
}

}  // namespace emshap::stream

#else

namespace emshap::stream {

std::unique_ptr<StoreEngine> open_postgres(const std::string& url, const StoreOptions&) {
  throw ConfigError(
      fmt::format("store {}: this program was built without PostgreSQL (libpq); expected the path of a file",
                  without_password(url)));
}

}  // namespace emshap::stream

#endif
