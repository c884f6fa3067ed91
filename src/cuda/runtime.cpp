// The runtime calls behind core/cuda_runtime.h: devices, memory, streams.
#include "core/cuda_runtime.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <vector>

#include <fmt/format.h>

#include "cuda/check.h"

namespace emshap::cuda {

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  if (status == cudaErrorMemoryAllocation)
    throw CudaError(
        fmt::format("{}: the GPU is out of memory; use a smaller --batch-size or --device cpu", call));
  throw CudaError(
      fmt::format("{} failed: {} ({})", call, cudaGetErrorString(status), cudaGetErrorName(status)));
}

}  // namespace emshap::cuda

namespace emshap::cuda_runtime {
namespace {

/// Memory comes from the device's stream-ordered pool, which keeps what is freed; devices without pools use
/// cudaMalloc. Streams are blocking ones, so that work on the null stream is ordered with theirs.
bool has_pool(int device) {
  static std::once_flag once[64];
  static bool available[64];
  const int slot = std::min(device, 63);
  std::call_once(once[slot], [&] {
    int supported = 0;
    if (cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, device) != cudaSuccess ||
        supported == 0)
      return;
    cudaMemPool_t pool = nullptr;
    if (cudaDeviceGetDefaultMemPool(&pool, device) != cudaSuccess) return;
    std::uint64_t keep = UINT64_MAX;
    if (cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep) != cudaSuccess) return;
    available[slot] = true;
  });
  return available[slot];
}

struct Freed {
  void* data;
  int device;
};
/// The capture of this thread.
struct Capture {
  std::uint64_t number = 0;  ///< 0: none
  std::vector<Freed> freed;  ///< given back when it ends
};
thread_local Capture capture;

void end_of_capture() noexcept {
  capture.number = 0;
  for (const Freed& f : capture.freed) free(f.data, f.device);
  capture.freed.clear();
}

bool is(const char* variable, char value) {
  const char* text = std::getenv(variable);
  return text != nullptr && text[0] == value;
}

}  // namespace

int device_count() {
  int count = 0;
  // Without a driver the runtime reports "insufficient driver", not "no device": both mean that there is no
  // GPU.
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return count;
}

std::string why_no_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();
  if (status == cudaErrorInsufficientDriver)
    return "there is no NVIDIA driver, or it is older than this build's CUDA; install a newer driver or use "
           "--device cpu";
  return "no CUDA device was found; use --device cpu";
}

void* allocate(std::int64_t bytes, int device) {
  if (capture_number() != 0) throw CaptureBroken{};
  EMSHAP_CUDA_CHECK(cudaSetDevice(device));
  void* data = nullptr;
  const auto size = static_cast<std::size_t>(bytes);
  const cudaError_t status =
      has_pool(device) ? cudaMallocAsync(&data, size, nullptr) : cudaMalloc(&data, size);
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    throw CudaError(
        fmt::format("the GPU is out of memory: {} bytes could not be allocated on cuda:{}; use a smaller "
                    "--batch-size or --device cpu",
                    bytes, device));
  }
  cuda::check(status, "allocating GPU memory");
  return data;
}

void free(void* data, int device) noexcept {
  if (capture_number() != 0) {
    // The null stream may not be used now, and what was captured before may still use the memory.
    capture.freed.push_back({data, device});
    return;
  }
  if (cudaSetDevice(device) != cudaSuccess) return;
  if (has_pool(device)) {
    (void)cudaFreeAsync(data, nullptr);
  } else {
    (void)cudaFree(data);
  }
}

void* allocate_pinned(std::int64_t bytes, int device) {
  if (capture_number() != 0) throw CaptureBroken{};
  EMSHAP_CUDA_CHECK(cudaSetDevice(device));
  void* data = nullptr;
  if (cudaMallocHost(&data, static_cast<std::size_t>(bytes)) == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    throw CudaError(fmt::format(
        "out of memory: {} bytes of page-locked host memory for cuda:{} could not be allocated; use a "
        "smaller --batch-size or --device cpu",
        bytes, device));
  }
  return data;
}

void free_pinned(void* data) noexcept {
  (void)cudaFreeHost(data);
}

void copy(void* to, const void* from, std::int64_t bytes, int device) {
  EMSHAP_CUDA_CHECK(cudaSetDevice(device));  // whose streams the copy waits for
  EMSHAP_CUDA_CHECK(cudaMemcpy(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault));
}

void copy_async(void* to, const void* from, std::int64_t bytes, void* stream) {
  EMSHAP_CUDA_CHECK(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault,
                                    static_cast<cudaStream_t>(stream)));
}

void zero(void* data, std::int64_t bytes, int device) {
  EMSHAP_CUDA_CHECK(cudaSetDevice(device));
  EMSHAP_CUDA_CHECK(cudaMemset(data, 0, static_cast<std::size_t>(bytes)));
}

void* create_stream(int device) {
  if (device >= device_count())
    throw DeviceError(fmt::format("cuda:{} was asked for but {}", device, why_no_device()));
  EMSHAP_CUDA_CHECK(cudaSetDevice(device));
  cudaStream_t stream = nullptr;
  EMSHAP_CUDA_CHECK(cudaStreamCreate(&stream));
  return stream;
}

void destroy_stream(void* stream) noexcept {
  (void)cudaStreamDestroy(static_cast<cudaStream_t>(stream));
}

void synchronize(void* stream) {
  EMSHAP_CUDA_CHECK(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
}

void synchronize_device(int device) {
  EMSHAP_CUDA_CHECK(cudaSetDevice(device));
  EMSHAP_CUDA_CHECK(cudaDeviceSynchronize());
}

void* create_event(int device) {
  EMSHAP_CUDA_CHECK(cudaSetDevice(device));
  cudaEvent_t event = nullptr;
  EMSHAP_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return event;
}

void destroy_event(void* event) noexcept {
  (void)cudaEventDestroy(static_cast<cudaEvent_t>(event));
}

void record_event(void* event, void* stream) {
  // An event recorded plainly in a capture could not be asked for outside it.
  const auto e = static_cast<cudaEvent_t>(event);
  const auto s = static_cast<cudaStream_t>(stream);
  if (capture_number() != 0)
    EMSHAP_CUDA_CHECK(cudaEventRecordWithFlags(e, s, cudaEventRecordExternal));
  else
    EMSHAP_CUDA_CHECK(cudaEventRecord(e, s));
}

bool event_done(void* event) {
  const cudaError_t status = cudaEventQuery(static_cast<cudaEvent_t>(event));
  if (status == cudaErrorNotReady) {
    (void)cudaGetLastError();
    return false;
  }
  cuda::check(status, "cudaEventQuery");
  return true;
}

void wait_event(void* event) {
  EMSHAP_CUDA_CHECK(cudaEventSynchronize(static_cast<cudaEvent_t>(event)));
}

void begin_capture(void* stream) {
  static std::atomic<std::uint64_t> captures{0};
  // Relaxed: asking for an event is allowed (Staging). What is not allowed in a capture still fails.
  EMSHAP_CUDA_CHECK(cudaStreamBeginCapture(static_cast<cudaStream_t>(stream), cudaStreamCaptureModeRelaxed));
  capture.number = ++captures;
}

void* end_capture(void* stream) {
  cudaGraph_t graph = nullptr;
  const cudaError_t status = cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &graph);
  end_of_capture();
  cuda::check(status, "capturing a step");
  return graph;
}

void abandon_capture(void* stream) noexcept {
  cudaGraph_t graph = nullptr;
  (void)cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &graph);
  if (graph != nullptr) (void)cudaGraphDestroy(graph);
  (void)cudaGetLastError();
  end_of_capture();
}

std::uint64_t capture_number() {
  return capture.number;
}

bool capture_wanted() {
  static const bool wanted = !is("EMSHAP_CUDA_SYNC", '1') && !is("EMSHAP_CUDA_GRAPHS", '0');
  return wanted;
}

bool update_graph(void*& exec, void* graph) {
  const auto made = static_cast<cudaGraph_t>(graph);
  auto held = static_cast<cudaGraphExec_t>(exec);
  if (held != nullptr) {
    cudaGraphExecUpdateResultInfo info{};
    if (cudaGraphExecUpdate(held, made, &info) == cudaSuccess) {
      (void)cudaGraphDestroy(made);
      return false;
    }
    (void)cudaGetLastError();
    (void)cudaGraphExecDestroy(held);
    exec = held = nullptr;
  }
  const cudaError_t status = cudaGraphInstantiate(&held, made, 0);
  (void)cudaGraphDestroy(made);
  cuda::check(status, "cudaGraphInstantiate");
  exec = held;
  return true;
}

void launch_graph(void* exec, void* stream) {
  EMSHAP_CUDA_CHECK(cudaGraphLaunch(static_cast<cudaGraphExec_t>(exec), static_cast<cudaStream_t>(stream)));
}

void destroy_graph_exec(void* exec) noexcept {
  (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(exec));
}

}  // namespace emshap::cuda_runtime
