// Pointwise ops on the CPU and, where there is one, on the GPU: bytes moved per second beside the copy
// bandwidth.
#include <benchmark/benchmark.h>

#include <cstdio>

#include "emshap/core/context.h"
#include "emshap/core/tensor.h"
#include "emshap/ops/elementwise.h"
#include "peak.h"

using namespace emshap;

namespace {

void axpy(benchmark::State& state, Device device) {
  const std::int64_t n = state.range(0);
  Context ctx(device);
  Tensor x = Tensor::zeros({n / 64, 64}, DType::f32, device),
         y = Tensor::zeros({n / 64, 64}, DType::f32, device);
  ops::axpy(ctx, .5, x, y);
  ctx.synchronize();
  // Several launches per wait, as in a training step: a wait after each would measure the wait.
  constexpr int launches = 16;
  for (auto _ : state) {
    for (int i = 0; i < launches; ++i) ops::axpy(ctx, .5, x, y);
    ctx.synchronize();
  }
  state.SetBytesProcessed(state.iterations() * launches * n * 3 * 4);
}

}  // namespace

int main(int argc, char** argv) {
  std::printf("CPU level %s, copy within 256 KiB %.0f GB/s, from memory %.0f GB/s, CUDA devices: %d\n",
              to_string(cpu_backend()), bench::copy_bandwidth(256 << 10), bench::copy_bandwidth(256 << 20),
              cuda_device_count());
  for (const std::int64_t n : {1 << 12, 1 << 18, 1 << 24}) {
    benchmark::RegisterBenchmark("axpy/cpu", axpy, Device{})->Arg(n)->UseRealTime();
    if (cuda_device_count() > 0)
      benchmark::RegisterBenchmark("axpy/cuda", axpy, Device{DeviceKind::cuda, 0})->Arg(n)->UseRealTime();
  }
  if (cuda_device_count() > 0)
    benchmark::RegisterBenchmark("axpy/cuda", axpy, Device{DeviceKind::cuda, 0})->Arg(1 << 28)->UseRealTime();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
