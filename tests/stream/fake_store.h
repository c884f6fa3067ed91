#pragma once
// A store in memory, for tests of what reads stores.
#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "emshap/stream/feature_store.h"

namespace emshap::test {

class FakeStore : public stream::FeatureStore {
 public:
  /// Any order; read() gives them by (time, node_id).
  std::vector<stream::Sample> samples;
  std::vector<stream::Quarantined> quarantine;
  stream::StoreSummary about;
  int reads = 0;
  std::int64_t longest_read = 0;

  stream::CommitResult commit(const stream::Batch&, const std::string&) override { return {}; }
  std::map<std::int32_t, stream::Position> positions(const std::string&) override { return {}; }
  void read(const stream::RowFilter& filter, const stream::Sample* after, std::int64_t block,
            std::vector<stream::Sample>& out) override {
    const auto key = [](const stream::Sample& s) { return std::tie(s.time, s.node_id); };
    std::sort(samples.begin(), samples.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
    out.clear();
    ++reads;
    for (const stream::Sample& s : samples) {
      if (static_cast<std::int64_t>(out.size()) == block) break;
      if (after != nullptr && !(key(*after) < key(s))) continue;
      if (filter.takes_time(s.time) && filter.takes_node(s.node_id)) out.push_back(s);
    }
    longest_read = std::max(longest_read, static_cast<std::int64_t>(out.size()));
  }
  std::int64_t count(const stream::RowFilter& filter) override {
    return std::count_if(samples.begin(), samples.end(), [&](const stream::Sample& s) {
      return filter.takes_time(s.time) && filter.takes_node(s.node_id);
    });
  }
  void scan_quarantine(std::int64_t most,
                       const std::function<void(const stream::Quarantined&)>& take) override {
    for (const stream::Quarantined& q : quarantine)
      if (most-- > 0) take(q);
  }
  stream::StoreSummary summary() override { return about; }
  std::pair<std::int64_t, std::int64_t> prune(std::int64_t time) override {
    const auto a = std::erase_if(samples, [&](const auto& s) { return s.time < time; });
    const auto b = std::erase_if(quarantine, [&](const auto& q) { return q.stored_at < time; });
    return {static_cast<std::int64_t>(a), static_cast<std::int64_t>(b)};
  }
};

/// `rows` simulated samples of `nodes` hosts, as a store would have them.
inline std::vector<stream::Sample> host_samples(std::int64_t rows, std::int64_t nodes, double missing = 0) {
  HostSimulatorOptions options;
  options.rows = rows;
  options.nodes = nodes;
  options.missing = missing;
  HostSimulator simulator(options);
  std::vector<HostSample> hosts(static_cast<std::size_t>(rows));
  if (simulator.next(hosts) != rows) return {};
  std::vector<stream::Sample> out;
  for (const HostSample& h : hosts) {
    stream::Sample s;
    s.time = h.time;
    s.offset = static_cast<std::int64_t>(out.size());
    s.node_id = "node-" + std::to_string(h.node);
    s.power_consumption = static_cast<float>(h.power_consumption);
    for (std::size_t m = 0; m < s.metrics.size(); ++m) s.metrics[m] = static_cast<float>(h.metrics[m]);
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace emshap::test
