// The runtime calls behind core/cuda_runtime.h: devices, memory, streams.
#include "core/cuda_runtime.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include <fmt/format.h>

#include "core/cuda_architectures.h"
#include "cuda/check.h"

namespace emshap::cuda {

namespace {

std::string gigabytes(std::size_t bytes) {
  return bytes < (std::size_t{1} << 30)
             ? fmt::format("{:.1f} MiB", static_cast<double>(bytes) / static_cast<double>(1 << 20))
             : fmt::format("{:.1f} GiB", static_cast<double>(bytes) / static_cast<double>(1 << 30));
}

std::string room(int device) {
  std::size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) {
    (void)cudaGetLastError();
    return fmt::format("cuda:{}", device);
  }
  return fmt::format("cuda:{}, where {} of {} are free", device, gigabytes(free), gigabytes(total));
}

constexpr const char* with_less =
    "use a smaller --batch-size (training), fewer --threads (explaining) or --device cpu";

/// "cuda:0 has compute capability 6.1".
std::string capability(int device, int& major, int& minor) {
  major = minor = 0;
  if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) != cudaSuccess)
    (void)cudaGetLastError();
  return fmt::format("cuda:{} has compute capability {}.{}", device, major, minor);
}

std::string other_architecture(int device) {
  int major = 0, minor = 0;
  const std::string has = capability(device, major, minor);
  return fmt::format(
      "{}, for which this build has no code (it contains {}); configure with "
      "-DCMAKE_CUDA_ARCHITECTURES={}{}",
      has, EMSHAP_CUDA_ARCHITECTURES, major, minor);
}

std::string old_driver() {
  int driver = 0, built = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || cudaRuntimeGetVersion(&built) != cudaSuccess)
    (void)cudaGetLastError();
  if (driver == 0) return "there is no NVIDIA driver; install one";
  return fmt::format(
      "the NVIDIA driver supports CUDA {}.{} and this build needs {}.{}; install a newer driver",
      driver / 1000, driver % 1000 / 10, built / 1000, built % 1000 / 10);
}

}  // namespace

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();
  int device = 0;
  (void)cudaGetDevice(&device);
  switch (status) {
    case cudaErrorMemoryAllocation:
      throw CudaError(fmt::format("{}: the GPU is out of memory on {}; {}", call, room(device), with_less));
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
      throw CudaError(fmt::format("{}: {}{}", call, other_architecture(device), cuda_runtime::cpu_instead));
    case cudaErrorInsufficientDriver:
    case cudaErrorUnsupportedPtxVersion:
      throw CudaError(fmt::format("{}: {}{}", call, old_driver(), cuda_runtime::cpu_instead));
    default:
      throw CudaError(fmt::format("{} failed on cuda:{}: {} ({})", call, device, cudaGetErrorString(status),
                                  cudaGetErrorName(status)));
  }
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
struct Recorded {
  cudaEvent_t event;
  cudaStream_t stream;
};
/// The capture of this thread, and what has to wait until its graph has been launched.
struct Capture {
  std::uint64_t number = 0;  ///< 0: none
  void* stream = nullptr;
  std::vector<Freed> freed;
  std::vector<Recorded> recorded;
};
thread_local Capture capture;

/// While one thread captures, no other may use the null stream of the device: held alone by a capture, shared
/// by what takes, gives back or copies memory.
std::shared_mutex null_stream;

void give_back_freed() noexcept {
  std::vector<Freed> all;
  all.swap(capture.freed);
  for (const Freed& f : all) free(f.data, f.device);
}

void not_in_a_capture(const char* what) {
  if (capture.number != 0) throw CaptureBroken{what};
}

bool is(const char* variable, char value) {
  const char* text = std::getenv(variable);
  return text != nullptr && text[0] == value;
}

}  // namespace

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return count;
}

std::string why_not(int device) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();
  // Without a driver the runtime reports "insufficient driver", not "no device".
  if (status == cudaErrorInsufficientDriver) return cuda::old_driver();
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) return "no CUDA device was found";
  if (status != cudaSuccess)
    return fmt::format("CUDA cannot be used: {} ({})", cudaGetErrorString(status), cudaGetErrorName(status));
  if (device >= count)
    return count == 1 ? "there is only one CUDA device; use --device cuda:0"
                      : fmt::format("there are only {} CUDA devices; use --device cuda:0 to cuda:{}", count,
                                    count - 1);
  int major = 0, minor = 0;
  cuda::capability(device, major, minor);
  return has_code_for(EMSHAP_CUDA_ARCHITECTURES, major, minor) ? "" : cuda::other_architecture(device);
}

void* allocate(std::int64_t bytes, int device) {
  not_in_a_capture("memory is taken");
  const std::shared_lock lock(null_stream);
  EMSHAP_CUDA_CHECK(cudaSetDevice(device));
  void* data = nullptr;
  const auto size = static_cast<std::size_t>(bytes);
  const auto attempt = [&] {
    return has_pool(device) ? cudaMallocAsync(&data, size, nullptr) : cudaMalloc(&data, size);
  };
  cudaError_t status = attempt();
  if (status == cudaErrorMemoryAllocation) {
    // What was freed may not have come back yet, or lies in the pool in pieces.
    (void)cudaGetLastError();
    cudaMemPool_t pool = nullptr;
    EMSHAP_CUDA_CHECK(cudaDeviceSynchronize());
    if (has_pool(device) && cudaDeviceGetDefaultMemPool(&pool, device) == cudaSuccess)
      (void)cudaMemPoolTrimTo(pool, 0);
    status = attempt();
  }
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    throw CudaError(fmt::format("the GPU is out of memory: {} were asked for on {}; {}",
                                cuda::gigabytes(size), cuda::room(device), cuda::with_less));
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
  const std::shared_lock lock(null_stream);
  if (cudaSetDevice(device) != cudaSuccess) return;
  if (has_pool(device)) {
    (void)cudaFreeAsync(data, nullptr);
  } else {
    (void)cudaFree(data);
  }
}

void* allocate_pinned(std::int64_t bytes, int device) {
  not_in_a_capture("host memory is taken");
  EMSHAP_CUDA_CHECK(cudaSetDevice(device));
  void* data = nullptr;
  const cudaError_t status = cudaMallocHost(&data, static_cast<std::size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    throw CudaError(
        fmt::format("out of memory: {} of page-locked host memory were asked for beside cuda:{}; {}",
                    cuda::gigabytes(static_cast<std::size_t>(bytes)), device, cuda::with_less));
  }
  cuda::check(status, "cudaMallocHost");
  return data;
}

void free_pinned(void* data) noexcept {
  (void)cudaFreeHost(data);
}

void copy(void* to, const void* from, std::int64_t bytes, int device) {
  not_in_a_capture("memory is copied by a blocking copy");
  const std::shared_lock lock(null_stream);
  EMSHAP_CUDA_CHECK(cudaSetDevice(device));  // whose streams the copy waits for
  EMSHAP_CUDA_CHECK(cudaMemcpy(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault));
}

void copy_async(void* to, const void* from, std::int64_t bytes, void* stream) {
  require_capture_of(stream);
  EMSHAP_CUDA_CHECK(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault,
                                    static_cast<cudaStream_t>(stream)));
}

void zero(void* data, std::int64_t bytes, int device) {
  not_in_a_capture("memory is zeroed by a blocking call");
  const std::shared_lock lock(null_stream);
  EMSHAP_CUDA_CHECK(cudaSetDevice(device));
  EMSHAP_CUDA_CHECK(cudaMemset(data, 0, static_cast<std::size_t>(bytes)));
}

void* create_stream(int device) {
  not_in_a_capture("a stream is made");
  if (const std::string why = why_not(device); !why.empty())
    throw DeviceError(fmt::format("cuda:{} cannot be used: {}", device, why));
  EMSHAP_CUDA_CHECK(cudaSetDevice(device));
  cudaStream_t stream = nullptr;
  EMSHAP_CUDA_CHECK(cudaStreamCreate(&stream));
  return stream;
}

void destroy_stream(void* stream) noexcept {
  (void)cudaStreamDestroy(static_cast<cudaStream_t>(stream));
}

void synchronize(void* stream) {
  not_in_a_capture("the host waits");
  EMSHAP_CUDA_CHECK(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
}

void synchronize_device(int device) {
  not_in_a_capture("the host waits");
  const std::shared_lock lock(null_stream);
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
  const auto e = static_cast<cudaEvent_t>(event);
  const auto s = static_cast<cudaStream_t>(stream);
  if (capture_number() != 0)
    capture.recorded.push_back({e, s});
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
  capture.recorded.clear();  // of a graph that was never launched
  give_back_freed();
  null_stream.lock();
  // Relaxed: asking for an event is allowed (Staging). What is not allowed in a capture still fails.
  const cudaError_t status =
      cudaStreamBeginCapture(static_cast<cudaStream_t>(stream), cudaStreamCaptureModeRelaxed);
  if (status != cudaSuccess) {
    null_stream.unlock();
    cuda::check(status, "cudaStreamBeginCapture");
  }
  capture.number = ++captures;
  capture.stream = stream;
}

void* end_capture(void* stream) {
  cudaGraph_t graph = nullptr;
  const cudaError_t status = cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &graph);
  null_stream.unlock();
  capture.number = 0;
  if (status != cudaSuccess) {
    capture.recorded.clear();
    give_back_freed();
  }
  cuda::check(status, "capturing a step");
  return graph;
}

void abandon_capture(void* stream) noexcept {
  cudaGraph_t graph = nullptr;
  (void)cudaStreamEndCapture(static_cast<cudaStream_t>(stream), &graph);
  if (graph != nullptr) (void)cudaGraphDestroy(graph);
  (void)cudaGetLastError();
  null_stream.unlock();
  capture.number = 0;
  capture.recorded.clear();
  give_back_freed();
}

std::uint64_t capture_number() {
  return capture.number;
}

void require_capture_of(void* stream) {
  if (capture.number != 0 && capture.stream != stream) throw CaptureBroken{"another stream is used"};
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
  const cudaError_t status =
      cudaGraphLaunch(static_cast<cudaGraphExec_t>(exec), static_cast<cudaStream_t>(stream));
  std::vector<Recorded> recorded;
  recorded.swap(capture.recorded);
  give_back_freed();
  cuda::check(status, "cudaGraphLaunch");
  for (const Recorded& r : recorded) EMSHAP_CUDA_CHECK(cudaEventRecord(r.event, r.stream));
}

void destroy_graph_exec(void* exec) noexcept {
  (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(exec));
}

}  // namespace emshap::cuda_runtime
