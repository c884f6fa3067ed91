#pragma once
// RAII over SQLite's C interface, and its errors as ours.
#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "stream/store_engine.h"

namespace emshap::stream {

struct CloseSqlite {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using SqliteHandle = std::unique_ptr<sqlite3, CloseSqlite>;
using SqliteStatement = std::unique_ptr<sqlite3_stmt, CloseSqlite>;

/// Throws IoError: "store PATH: cannot <doing>: <reason>"; data for what is damaged or no database,
/// environment for full disks, locks and rights.
[[noreturn]] void fail_sqlite(sqlite3* db, int code, const std::string& path, std::string_view doing);

/// The row that a statement stands on.
class SqliteRow final : public StoreRow {
 public:
  explicit SqliteRow(sqlite3_stmt* statement) : statement_(statement) {}
  std::int64_t integer(int column) const override { return sqlite3_column_int64(statement_, column); }
  float real(int column) const override;
  std::string_view text(int column) const override;

 private:
  sqlite3_stmt* statement_;
};

/// Sets $1, $2, ... of a statement; texts must outlive its run.
int bind_sqlite(sqlite3_stmt* statement, std::span<const StoreValue> values);

/// Makes the store's file so that it appears complete or not at all, whoever else makes it at the time;
/// nothing happens where a file of the name is there.
void create_sqlite(const std::string& path, const StoreOptions& options);
/// The pragmas of every connection that writes.
void set_up_sqlite(sqlite3* db, const std::string& path, const StoreOptions& options);

}  // namespace emshap::stream
