#pragma once
// What the benchmarks of kernels share: what the GPU can do, measured in the same run, and timing on its
// stream. No CUDA header is needed to use this.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>

#include "emshap/core/context.h"

namespace emshap::bench {

/// What must be done whatever the code: bytes that enter or leave the GPU's memory, each tensor once, and
/// floating-point operations. A product counts 2 M N K.
struct Work {
  double bytes = 0;
  double flop = 0;
  Work& operator+=(const Work& other) {
    bytes += other.bytes;
    flop += other.flop;
    return *this;
  }
  friend Work operator+(Work a, const Work& b) { return a += b; }
  friend Work operator*(double times, const Work& w) { return {times * w.bytes, times * w.flop}; }
};

/// Measured once a run: the best of several.
struct Ceilings {
  double copy_gbs = 0;      ///< copy within the GPU's memory, bytes read plus written
  double sgemm_gflops = 0;  ///< cuBLAS in single precision without TF32, the better of two large sizes
  double launch_us = 0;     ///< an op of one element among many of its kind: the price of a launch
};
const Ceilings& ceilings();

/// max(bytes / copy bandwidth, operations / SGEMM peak): no code of this kind is faster, in seconds. Tensors
/// that stay in the L2 cache between calls can beat it.
double floor_seconds(const Work& work);

/// Where the kernels run on the processor (EMSHAP_WITH_CUDA=HOST) the benchmarks only prove that they work:
/// sizes are cut to a few rows.
bool on_processor();
inline std::int64_t rows(std::int64_t on_gpu) {
  return on_processor() && on_gpu > 37 ? 37 : on_gpu;
}

/// Seconds between two points of a context's stream, by CUDA events.
class Stopwatch {
 public:
  explicit Stopwatch(Context& ctx);
  ~Stopwatch();
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  void start();
  double stop();  ///< waits for the stream

 private:
  Context& ctx_;
  void* from_ = nullptr;
  void* to_ = nullptr;
};

/// Times call(), several in a row per measurement so that the stream never runs dry, and reports bytes,
/// operations, their rates, the floor and the share of it.
void time_calls(benchmark::State& state, Context& ctx, const Work& work, const std::function<void()>& call);

/// Checks that there is a device, adds device and ceilings to the report, runs what is registered. Returns
/// main()'s exit code: 4 without a device.
int run_gpu_benchmarks(int argc, char** argv);

}  // namespace emshap::bench
