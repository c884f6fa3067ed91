#pragma once
// The same cases on every engine.
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "emshap/stream/feature_store.h"
#include "report/child_process.h"
#include "stream/postgres_server.h"

namespace emshap::test {

/// A folder that is removed with its content.
class StoreFolder {
 public:
  std::filesystem::path operator/(const std::string& name) const { return path() / name; }
  std::filesystem::path path() const { return folder_.path(); }

 private:
  report::TemporaryFolder folder_;
};

/// One server for all cases of a program; empty where there is none.
inline PostgresServer* shared_postgres() {
#if defined(EMSHAP_WITH_POSTGRESQL)
  static const std::unique_ptr<PostgresServer> server = PostgresServer::start();
  return server.get();
#else
  return nullptr;
#endif
}

/// Runs `body` with the location of a new store, once for each engine.
inline void on_engines(const std::function<void(const std::string& location)>& body) {
  {
    const StoreFolder folder;
    const std::string location = (folder / "store.db").string();
    CAPTURE(location);
    body(location);
  }
  if (PostgresServer* server = shared_postgres()) {
    const std::string location = server->new_store();
    CAPTURE(location);
    body(location);
  }
}

/// A sample whose values tell which one it is.
inline stream::Sample make_sample(std::int32_t partition, std::int64_t offset, std::int64_t time,
                                  std::string node) {
  stream::Sample s;
  s.partition = partition;
  s.offset = offset;
  s.time = time;
  s.node_id = std::move(node);
  s.power_consumption = 100.25F + static_cast<float>(offset);
  for (std::size_t m = 0; m < stream::metric_count; ++m)
    s.metrics[m] = static_cast<float>(m) + .1F * static_cast<float>(offset % 1000);
  return s;
}

/// `count` samples of one partition from offset `first` on: times from 1'000 on, node "n<partition>".
inline stream::Batch make_batch(std::int32_t partition, std::int64_t first, std::int64_t count) {
  stream::Batch batch;
  batch.topic = "topic";
  for (std::int64_t o = first; o < first + count; ++o)
    batch.samples.push_back(make_sample(partition, o, 1000 + o, "n" + std::to_string(partition)));
  batch.ranges.push_back({partition, first, first + count});
  return batch;
}

inline std::vector<stream::Sample> all_samples(stream::FeatureStore& store,
                                               const stream::RowFilter& filter = {}, std::int64_t block = 7) {
  std::vector<stream::Sample> samples;
  store.scan(filter, block, [&](const std::vector<stream::Sample>& rows) {
    samples.insert(samples.end(), rows.begin(), rows.end());
    return true;
  });
  return samples;
}

inline std::vector<stream::Quarantined> all_quarantined(stream::FeatureStore& store) {
  std::vector<stream::Quarantined> messages;
  store.scan_quarantine(1'000'000, [&](const stream::Quarantined& q) { messages.push_back(q); });
  return messages;
}

}  // namespace emshap::test
