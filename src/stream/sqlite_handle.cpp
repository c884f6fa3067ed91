#include "stream/sqlite_handle.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>

#include "emshap/core/error.h"
#include "stream/store_schema.h"

namespace emshap::stream {

void fail_sqlite(sqlite3* db, int code, const std::string& path, std::string_view doing) {
  ErrorKind kind = ErrorKind::environment;
  std::string reason =
      db != nullptr && sqlite3_errcode(db) == code ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      reason = "another program did not end its writing in time";
      break;
    case SQLITE_FULL:
      reason = "the disk is full";
      break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      if (const int error = db == nullptr ? 0 : sqlite3_system_errno(db); error != 0)
        reason += fmt::format(" ({})", std::strerror(error));
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      kind = ErrorKind::data;
      break;
    default:
      break;
  }
  throw IoError(fmt::format("store {}: cannot {}: {}", path, doing, reason), kind);
}

float SqliteRow::real(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL
             ? not_measured
             : static_cast<float>(sqlite3_column_double(statement_, column));
}

std::string_view SqliteRow::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int count = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr
             ? std::string_view{}
             : std::string_view(static_cast<const char*>(bytes), static_cast<std::size_t>(count));
}

int bind_sqlite(sqlite3_stmt* statement, std::span<const StoreValue> values) {
  // Names are numbered as they appear in the text; $2 may come before $1.
  for (std::size_t v = 0; v < values.size(); ++v) {
    const std::string name = fmt::format("${}", v + 1);
    const int index = sqlite3_bind_parameter_index(statement, name.c_str());
    if (index == 0) continue;
    int code = SQLITE_OK;
    if (const auto* text = std::get_if<std::string_view>(&values[v]))
      code = sqlite3_bind_text64(statement, index, text->empty() ? "" : text->data(), text->size(),
                                 SQLITE_STATIC, SQLITE_UTF8);
    else
      code = sqlite3_bind_int64(statement, index, std::get<std::int64_t>(values[v]));
    if (code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

namespace {

void execute(sqlite3* db, const std::string& sql, const std::string& path, std::string_view doing) {
  if (const int code = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr); code != SQLITE_OK)
    fail_sqlite(db, code, path, doing);
}

}  // namespace

void set_up_sqlite(sqlite3* db, const std::string& path, const StoreOptions& options) {
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, static_cast<int>(std::min(options.busy_seconds, 1e6) * 1e3));
  // A batch of 20,000 rows is 5 MB of pages: it stays in the cache until its commit. The log is copied back
  // every 16 MB (each page then once for several batches) and is cut to 64 MB where a reader let it grow.
  // Debian's SQLite overwrites free pages with zeros unless told not to.
  execute(db,
          fmt::format("PRAGMA cache_size=-16384; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=OFF;"
                      "PRAGMA synchronous={};",
                      options.sync ? "FULL" : "NORMAL"),
          path, "set it up");
  if (!options.read_only)
    execute(db, "PRAGMA wal_autocheckpoint=1024; PRAGMA journal_size_limit=67108864;", path, "set it up");
}

void create_sqlite(const std::string& path, const StoreOptions& options) {
  namespace fs = std::filesystem;
  // Made under another name and linked to its own, which fails where somebody else was first.
  const std::string temporary = fmt::format("{}.new.{}.{:08x}", path, getpid(), std::random_device{}());
  struct Remove {
    const std::string& name;
    ~Remove() {
      for (const char* end : {"", "-wal", "-shm", "-journal"}) ::unlink((name + end).c_str());
    }
  } remove{temporary};
  {
    sqlite3* db = nullptr;
    const int code = sqlite3_open_v2(
        temporary.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    const SqliteHandle owner(db);
    if (code != SQLITE_OK) fail_sqlite(db, code, path, "make it");
    set_up_sqlite(db, path, options);
    const std::string hash = schema_hash();
    // Pages of 16 KiB: less processor time a row than 4 KiB.
    std::string sql = fmt::format(
        "PRAGMA page_size=16384; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; BEGIN;"
        "PRAGMA application_id={}; PRAGMA user_version={};",
        sqlite_application_id, store_version);
    for (const std::string& statement : schema_statements(Dialect::sqlite)) sql += statement + ";";
    sql += fmt::format("INSERT INTO store_info (version, schema_hash) VALUES ({}, '{}'); COMMIT;",
                       store_version, hash);
    execute(db, sql, path, "make it");
  }
  // Closing copied the log into the file and synced it.
  if (::link(temporary.c_str(), path.c_str()) == 0) {
    std::string folder = fs::path(path).parent_path().string();
    const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    ::fsync(descriptor);  // the name, too, outlives a power failure
    ::close(descriptor);
    return;
  }
  if (errno == EEXIST) return;
  std::error_code error;  // no links here (FAT, some network drives)
  if (!fs::exists(path, error)) fs::rename(temporary, path, error);
  if (error)
    throw IoError(fmt::format("store {}: cannot make it: {}", path, error.message()), ErrorKind::environment);
}

}  // namespace emshap::stream
