// A store on a full disk: emshap_ingest ends with one sentence, and goes on where it was once there is space.
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include <doctest/doctest.h>

#include "report/child_process.h"
#include "stream/cluster.h"
#include "stream/ingest_process.h"
#include "stream/produced.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// The last line that the app said, without its name.
std::string last_words(const Child& child) {
  std::string text = child.err();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

void check_stopped(Consumer& consumer, const std::string& store) {
  REQUIRE(consumer.child().wait(60) == 4);
  const std::string words = last_words(consumer.child());
  CAPTURE(words);
  CHECK(words.starts_with("emshap_ingest: "));
  CHECK(words.find(store) != std::string::npos);
}

// The store of these tests needs 9 MiB and a log of 16 MiB.
struct Tmpfs {
  std::string folder;
  bool mounted;
  Tmpfs(std::string at, const char* size) : folder(std::move(at)) {
    std::filesystem::create_directory(folder);
    mounted = mount("tmpfs", folder.c_str(), "tmpfs", 0, size) == 0;
    if (!mounted) MESSAGE("skipped: no tmpfs can be mounted here: ", std::strerror(errno));
  }
  ~Tmpfs() {
    if (mounted) umount2(folder.c_str(), MNT_DETACH);
  }
};

}  // namespace

TEST_SUITE("full disk") {
  TEST_CASE("no file may grow further (RLIMIT_FSIZE)") {
    const report::TemporaryFolder folder;
    Cluster cluster(folder.path());
    const std::string topic = cluster.topic(8), store = (folder.path() / "s.db").string();
    Producer producer(cluster, topic, "sent", folder.path(),
                      {"--rows", "40000", "--nodes", "64", "--poison", "0.02"});
    producer.done();
    Consumer limited(cluster, topic, store, "limited", folder.path(),
                     {"--messages", "40000", "--store-seconds", "0.5", "--batch-records", "2000"}, 2 << 20);
    check_stopped(limited, store);
    const std::int64_t reached = progress(store, topic);
    CHECK(reached < 40000);
    Consumer(cluster, topic, store, "free", folder.path(), {"--until-idle", "0.5"}).done();
    check_store(read_store(store), cluster.ends(topic), producer.acknowledged());
  }

  TEST_CASE("a file system without space (tmpfs)") {
    const report::TemporaryFolder folder;
    const Tmpfs disk((folder.path() / "disk").string(), "size=48m");
    if (!disk.mounted) return;
    Cluster cluster(folder.path());
    const std::string topic = cluster.topic(8), store = disk.folder + "/s.db";
    Producer producer(cluster, topic, "sent", folder.path(),
                      {"--rows", "30000", "--nodes", "64", "--poison", "0.02"});
    producer.done();
    std::ofstream(disk.folder + "/filler", std::ios::binary) << std::string(46 << 20, 'x');
    Consumer full(cluster, topic, store, "full", folder.path(),
                  {"--messages", "30000", "--store-seconds", "0.5", "--batch-records", "1000"});
    check_stopped(full, store);
    CHECK(progress(store, topic) < 30000);
    std::filesystem::remove(disk.folder + "/filler");
    Consumer(cluster, topic, store, "free", folder.path(), {"--until-idle", "0.5"}).done();
    check_store(read_store(store), cluster.ends(topic), producer.acknowledged());
  }

  TEST_CASE("space that comes back in time is waited for") {
    const report::TemporaryFolder folder;
    const Tmpfs disk((folder.path() / "disk").string(), "size=48m");
    if (!disk.mounted) return;
    Cluster cluster(folder.path());
    const std::string topic = cluster.topic(8), store = disk.folder + "/s.db";
    std::ofstream(disk.folder + "/filler", std::ios::binary) << std::string(46 << 20, 'x');
    Producer producer(cluster, topic, "sent", folder.path(), {"--rows", "30000", "--nodes", "64"});
    producer.done();
    Consumer consumer(cluster, topic, store, "waits", folder.path(),
                      {"--messages", "30000", "--batch-records", "1000"});
    const auto give_up = Clock::now() + std::chrono::seconds(30);
    while (consumer.child().err().find(store) == std::string::npos && Clock::now() < give_up) sleep_ms(20);
    CHECK(consumer.child().running());
    std::filesystem::remove(disk.folder + "/filler");
    const auto report = consumer.done();
    CHECK(report["store_retries"].get<int>() > 0);
    check_store(read_store(store), cluster.ends(topic), producer.acknowledged());
  }
}
