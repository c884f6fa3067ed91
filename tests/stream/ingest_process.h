#pragma once
// emshap_ingest as a process, and what its store has to hold at the end.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/atomic_file.h"
#include "emshap/stream/feature_store.h"
#include "emshap/stream/feature_vector.h"
#include "emshap/stream/message_generator.h"
#include "stream/child.h"
#include "stream/cluster.h"
#include "stream/produced.h"

namespace emshap::test {

/// A consumer with the short times of a test, in the cluster's group.
class Consumer {
 public:
  Consumer(Cluster& cluster, const std::string& topic, const std::string& store, const std::string& name,
           const std::filesystem::path& folder, std::vector<std::string> more = {},
           std::uint64_t most_file_bytes = 0)
      : name_(name), folder_(folder) {
    std::vector<std::string> command{app_path("emshap_ingest"),
                                     "--brokers",
                                     cluster.bootstrap(),
                                     "--topic",
                                     topic,
                                     "--group",
                                     cluster.group(),
                                     "--store",
                                     store,
                                     "--report",
                                     name + ".json"};
    for (std::string property : {"fetch.wait.max.ms=10", "session.timeout.ms=", "heartbeat.interval.ms=300",
                                 "reconnect.backoff.max.ms=500", "fetch.error.backoff.ms=50"}) {
      if (property.ends_with('=')) property += cluster.session_ms();
      command.push_back("--property");
      command.push_back(property);
    }
    command.insert(command.end(), more.begin(), more.end());
    child_ = std::make_unique<Child>(name, command, folder, most_file_bytes);
  }
  Child& child() { return *child_; }
  /// Waits for its end, which has to be a good one, and returns its report.
  nlohmann::json done(double seconds = 120) {
    const int code = child_->wait(seconds);
    INFO(child_->err());
    REQUIRE(code == 0);
    const auto report = nlohmann::json::parse(read_file(folder_ / (name_ + ".json")));
    CHECK(report["received"].get<std::int64_t>() ==
          report["stored"].get<std::int64_t>() + report["rejected"].get<std::int64_t>() +
              report["repeated"].get<std::int64_t>() + report["discarded"].get<std::int64_t>());
    return report;
  }
  /// Asks it to end, as an operator would.
  nlohmann::json stop() {
    child_->signal(SIGTERM);
    return done();
  }

 private:
  std::string name_;
  std::filesystem::path folder_;
  std::unique_ptr<Child> child_;
};

/// All that a store has of one topic, by (partition, offset).
struct Stored {
  Acknowledgements records;  ///< kind: "good" for samples, the reason for those in quarantine
  std::map<std::string, std::int64_t> rejected;
  std::int64_t samples = 0, missed = 0;
  std::int64_t twice = 0;  ///< records whose place another one has already
  std::map<std::int32_t, stream::StoreSummary::Partition> partitions;
};

inline Stored read_store(const std::string& location) {
  const auto store = stream::open_store(location, {.create = false});
  Stored stored;
  const auto add = [&](std::int32_t partition, std::int64_t offset, const std::string& bytes,
                       const std::string& kind) {
    const bool fresh = stored.records
                           .emplace(std::pair(partition, offset),
                                    Acknowledged{fmt::format("{:016x}", stream::message_hash(bytes)), kind})
                           .second;
    stored.twice += fresh ? 0 : 1;
  };
  std::string bytes;
  store->scan({}, 10'000, [&](const std::vector<stream::Sample>& samples) {
    for (const stream::Sample& sample : samples) {
      bytes.clear();
      stream::encode(sample, bytes);
      add(sample.partition, sample.offset, bytes, "good");
    }
    stored.samples += static_cast<std::int64_t>(samples.size());
    return true;
  });
  store->scan_quarantine(std::numeric_limits<std::int64_t>::max(), [&](const stream::Quarantined& q) {
    add(q.partition, q.offset, q.bytes, q.reason);
    ++stored.rejected[q.reason];
  });
  for (const auto& partition : store->summary().partitions) {
    stored.partitions[partition.partition] = partition;
    stored.missed += partition.missed;
  }
  return stored;
}

/// How many records of the topic the store knows of: stored, in quarantine or noted as missed.
inline std::int64_t progress(const std::string& location, const std::string& topic) {
  std::int64_t next = 0;
  try {
    const auto store = stream::open_store(location, {.create = false, .read_only = true});
    for (const auto& [partition, position] : store->positions(topic)) next += position.next_offset;
  } catch (const std::exception&) {  // there is no store yet
  }
  return next;
}

/// Waits until the store knows of so many records of the topic.
inline void wait_for_progress(const std::string& location, const std::string& topic, std::int64_t records,
                              double seconds = 60) {
  const auto give_up = Clock::now() + std::chrono::duration<double>(seconds);
  std::int64_t next = 0;
  while ((next = progress(location, topic)) < records && Clock::now() < give_up) sleep_ms(30);
  if (next < records) FAIL("the store knows of ", next, " records, expected ", records);
}

inline std::int64_t sum(const std::map<std::int32_t, std::int64_t>& ends) {
  std::int64_t total = 0;
  for (const auto& [partition, end] : ends) total += end;
  return total;
}

/// How a store differs from what was sent; all zero when nothing was lost, doubled or altered.
struct Differences {
  std::int64_t lost = 0;         ///< acknowledged, neither stored nor within what is noted as missed
  std::int64_t twice = 0;        ///< places with more than one record
  std::int64_t invented = 0;     ///< places that the topic does not have
  std::int64_t unaccounted = 0;  ///< partitions whose records and missed ones do not add up to their end
  std::int64_t other_bytes = 0, other_fate = 0;
  std::int64_t sum() const { return lost + twice + invented + unaccounted + other_bytes + other_fate; }
};

/// With `copies`, an acknowledgement that was lost on the way may have put a message into the topic twice:
/// then one of the two is in quarantine as repeated.
inline Differences compare(const Stored& stored, const std::map<std::int32_t, std::int64_t>& ends,
                           const Acknowledgements& acknowledged, bool copies = false) {
  Differences d;
  d.twice = stored.twice;
  std::map<std::int32_t, std::int64_t> count;
  std::set<std::string> sampled;
  for (const auto& [place, record] : stored.records) {
    ++count[place.first];
    if (record.kind == "good") sampled.insert(record.hash);
    const auto end = ends.find(place.first);
    d.invented += end == ends.end() || place.second < 0 || place.second >= end->second ? 1 : 0;
  }
  for (const auto& [partition, end] : ends) {
    const auto found = stored.partitions.find(partition);
    const stream::StoreSummary::Partition p =
        found == stored.partitions.end() ? stream::StoreSummary::Partition{} : found->second;
    d.unaccounted += p.next_offset != end || count[partition] + p.missed != end ||
                             p.samples + p.quarantined + p.missed != end
                         ? 1
                         : 0;
  }
  for (const auto& [place, sent] : acknowledged) {
    const auto got = stored.records.find(place);
    if (got == stored.records.end()) {
      ++d.lost;
      continue;
    }
    d.other_bytes += got->second.hash != sent.hash ? 1 : 0;
    const bool copy =
        copies && got->second.kind == "repeated (node_id, time)" && sampled.count(sent.hash) == 1;
    d.other_fate += got->second.kind != sent.kind && !copy ? 1 : 0;
  }
  d.lost = std::max<std::int64_t>(0, d.lost - stored.missed);
  return d;
}

/// Every offset below `ends` is in the store once or noted as missed, and every acknowledged message stands
/// at its place with its bytes and its fate.
inline void check_store(const Stored& stored, const std::map<std::int32_t, std::int64_t>& ends,
                        const Acknowledgements& acknowledged, bool copies = false) {
  const Differences d = compare(stored, ends, acknowledged, copies);
  CHECK(d.lost == 0);
  CHECK(d.twice == 0);
  CHECK(d.invented == 0);
  CHECK(d.unaccounted == 0);
  CHECK(d.other_bytes == 0);
  CHECK(d.other_fate == 0);
}

}  // namespace emshap::test
