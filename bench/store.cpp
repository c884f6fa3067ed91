// Rows a second into a store: commit() of batches of 1,000 nodes, all rows new, to disk.
// EMSHAP_BENCH_FOLDER: where the files are made (default /tmp); EMSHAP_BENCH_POSTGRESQL: the URL of an empty
// database or schema, measured as well.
#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "emshap/stream/feature_store.h"

using namespace emshap::stream;

namespace {

constexpr std::int64_t nodes = 1000, partitions = 64;

double megabytes_resident() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

/// `rows` samples in the order of time; node n is in partition n % partitions, as a topic keyed by node has
/// it, and comes partition by partition, as a consumer fetches.
class Messages {
 public:
  explicit Messages(std::int64_t rows) : rows_(rows) {
    batch_.topic = "raw_metrics";
    for (std::int64_t p = 0; p < partitions; ++p) {
      batch_.ranges.push_back({static_cast<std::int32_t>(p), 0, 0});
      for (std::int64_t r = 0; r < rows; ++r)
        if (r % nodes % partitions == p) {
          Sample s;
          s.time = 1'735'689'600 + r / nodes * 60;
          s.node_id = "rack-" + std::to_string(r % nodes / 40) + "-node-" + std::to_string(r % nodes);
          s.partition = static_cast<std::int32_t>(p);
          s.power_consumption = 150.F + .37F * static_cast<float>(r % 771);
          for (std::size_t m = 0; m < metric_count; ++m)
            s.metrics[m] =
                .013F * static_cast<float>((r * 7919 + static_cast<std::int64_t>(m) * 104729) % 65537);
          batch_.samples.push_back(s);
        }
    }
  }
  const Batch& next() {
    for (Range& range : batch_.ranges) range.first = range.next;
    for (Sample& s : batch_.samples) {
      s.time += rows_ / nodes * 60;
      s.offset = batch_.ranges[static_cast<std::size_t>(s.partition)].next++;
    }
    return batch_;
  }

 private:
  std::int64_t rows_;
  Batch batch_;
};

void commit(benchmark::State& state, const std::string& location, bool sync) {
  StoreOptions options;
  options.sync = sync;
  const auto store = open_store(location, options);
  Messages messages(state.range(0));
  std::int64_t rows = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const Batch& batch = messages.next();
    state.ResumeTiming();
    const CommitResult result = store->commit(batch);
    if (result.stored != batch.records()) state.SkipWithError("rows were not stored");
    rows += result.stored;
  }
  state.SetItemsProcessed(rows);
  state.counters["us_a_row"] = benchmark::Counter(static_cast<double>(rows) * 1e-6,
                                                  benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["resident_MB"] = megabytes_resident();
}

/// Reading all of what was stored, in blocks as training reads it.
void scan(benchmark::State& state, const std::string& location) {
  StoreOptions options;
  options.read_only = true;
  const auto store = open_store(location, options);
  std::int64_t rows = 0;
  for (auto _ : state)
    store->scan({}, 4096, [&](const std::vector<Sample>& samples) {
      rows += static_cast<std::int64_t>(samples.size());
      return true;
    });
  state.SetItemsProcessed(rows);
}

void summary(benchmark::State& state, const std::string& location) {
  const auto store = open_store(location);
  std::int64_t rows = 0;
  for (auto _ : state) rows += store->summary().samples;
  state.SetItemsProcessed(rows);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  namespace fs = std::filesystem;
  const char* named = std::getenv("EMSHAP_BENCH_FOLDER");
  const fs::path folder =
      fs::path(named == nullptr ? "/tmp" : named) / ("emshap_bench_" + std::to_string(getpid()));
  fs::create_directory(folder);
  const auto add = [&](const std::string& engine, const std::string& location, bool sync, std::int64_t rows) {
    benchmark::RegisterBenchmark(("commit/" + engine).c_str(), commit, location, sync)
        ->Arg(rows)
        ->UseRealTime()
        ->MeasureProcessCPUTime()
        ->Iterations(1'000'000 / rows)
        ->Unit(benchmark::kMillisecond);
  };
  for (const std::int64_t rows : {5000, 10000, 20000}) {
    add("sqlite", (folder / ("full" + std::to_string(rows))).string(), true, rows);
    add("sqlite/no_sync", (folder / ("normal" + std::to_string(rows))).string(), false, rows);
  }
  const auto read = [&](const std::string& engine, const std::string& location) {
    benchmark::RegisterBenchmark(("scan/" + engine).c_str(), scan, location)->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("summary/" + engine).c_str(), summary, location)
        ->Unit(benchmark::kMillisecond);
  };
  read("sqlite", (folder / "full20000").string());
  if (const char* url = std::getenv("EMSHAP_BENCH_POSTGRESQL")) {
    add("postgresql", url, true, 20000);
    read("postgresql", url);
  }
  benchmark::RunSpecifiedBenchmarks();
  fs::remove_all(folder);
}
