// Several writers, kills, full disks and lost servers: every record is stored once.
#include <sqlite3.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <set>

#include "emshap/core/error.h"
#include "stream/store_fixture.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

/// What a topic holds: record `offset` of each partition. Some keys repeat, also between partitions.
Sample record(std::int32_t partition, std::int64_t offset) {
  const bool repeats = offset % 37 == 5;
  return make_sample(partition, offset, 10'000 + offset,
                     repeats ? "shared" : "n" + std::to_string(partition));
}

/// Offsets of samples and quarantine by partition: each exactly once, without holes.
void check_once(const std::string& location, std::int32_t partitions, std::int64_t records) {
  const auto store = open_store(location);
  std::map<std::int32_t, std::multiset<std::int64_t>> seen;
  for (const Sample& s : all_samples(*store, {}, 500)) seen[s.partition].insert(s.offset);
  for (const Quarantined& q : all_quarantined(*store)) seen[q.partition].insert(q.offset);
  for (std::int32_t p = 0; p < partitions; ++p) {
    CAPTURE(p);
    const std::int64_t next = store->positions("topic").at(p).next_offset;
    if (records >= 0) CHECK(next == records);
    CHECK(seen[p].size() == static_cast<std::size_t>(next));
    CHECK(std::set<std::int64_t>(seen[p].begin(), seen[p].end()).size() == seen[p].size());
    if (next > 0) CHECK(*seen[p].rbegin() == next - 1);
  }
}

/// Reads partitions as a consumer that does not know what the others do.
struct Reader {
  std::int32_t partitions;
  std::int64_t records;
  std::mt19937 random;
  std::map<std::int32_t, std::int64_t> at{};

  /// False when the end of all partitions was seen. `stored` counts rows.
  bool step(FeatureStore& store, std::int64_t& stored, std::int64_t most) {
    Batch batch;
    batch.topic = "topic";
    for (std::int32_t p = partitions; p-- > 0;) {
      if (random() % 3 == 0) continue;
      const std::int64_t first = at[p], count = std::min<std::int64_t>(1 + random() % most, records - first);
      if (count <= 0) continue;
      for (std::int64_t o = first; o < first + count; ++o) batch.samples.push_back(record(p, o));
      batch.ranges.push_back({p, first, first + count});
    }
    const CommitResult result = store.commit(batch);
    stored += result.stored + result.repeated;
    if (result.written())
      for (const Range& range : batch.ranges) at[range.partition] = range.next;
    for (const auto& [partition, next] : result.conflicts) at[partition] = next;
    return std::any_of(at.begin(), at.end(), [&](const auto& a) { return a.second < records; }) ||
           at.size() < static_cast<std::size_t>(partitions);
  }
};

/// Runs `body` in a child process and returns its exit code.
int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    int code = 99;
    try {
      code = body();
    } catch (...) {
    }
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

TEST_SUITE("store_failures") {
  TEST_CASE("writers that read the same records store each once") {
    for (const Repeated policy : {Repeated::first, Repeated::last})
      on_engines([&](const std::string& location) {
        constexpr std::int32_t partitions = 5, threads = 4;
        constexpr std::int64_t records = 400;
        CAPTURE(static_cast<int>(policy));
        std::atomic<std::int64_t> stored{0};
        std::atomic<int> failed{0};
        std::vector<std::thread> writers;
        for (int t = 0; t < threads; ++t)
          writers.emplace_back([&, t] {
            try {
              StoreOptions options;
              options.repeated = policy;
              const auto store = open_store(location, options);  // all make it at once
              Reader reader{partitions, records, std::mt19937(static_cast<unsigned>(t))};
              std::int64_t mine = 0;
              while (reader.step(*store, mine, 30)) {
              }
              stored += mine;
            } catch (const std::exception& e) {
              MESSAGE(std::string(e.what()));
              ++failed;
            }
          });
        for (std::thread& writer : writers) writer.join();
        CHECK(failed == 0);
        CHECK(stored == partitions * records);
        check_once(location, partitions, records);
      });
  }

  TEST_CASE("writers that bring samples of the same nodes and times keep each message once") {
    for (const Repeated policy : {Repeated::first, Repeated::last})
      on_engines([&](const std::string& location) {
        constexpr std::int32_t threads = 4;
        constexpr std::int64_t batches = 25, records = 20;
        CAPTURE(static_cast<int>(policy));
        std::atomic<int> failed{0};
        std::vector<std::thread> writers;
        for (std::int32_t t = 0; t < threads; ++t)
          writers.emplace_back([&, t] {
            try {
              StoreOptions options;
              options.repeated = policy;
              const auto store = open_store(location, options);
              std::mt19937 random(static_cast<unsigned>(t));
              for (std::int64_t first = 0; first < batches * records; first += records) {
                Batch batch = make_batch(t, first, records);
                for (Sample& s : batch.samples) {
                  s.time = 1000 + random() % 10;
                  s.node_id = "n" + std::to_string(random() % 4);
                }
                if (!store->commit(batch).written()) ++failed;
              }
            } catch (const std::exception& e) {
              MESSAGE(std::string(e.what()));
              ++failed;
            }
          });
        for (std::thread& writer : writers) writer.join();
        CHECK(failed == 0);
        const auto store = open_store(location);
        std::set<std::pair<std::int32_t, std::int64_t>> places;
        const std::vector<Sample> samples = all_samples(*store);
        CHECK(samples.size() == 40);
        for (const Sample& s : samples) CHECK(places.emplace(s.partition, s.offset).second);
        for (const Quarantined& q : all_quarantined(*store))
          CHECK(places.emplace(q.partition, q.offset).second);
        CHECK(places.size() == static_cast<std::size_t>(threads * batches * records));
      });
  }

  TEST_CASE("a writer that is killed at any moment leaves whole batches") {
    on_engines([](const std::string& location) {
      open_store(location);
      std::mt19937 random(11);
      for (int round = 0; round < 8; ++round) {
        const pid_t child = fork();
        if (child == 0) {
          try {
            const auto store = open_store(location);
            for (std::int64_t next = store->positions("topic")[0].next_offset;;) {
              Batch batch;
              batch.topic = "topic";
              const std::int64_t count = 1 + next % 300;
              for (std::int64_t o = next; o < next + count; ++o) batch.samples.push_back(record(0, o));
              batch.rejected.push_back({next + count, 0, Reason::no_time, "", "bytes"});
              batch.ranges = {{0, next, next + count + 1}};
              if (!store->commit(batch).written()) _exit(1);
              next += count + 1;
            }
          } catch (...) {
            _exit(2);
          }
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5 + random() % 100));
        kill(child, SIGKILL);
        int status = 0;
        waitpid(child, &status, 0);
        CHECK(WIFSIGNALED(status));
      }
      const auto store = open_store(location);
      if (store->positions("topic").empty()) return;
      check_once(location, 1, -1);
    });
  }

  TEST_CASE("a full disk stops a batch, and the store goes on when there is room") {
    const StoreFolder folder;
    const std::string path = (folder / "store.db").string();
    constexpr std::int64_t block = 2000;
    const int code = in_child([&] {
      signal(SIGXFSZ, SIG_IGN);
      const auto store = open_store(path);
      rlimit limit{};
      getrlimit(RLIMIT_FSIZE, &limit);
      std::int64_t next = 0;
      for (const rlim_t size : {2'000'000, 5'000'000}) {
        limit.rlim_cur = size;
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 10;
        bool full = false;
        while (!full && next < 1'000'000) try {
            if (!store->commit(make_batch(0, next, block)).written()) return 11;
            next += block;
          } catch (const IoError& e) {
            if (e.kind() != ErrorKind::environment) return 12;
            full = true;
          }
        if (!full) return 13;
        if (store->positions("topic").at(0).next_offset != next) return 14;
        if (store->count({}) != next) return 15;
      }
      limit.rlim_cur = limit.rlim_max;
      if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 16;
      for (int i = 0; i < 10; ++i, next += block)
        if (store->commit(make_batch(0, next, block)).stored != block) return 17;
      return 0;
    });
    CHECK(code == 0);
    check_once(path, 1, -1);
  }

  TEST_CASE("a file that another program keeps locked is an error in time, and nothing else") {
    const StoreFolder folder;
    const std::string path = (folder / "store.db").string();
    StoreOptions options;
    options.busy_seconds = .2;
    const auto store = open_store(path, options);
    CHECK(store->commit(make_batch(0, 0, 5)).written());
    sqlite3* other = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &other) == SQLITE_OK);
    REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
    ErrorKind kind = ErrorKind::internal;
    try {
      store->commit(make_batch(0, 5, 5));
    } catch (const IoError& e) {
      kind = e.kind();
      CHECK(std::string(e.what()).find("did not end its writing in time") != std::string::npos);
    }
    CHECK(kind == ErrorKind::environment);
    CHECK(store->count({}) == 5);
    sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr);
    sqlite3_close(other);
    CHECK(store->commit(make_batch(0, 5, 5)).stored == 5);
  }

  TEST_CASE("PostgreSQL: a lost server is an error, its return goes on where the store was") {
    const auto server = PostgresServer::start();
    if (server == nullptr) return;
    const std::string location = server->new_store();
    const auto store = open_store(location);
    CHECK(store->commit(make_batch(0, 0, 100)).stored == 100);
    for (int round = 0; round < 2; ++round) {
      server->stop(SIGQUIT);
      for (int attempt = 0; attempt < 2; ++attempt) {
        ErrorKind kind = ErrorKind::internal;
        try {
          store->commit(make_batch(0, 100 + round * 50, 50));
        } catch (const IoError& e) {
          kind = e.kind();
        }
        CHECK(kind == ErrorKind::environment);
      }
      server->run();
      CHECK(store->commit(make_batch(0, 100 + round * 50, 50)).stored == 50);
    }
    check_once(location, 1, 200);
    // A connection that the server ended while it was idle is made anew without an error.
    CHECK(server->psql(
              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'emshap'") ==
          0);
    CHECK(store->commit(make_batch(0, 200, 50)).stored == 50);
  }

  TEST_CASE("PostgreSQL: a lock that is not had in time is an error, and nothing else") {
    PostgresServer* server = shared_postgres();
    if (server == nullptr) return;
    const std::string location = server->new_store();
    const std::string schema = location.substr(location.rfind("%3D") + 3);
    StoreOptions options;
    options.busy_seconds = .2;
    const auto store = open_store(location, options);
    CHECK(store->commit(make_batch(0, 0, 5)).written());
    std::thread holder(
        [&] { server->psql("BEGIN; LOCK TABLE " + schema + ".progress; SELECT pg_sleep(60)"); });
    while (
        server->psql("SELECT 1 / count(*) FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' AND "
                     "relation = '" +
                     schema + ".progress'::regclass") != 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ErrorKind kind = ErrorKind::internal;
    try {
      store->commit(make_batch(0, 5, 5));
    } catch (const IoError& e) {
      kind = e.kind();
      CHECK(std::string(e.what()).find("did not end its writing in time") != std::string::npos);
    }
    CHECK(kind == ErrorKind::environment);
    CHECK(server->psql(
              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'") == 0);
    holder.join();
    CHECK(store->commit(make_batch(0, 5, 5)).stored == 5);
  }
}
