#pragma once
// What the benchmarks of training steps share: the machine's peak, the counters, the batches, and main().
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "emshap/core/device.h"
#include "peak.h"

namespace emshap::bench {

/// The multiply-add peak, measured once for each number of threads.
inline double peak_gflops(int threads) {
  static double values[65] = {};
  double& value = values[std::min(threads, 64)];
  if (value == 0) value = fma_peak_gflops(threads);
  return value;
}

/// Times step() and reports GFLOP/s and the share of the peak for `flop` nominal operations a call.
template <class Step>
void time_step(benchmark::State& state, int threads, double flop, const Step& step) {
  for (int i = 0; i < 3; ++i) step();
  for (auto _ : state) step();
  const double gflop = flop * 1e-9;
  state.counters["GFLOP/s"] = benchmark::Counter(gflop, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] =
      benchmark::Counter(gflop / peak_gflops(threads), benchmark::Counter::kIsIterationInvariantRate);
}

/// A step that does not learn is not worth timing: ends the program unless the loss has fallen by `least`.
inline void require_fall(const char* program, double first, double last, double least) {
  if (last < first - least) return;
  std::fprintf(stderr, "%s: the loss went from %g to %g\n", program, first, last);
  std::exit(1);
}

/// Batches and threads of docs/benchmarks.md.
inline void batches_and_threads(benchmark::internal::Benchmark* b) {
  b->ArgNames({"batch", "threads"})->ArgsProduct({{32, 256, 4096}, {1, 2}})->UseRealTime();
}

inline void run_benchmarks(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("cpu_level", to_string(cpu_backend()));
  benchmark::AddCustomContext("peak_gflops_1_thread", std::to_string(peak_gflops(1)));
  benchmark::AddCustomContext("peak_gflops_2_threads", std::to_string(peak_gflops(2)));
  benchmark::RunSpecifiedBenchmarks();
}

}  // namespace emshap::bench
