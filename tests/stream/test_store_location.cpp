// What names a store, and that passwords are left out of what is saved.
#include <doctest/doctest.h>

#include <unistd.h>

#include <filesystem>

#include "emshap/core/atomic_file.h"
#include "emshap/stream/feature_store.h"

using namespace emshap;
using namespace emshap::stream;
namespace fs = std::filesystem;

TEST_CASE("store location: what is a store") {
  CHECK(is_store("postgresql://host/db"));
  CHECK(is_store("postgres://"));
  CHECK(is_store("sqlite:not-there.db"));
  CHECK(!is_store("not-there.db"));
  CHECK(!is_store(""));
  CHECK(!is_store("."));
  const fs::path file = fs::temp_directory_path() / ("emshap_location_" + std::to_string(::getpid()));
  write_file_atomically(file, std::string("SQLite format 3\0rest", 20));
  CHECK(is_store(file.string()));
  write_file_atomically(file, std::string("SQLite format 3", 15));
  CHECK(!is_store(file.string()));
  write_file_atomically(file, "time,node_id,power_consumption\n");
  CHECK(!is_store(file.string()));
  fs::remove(file);
}

TEST_CASE("store location: without password") {
  const auto check = [](const std::string& from, const std::string& to) {
    CHECK(without_password(from) == to);
  };
  check("hosts.csv", "hosts.csv");
  check("/data/a:b@c.db", "/data/a:b@c.db");
  check("sqlite:/data/a:b@c.db", "sqlite:/data/a:b@c.db");
  check("postgresql://", "postgresql://");
  check("postgresql://host:5432/db", "postgresql://host:5432/db");
  check("postgresql://user@host:5432/db", "postgresql://user@host:5432/db");
  check("postgresql://user:secret@host:5432/db", "postgresql://user@host:5432/db");
  check("postgres://user:sec:ret@host,other:5433/db?sslmode=require",
        "postgres://user@host,other:5433/db?sslmode=require");
  check("postgresql://user:sec/ret@host/db", "postgresql://user@host/db");
  check("postgresql://user:sec?ret@host/db", "postgresql://user@host/db");
  check("postgresql://user:a?password=secret@host/db?b=2", "postgresql://user@host/db?b=2");
  check("postgresql://:secret@host", "postgresql://@host");
  check("postgresql:///db?host=/run/x&user=a&password=secret", "postgresql:///db?host=/run/x&user=a");
  check("postgresql:///db?password=secret&host=/run/x", "postgresql:///db?host=/run/x");
  check("postgresql:///db?password=secret", "postgresql:///db");
  check("postgresql:///db?a=1&sslpassword=s&password=t&b=2", "postgresql:///db?a=1&b=2");
  check("postgresql://host/db?user=a@b:c", "postgresql://host/db?user=a@b:c");
}
