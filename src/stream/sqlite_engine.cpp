// SQLite as the engine of a store: one file in WAL mode, so that readers and a writer do not wait for each
// other.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <unordered_map>

#include "emshap/core/error.h"
#include "stream/sqlite_handle.h"
#include "stream/store_schema.h"

namespace emshap::stream {
namespace {

bool may(const std::string& path, int mode) {
  return ::access(path.c_str(), mode) == 0;
}

bool exists(const std::string& path) {
  return may(path, F_OK);
}

class SqliteEngine final : public StoreEngine {
 public:
  SqliteEngine(std::string path, const StoreOptions& options) : path_(std::move(path)), options_(options) {
    if (options.create && !options.read_only && !exists(path_)) create_sqlite(path_, options);
    connect();
  }

  std::string name() const override { return "SQLite"; }
  std::string location() const override { return path_; }

  void begin(bool writes) override {
    connect();
    check_unmoved();
    writes_ = writes;
    step(prepared(writes ? "BEGIN IMMEDIATE" : "BEGIN"), "begin");
  }
  void commit() override { step(prepared("COMMIT"), writes_ ? "write" : "read"); }
  void rollback() noexcept override;

  std::int64_t run(const std::string& sql, std::span<const StoreValue> values, const TakeRow& take) override;
  void insert_samples(std::string_view topic, std::span<const Sample* const> samples,
                      std::vector<std::size_t>& repeated) override;
  void insert_quarantined(std::span<const Quarantined> messages) override;
  std::vector<Group> count_groups() override;
  void reclaim() override;

 private:
  void connect();
  SqliteHandle open(int flags, bool immutable) const;
  void check_is_store();
  void check_unmoved();
  sqlite3_stmt* prepared(const char* sql);
  SqliteStatement prepare(const std::string& sql);
  int step(sqlite3_stmt* statement, std::string_view doing);

  std::string path_;
  StoreOptions options_;
  bool writes_ = false;
  SqliteHandle db_;
  std::unordered_map<const char*, SqliteStatement> statements_;  ///< those of every batch; before db_ closed
};

SqliteHandle SqliteEngine::open(int flags, bool immutable) const {
  sqlite3* db = nullptr;
  std::string name = path_;
  if (immutable) {
    name = "file:";
    for (const char c : path_)
      name +=
          c == '%' || c == '?' || c == '#' ? fmt::format("%{:02x}", static_cast<int>(c)) : std::string(1, c);
    name += "?immutable=1";
    flags |= SQLITE_OPEN_URI;
  }
  const int code = sqlite3_open_v2(name.c_str(), &db, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  SqliteHandle handle(db);
  if (code != SQLITE_OK) fail_sqlite(db, code, path_, "open it");
  return handle;
}

/// Also after an error: a connection that failed is not used again.
void SqliteEngine::connect() {
  if (db_ != nullptr) return;
  if (!exists(path_))
    throw IoError(fmt::format("store {}: there is no such file", path_),
                  options_.read_only || !options_.create ? ErrorKind::data : ErrorKind::environment);
  if (!may(path_, R_OK))
    throw IoError(fmt::format("store {}: the file cannot be read", path_), ErrorKind::environment);
  if (!is_store(path_)) throw IoError(fmt::format("store {}: the file is not an SQLite database", path_));
  // Who only reads opens for writing, too, where that is allowed: the last connection then removes the log
  // and its index again. Where files cannot be written and there is no log, the file is read as it is.
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  const bool writable = may(path_, W_OK) && may(folder.empty() ? "." : folder, W_OK);
  if (!options_.read_only || writable)
    db_ = open(SQLITE_OPEN_READWRITE, false);
  else
    db_ = open(SQLITE_OPEN_READONLY, !exists(path_ + "-wal"));
  try {
    set_up_sqlite(db_.get(), path_, options_);
    check_is_store();
    if (options_.read_only) run("PRAGMA query_only=ON", {}, {});
  } catch (...) {
    statements_.clear();
    db_.reset();
    throw;
  }
}

/// Rows written to a file that somebody removed would be lost without a word.
void SqliteEngine::check_unmoved() {
  int moved = 0;
  sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  if (moved == 0) return;
  statements_.clear();
  db_.reset();
  throw IoError(fmt::format("store {}: the file was removed or replaced while it was in use", path_),
                ErrorKind::environment);
}

void SqliteEngine::check_is_store() {
  std::int64_t id = 0, tables = 0;
  run("PRAGMA application_id", {}, [&](const StoreRow& row) { return id = row.integer(0), true; });
  run("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'store_info'", {},
      [&](const StoreRow& row) { return tables = row.integer(0), true; });
  if (id != sqlite_application_id || tables != 1)
    throw IoError(fmt::format("store {}: a database of something else, not a store", path_));
  check_schema(*this);
}

SqliteStatement SqliteEngine::prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v2(db_.get(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (code != SQLITE_OK) fail_sqlite(db_.get(), code, path_, writes_ ? "write" : "read");
  return SqliteStatement(statement);
}

/// Statements that live as long as the connection, by the address of their text.
sqlite3_stmt* SqliteEngine::prepared(const char* sql) {
  SqliteStatement& statement = statements_[sql];
  if (statement == nullptr) statement = prepare(sql);
  return statement.get();
}

/// One step of a statement without rows, or one that ends with it.
int SqliteEngine::step(sqlite3_stmt* statement, std::string_view doing) {
  const int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) return code;
  const int reset = sqlite3_reset(statement);
  if (code != SQLITE_DONE) fail_sqlite(db_.get(), reset, path_, doing);
  return code;
}

/// Drops the connection where there is something to undo because of an error; a batch that was given up on
/// account of a conflict keeps it.
void SqliteEngine::rollback() noexcept {
  if (db_ == nullptr) return;
  const int code = sqlite3_errcode(db_.get());
  bool sound = code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW;
  if (sqlite3_get_autocommit(db_.get()) == 0)
    sound &= sqlite3_exec(db_.get(), "ROLLBACK", nullptr, nullptr, nullptr) == SQLITE_OK;
  if (sound) return;
  statements_.clear();
  db_.reset();
}

std::int64_t SqliteEngine::run(const std::string& sql, std::span<const StoreValue> values,
                               const TakeRow& take) {
  const SqliteStatement statement = prepare(sql);
  if (const int code = bind_sqlite(statement.get(), values); code != SQLITE_OK)
    fail_sqlite(db_.get(), code, path_, writes_ ? "write" : "read");
  const SqliteRow row(statement.get());
  while (step(statement.get(), writes_ ? "write" : "read") == SQLITE_ROW)
    if (take && !take(row)) break;
  return sqlite3_changes64(db_.get());
}

void SqliteEngine::insert_samples(std::string_view topic, std::span<const Sample* const> samples,
                                  std::vector<std::size_t>& repeated) {
  static const std::string sql = [] {
    std::string text = "INSERT INTO samples VALUES (?";
    for (int c = 1; c < sample_column_count; ++c) text += ", ?";
    return text + ") ON CONFLICT DO NOTHING";
  }();
  sqlite3_stmt* s = prepared(sql.c_str());
  constexpr int count = static_cast<int>(metric_count);
  const auto real = [&](int column, float value) {
    std::isnan(value) ? sqlite3_bind_null(s, column) : sqlite3_bind_double(s, column, value);
  };
  const auto text = [&](int column, std::string_view value) {
    sqlite3_bind_text(s, column, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
  };
  text(5 + count, topic);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Sample& sample = *samples[i];
    sqlite3_bind_int64(s, 1, sample.time);
    text(2, sample.node_id);
    real(3, sample.power_consumption);
    for (int m = 0; m < count; ++m) real(4 + m, sample.metrics[static_cast<std::size_t>(m)]);
    if (sample.extra.empty())
      sqlite3_bind_null(s, 4 + count);
    else
      text(4 + count, sample.extra);
    sqlite3_bind_int64(s, 6 + count, sample.partition);
    sqlite3_bind_int64(s, 7 + count, sample.offset);
    step(s, "write");
    if (sqlite3_changes64(db_.get()) == 0) repeated.push_back(i);
  }
  sqlite3_clear_bindings(s);
}

void SqliteEngine::insert_quarantined(std::span<const Quarantined> messages) {
  sqlite3_stmt* s = prepared("INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?)");
  const auto text = [&](int column, std::string_view value) {
    sqlite3_bind_text(s, column, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
  };
  for (const Quarantined& q : messages) {
    text(1, q.topic);
    sqlite3_bind_int64(s, 2, q.partition);
    sqlite3_bind_int64(s, 3, q.offset);
    text(4, q.reason);
    text(5, q.detail);
    sqlite3_bind_blob64(s, 6, q.bytes.data(), q.bytes.size(), SQLITE_STATIC);
    sqlite3_bind_int64(s, 7, q.stored_at);
    step(s, "write");
  }
  sqlite3_clear_bindings(s);
}

/// One pass over the table: SQLite would sort all rows for GROUP BY.
std::vector<StoreEngine::Group> SqliteEngine::count_groups() {
  std::vector<Group> groups;
  std::unordered_map<std::string, std::size_t> places;
  std::string key;
  run(R"(SELECT time, node_id, topic, "partition" FROM samples)", {}, [&](const StoreRow& row) {
    const std::int64_t time = row.integer(0), partition = row.integer(3);
    key.assign(row.text(1));
    key += '\0';
    key += row.text(2);
    key += '\0';
    key.append(reinterpret_cast<const char*>(&partition), sizeof partition);
    const auto [place, added] = places.try_emplace(key, groups.size());
    if (added)
      groups.push_back({std::string(row.text(1)), std::string(row.text(2)),
                        static_cast<std::int32_t>(partition), 0, time, time});
    Group& group = groups[place->second];
    ++group.samples;
    group.first_time = std::min(group.first_time, time);
    group.last_time = std::max(group.last_time, time);
    return true;
  });
  return groups;
}

/// Pages at the end of the file move into free places, 1,000 at a time, and the file gets shorter.
void SqliteEngine::reclaim() {
  connect();
  for (std::int64_t before = std::numeric_limits<std::int64_t>::max(), free = 0;; before = free) {
    run("PRAGMA freelist_count", {}, [&](const StoreRow& row) { return free = row.integer(0), true; });
    if (free == 0 || free >= before) break;
    run("PRAGMA incremental_vacuum(1000)", {}, {});
  }
  run("PRAGMA wal_checkpoint(PASSIVE)", {}, {});
}

}  // namespace

std::unique_ptr<StoreEngine> open_sqlite(const std::string& path, const StoreOptions& options) {
  return std::make_unique<SqliteEngine>(path, options);
}

}  // namespace emshap::stream
