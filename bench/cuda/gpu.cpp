#include "gpu.h"

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>
#if !EMSHAP_CUDA_ON_HOST
#include <cublas_v2.h>
#endif

#include "emshap/core/tensor.h"
#include "emshap/ops/elementwise.h"

namespace emshap::bench {
namespace {

const Device gpu{DeviceKind::cuda, 0};

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("benchmark: ") + what + " failed");
}

cudaEvent_t event(void* handle) {
  return static_cast<cudaEvent_t>(handle);
}

/// The shortest of five measurements of `times` calls, a call.
double best_seconds(Context& ctx, int times, const std::function<void()>& call) {
  Stopwatch watch(ctx);
  call();
  double best = 1e30;
  for (int round = 0; round < 5; ++round) {
    watch.start();
    for (int i = 0; i < times; ++i) call();
    best = std::min(best, watch.stop() / times);
  }
  return best;
}

double copy_bandwidth(Context& ctx) {
  const std::int64_t bytes = on_processor() ? 1 << 12 : std::int64_t{1} << 30;
  const Tensor from = Tensor::zeros({bytes / 4}, DType::f32, gpu);
  Tensor to({bytes / 4}, DType::f32, gpu);
  const auto stream = static_cast<cudaStream_t>(ctx.stream());
  const double seconds = best_seconds(ctx, 4, [&] {
    require(cudaMemcpyAsync(to.ptr<float>(), from.ptr<float>(), static_cast<std::size_t>(bytes),
                            cudaMemcpyDeviceToDevice, stream) == cudaSuccess,
            "cudaMemcpyAsync");
  });
  return 2e-9 * static_cast<double>(bytes) / seconds;
}

#if EMSHAP_CUDA_ON_HOST
double sgemm_peak(Context&) {
  return 1;  // no figure of such a run means anything
}
#else
double sgemm_peak(Context& ctx) {
  cublasHandle_t handle = nullptr;
  require(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS, "cublasCreate");
  require(cublasSetStream(handle, static_cast<cudaStream_t>(ctx.stream())) == CUBLAS_STATUS_SUCCESS,
          "cublasSetStream");
  require(cublasSetMathMode(handle, CUBLAS_PEDANTIC_MATH) == CUBLAS_STATUS_SUCCESS, "cublasSetMathMode");
  double best = 0;
  for (const int n : {4096, 8192}) {
    Tensor a({n, n}, DType::f32, gpu), b({n, n}, DType::f32, gpu), c({n, n}, DType::f32, gpu);
    // Values of several bits: zeros draw less power and run faster.
    ops::fill(ctx, .7364, a);
    ops::fill(ctx, -.3172, b);
    const float one = 1, zero = 0;
    const double seconds = best_seconds(ctx, 2, [&] {
      require(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, a.ptr<float>(), n, b.ptr<float>(),
                          n, &zero, c.ptr<float>(), n) == CUBLAS_STATUS_SUCCESS,
              "cublasSgemm");
    });
    best = std::max(best, 2e-9 * n * n * n / seconds);
  }
  cublasDestroy(handle);
  return best;
}
#endif

Ceilings measure() {
  Context ctx(gpu);
  Tensor one = Tensor::zeros({1, 1}, DType::f32, gpu);
  Ceilings c;
  c.copy_gbs = copy_bandwidth(ctx);
  c.sgemm_gflops = sgemm_peak(ctx);
  c.launch_us = 1e6 * best_seconds(ctx, on_processor() ? 2 : 500, [&] { ops::fill(ctx, 1, one); });
  return c;
}

}  // namespace

const Ceilings& ceilings() {
  static const Ceilings measured = measure();
  return measured;
}

double floor_seconds(const Work& work) {
  return std::max(work.bytes * 1e-9 / ceilings().copy_gbs, work.flop * 1e-9 / ceilings().sgemm_gflops);
}

bool on_processor() {
  return EMSHAP_CUDA_ON_HOST != 0;
}

Stopwatch::Stopwatch(Context& ctx) : ctx_(ctx) {
  cudaEvent_t from = nullptr, to = nullptr;
  require(cudaEventCreateWithFlags(&from, 0) == cudaSuccess, "cudaEventCreate");
  require(cudaEventCreateWithFlags(&to, 0) == cudaSuccess, "cudaEventCreate");
  from_ = from;
  to_ = to;
}

Stopwatch::~Stopwatch() {
  (void)cudaEventDestroy(event(from_));
  (void)cudaEventDestroy(event(to_));
}

void Stopwatch::start() {
  require(cudaEventRecord(event(from_), static_cast<cudaStream_t>(ctx_.stream())) == cudaSuccess,
          "cudaEventRecord");
}

double Stopwatch::stop() {
  float ms = 0;
  require(cudaEventRecord(event(to_), static_cast<cudaStream_t>(ctx_.stream())) == cudaSuccess,
          "cudaEventRecord");
  require(cudaEventSynchronize(event(to_)) == cudaSuccess, "cudaEventSynchronize");
  require(cudaEventElapsedTime(&ms, event(from_), event(to_)) == cudaSuccess, "cudaEventElapsedTime");
  return 1e-3 * static_cast<double>(ms);
}

void time_calls(benchmark::State& state, Context& ctx, const Work& work, const std::function<void()>& call) {
  Stopwatch watch(ctx);
  for (int i = 0; i < (on_processor() ? 1 : 3); ++i) call();
  watch.start();
  call();
  // About a millisecond a measurement: launches are issued while earlier kernels run.
  const int times =
      on_processor() ? 1 : std::clamp(static_cast<int>(1e-3 / std::max(watch.stop(), 1e-7)), 1, 200);
  std::vector<double> samples;
  for (auto _ : state) {
    watch.start();
    for (int i = 0; i < times; ++i) call();
    samples.push_back(watch.stop() / times);
    state.SetIterationTime(samples.back());
  }
  if (samples.empty()) return;
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2),
                   samples.end());
  const double seconds = std::max(samples[samples.size() / 2], 1e-12), floor = floor_seconds(work);
  state.counters["bytes"] = work.bytes;
  state.counters["flop"] = work.flop;
  state.counters["us"] = 1e6 * seconds;
  state.counters["GB/s"] = 1e-9 * work.bytes / seconds;
  state.counters["GFLOP/s"] = 1e-9 * work.flop / seconds;
  state.counters["floor_us"] = 1e6 * floor;
  state.counters["of_floor"] = floor / seconds;
}

int run_gpu_benchmarks(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (cuda_device_count() == 0) {
    std::fprintf(stderr, "%s: there is no CUDA device\n", argv[0]);
    return 4;
  }
  try {
    const Ceilings& c = ceilings();
    benchmark::AddCustomContext("kernels_run_on",
                                on_processor() ? "the processor: no figure means anything" : "the GPU");
    benchmark::AddCustomContext("copy_gbs", std::to_string(c.copy_gbs));
    benchmark::AddCustomContext("sgemm_gflops", std::to_string(c.sgemm_gflops));
    benchmark::AddCustomContext("tf32", cuda_tf32() ? "on" : "off");
    benchmark::AddCustomContext("launch_us", std::to_string(c.launch_us));
    benchmark::RunSpecifiedBenchmarks();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
    return 1;
  }
  return 0;
}

}  // namespace emshap::bench
