// Which files and databases are taken for stores, and what is said of those that are not.
#include <sqlite3.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "stream/store_fixture.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

/// Kind and text of the error with which a store does not open.
std::pair<ErrorKind, std::string> refusal(const std::string& location, const StoreOptions& options = {}) {
  try {
    open_store(location, options);
  } catch (const Error& e) {
    return {e.kind(), e.what()};
  }
  return {ErrorKind::internal, "it opened"};
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void sqlite(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
}

std::int64_t files_in(const StoreFolder& folder) {
  std::int64_t count = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(folder.path())) ++count;
  return count;
}

}  // namespace

TEST_SUITE("store_opening") {
  TEST_CASE("files that are no stores are left as they are") {
    const StoreFolder folder;
    const std::string csv = (folder / "rows.csv").string(), other = (folder / "other.db").string(),
                      empty = (folder / "empty").string(), posing = (folder / "posing.db").string();
    const std::string text = "time,node_id,power_consumption\n" + std::string(5000, '1');
    std::ofstream(csv) << text;
    std::ofstream(empty).flush();
    sqlite(other, "CREATE TABLE samples (x)");
    sqlite(posing, "CREATE TABLE store_info (version, schema_hash); INSERT INTO store_info VALUES (1, 'x')");
    const std::string before = read_file(other);
    for (const std::string& path : {csv, other, empty, posing})
      for (const bool read_only : {false, true}) {
        CAPTURE(path);
        StoreOptions options;
        options.read_only = read_only;
        const auto [kind, message] = refusal(path, options);
        CHECK(kind == ErrorKind::data);
        CHECK(says(message, path));
      }
    CHECK(read_file(csv) == text);
    CHECK(read_file(other) == before);
    CHECK(std::filesystem::file_size(empty) == 0);
    CHECK(files_in(folder) == 4);
    CHECK(refusal(folder.path().string()).first != ErrorKind::internal);
    CHECK(refusal((folder / "no/such/folder.db").string()).first == ErrorKind::environment);
    CHECK(refusal("").first == ErrorKind::usage);
    StoreOptions options;
    options.create = false;
    CHECK(refusal((folder / "absent.db").string(), options).first == ErrorKind::data);
    CHECK(files_in(folder) == 4);
  }

  TEST_CASE("stores of another version or with other tables are refused") {
    on_engines([](const std::string& location) {
      const bool file = location[0] == '/';
      const auto change = [&](const std::string& sql) {
        if (file) return sqlite(location, sql);
        const std::string schema = location.substr(location.rfind("%3D") + 3);
        CHECK(shared_postgres()->psql("SET search_path = " + schema + "; " + sql) == 0);
      };
      open_store(location);
      change("UPDATE store_info SET version = 7");
      auto [kind, message] = refusal(location);
      CHECK(kind == ErrorKind::data);
      CHECK(says(message, "version 7"));
      change("UPDATE store_info SET version = 1, schema_hash = 'abc'");
      std::tie(kind, message) = refusal(location);
      CHECK(kind == ErrorKind::data);
      CHECK(says(message, "abc"));
      change("DELETE FROM store_info");
      CHECK(refusal(location).first == ErrorKind::data);
      change("DROP TABLE store_info");
      CHECK(refusal(location).first == ErrorKind::data);
    });
  }

  TEST_CASE("SQLite: names with special signs, and the prefix") {
    const StoreFolder folder;
    const std::string path = (folder / "a?b#c%20 d'ü.db").string();
    CHECK(open_store("sqlite:" + path)->commit(make_batch(0, 0, 3)).stored == 3);
    StoreOptions options;
    options.read_only = true;
    CHECK(open_store(path, options)->count({}) == 3);
    CHECK(is_store(path));
    CHECK(files_in(folder) == 1);
  }

  TEST_CASE("SQLite: readers leave no files behind and need no right to write") {
    const StoreFolder folder;
    const std::string path = (folder / "store.db").string();
    CHECK(open_store(path)->commit(make_batch(0, 0, 300)).stored == 300);
    CHECK(files_in(folder) == 1);
    StoreOptions options;
    options.read_only = true;
    CHECK(open_store(path, options)->count({}) == 300);
    CHECK(files_in(folder) == 1);
    // As another user, who may only read; root may do everything.
    chmod(path.c_str(), 0444);
    chmod(folder.path().c_str(), 0555);
    const pid_t child = fork();
    if (child == 0) {
      int code = 1;
      try {
        if (getuid() == 0 && setuid(65534) != 0) _exit(2);
        code = open_store(path, options)->count({}) == 300 ? 0 : 3;
      } catch (...) {
      }
      _exit(code);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    chmod(folder.path().c_str(), 0755);
    CHECK(files_in(folder) == 1);
  }

  TEST_CASE("SQLite: a file that is removed while in use is an error, and not made anew") {
    const StoreFolder folder;
    const std::string path = (folder / "store.db").string();
    const auto store = open_store(path);
    CHECK(store->commit(make_batch(0, 0, 3)).stored == 3);
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path + end);
    for (int attempt = 0; attempt < 2; ++attempt) {
      ErrorKind kind = ErrorKind::internal;
      try {
        store->commit(make_batch(0, 3, 3));
      } catch (const IoError& e) {
        kind = e.kind();
      }
      CHECK(kind == ErrorKind::environment);
    }
    CHECK(files_in(folder) == 0);
    open_store(path);
    CHECK(store->commit(make_batch(0, 0, 3)).stored == 3);
  }

  TEST_CASE("PostgreSQL: passwords are not repeated in messages") {
    for (const char* url : {"postgresql://u:sekret@127.0.0.1:1/db", "postgresql://u:sek/ret@127.0.0.1:1/db",
                            "postgresql://u@127.0.0.1:1/db?password=sekret&connect_timeout=1",
                            "postgresql://u:sekret@127.0.0.1:x/db"}) {
      CAPTURE(url);
      const auto [kind, message] = refusal(url);
      CHECK((kind == ErrorKind::environment || kind == ErrorKind::usage));
      CHECK(says(message, "127.0.0.1"));
      CHECK_FALSE(says(message, "sek"));
      CHECK_FALSE(says(message, "ret"));
    }
  }

  TEST_CASE("PostgreSQL: a database with another encoding or without a store") {
    PostgresServer* server = shared_postgres();
    if (server == nullptr) return;
    StoreOptions options;
    options.create = false;
    CHECK(refusal(server->new_store(), options).first == ErrorKind::data);
    CHECK(server->psql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0") == 0);
    std::string latin = server->url();
    latin.replace(latin.find("/postgres?"), 10, "/latin?");
    const auto [kind, message] = refusal(latin);
    CHECK(kind == ErrorKind::data);
    CHECK(says(message, "LATIN1"));
    CHECK(refusal("postgresql:///nothing?host=/tmp/no_such_folder").first == ErrorKind::environment);
  }
}
