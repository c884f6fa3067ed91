// FeatureVector messages decoded and checked, in batches of 10,000 as the consumer takes them: one core,
// messages a second.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "emshap/data/host_simulator.h"
#include "emshap/stream/feature_vector.h"

using namespace emshap;
using namespace emshap::stream;

namespace {

constexpr std::int64_t count = 10'000;

struct Messages {
  std::vector<std::string> bytes;
  std::int64_t now = 0;
};

// Simulated hosts with names of 8 to 16 characters; `missing`: share of metrics that are absent.
Messages messages(double missing, bool with_extra) {
  HostSimulator hosts({.rows = count, .nodes = 64, .missing = missing});
  std::vector<HostSample> rows(count);
  hosts.next(rows);
  Messages result;
  for (const HostSample& row : rows) {
    Sample sample;
    sample.time = row.time;
    const std::string number = fmt::format("-{:02}", row.node);
    sample.node_id =
        std::string("web-server-prod").substr(0, 5 + static_cast<std::size_t>(row.node % 9)) + number;
    sample.power_consumption = static_cast<float>(row.power_consumption);
    for (std::size_t m = 0; m < metric_count; ++m) sample.metrics[m] = static_cast<float>(row.metrics[m]);
    if (with_extra) sample.extra = R"({"disk_temp":41.5,"inlet_temp":22.25,"ups_load":0.63})";
    encode(sample, result.bytes.emplace_back());
    result.now = row.time;
  }
  return result;
}

void decode(benchmark::State& state, double missing, bool with_extra) {
  const Messages input = messages(missing, with_extra);
  Decoder decoder({});
  Batch batch;
  std::int64_t size = 0;
  for (const std::string& bytes : input.bytes) size += static_cast<std::int64_t>(bytes.size());
  for (auto _ : state) {
    batch.clear();
    for (std::size_t i = 0; i < input.bytes.size(); ++i)
      decoder.decode(input.bytes[i], 0, static_cast<std::int64_t>(i), input.now, batch);
    if (batch.samples.size() != input.bytes.size()) {
      std::fputs("bench_decode: messages were rejected\n", stderr);
      std::exit(1);
    }
    benchmark::DoNotOptimize(batch.samples.data());
  }
  state.SetItemsProcessed(state.iterations() * count);
  state.SetBytesProcessed(state.iterations() * size);
}

}  // namespace

BENCHMARK_CAPTURE(decode, all_metrics, 0.0, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(decode, a_fifth_absent, 0.2, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(decode, three_extra, 0.0, true)->Unit(benchmark::kMillisecond);
BENCHMARK_MAIN();
