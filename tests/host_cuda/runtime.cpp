// CUDA's runtime on the processor. Device memory is an address range that the host cannot touch but while a
// kernel or a copy runs: code that follows a device pointer on the host ends by SIGSEGV here as on a GPU.
// Work on streams is done at once, in order; while a stream is captured it is kept, and done at each launch.
#include <sys/mman.h>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include <vector>

#include "cuda_runtime_api.h"
#include "executor.h"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) (static_cast<void>(at), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) (static_cast<void>(at), static_cast<void>(size))
#endif

namespace emshap::host_cuda {

struct Work {
  std::string what;  // kind and name: graphs with equal lists of these have the same topology
  std::function<void()> run;
};
struct Stream {
  bool capturing = false;
  bool invalid = false;
  std::vector<Work> captured;
};
struct Event {
  std::chrono::steady_clock::time_point at{};
  bool captured = false;  // recorded in a capture as part of it: nobody outside may ask for it
};
struct Graph {
  std::vector<Work> nodes;
};
struct GraphExec {
  std::vector<Work> nodes;
};
struct MemPool {};

namespace {

constexpr std::size_t heap_bytes = std::size_t{32} << 30;
constexpr std::size_t granule = 512, canary_bytes = 64;
constexpr unsigned char canary = 0xc5;

std::recursive_mutex guard;
thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;
int devices = [] {
  const char* text = std::getenv("EMSHAP_HOST_CUDA_DEVICES");
  return text == nullptr ? 1 : std::atoi(text);
}();
constexpr int built_for = 13000;
int driver = built_for, compute_capability[2] = {9, 0};
std::size_t limit = 0, in_use = 0;
std::int64_t kernels_run = 0, waits = 0;
Stream default_stream;
MemPool the_pool;
std::map<const void*, std::size_t> shared_limits;

/// First fit over an address range; what a block is followed by is checked when it is given back.
class Heap {
 public:
  Heap() {
    void* at = mmap(nullptr, heap_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) throw std::runtime_error("no address range for the memory of the device");
    base_ = static_cast<char*>(at);
    free_[0] = heap_bytes;
  }
  bool owns(const void* p) const { return p >= base_ && p < base_ + heap_bytes; }
  void* take(std::size_t bytes) {
    const std::size_t need = (bytes + canary_bytes + granule - 1) / granule * granule;
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      if (it->second < need) continue;
      const std::size_t at = it->first, left = it->second - need;
      free_.erase(it);
      if (left > 0) free_[at + need] = left;
      used_[at] = {bytes, need};
      top_ = std::max(top_, (at + need + 4095) / 4096 * 4096);
      open();
      ASAN_UNPOISON_MEMORY_REGION(base_ + at, need);
      std::memset(base_ + at, 0xff, bytes);  // NaN
      std::memset(base_ + at + bytes, canary, canary_bytes);
      ASAN_POISON_MEMORY_REGION(base_ + at + bytes, need - bytes);
      close();
      return base_ + at;
    }
    return nullptr;
  }
  std::size_t give(void* p) {
    const auto at = static_cast<std::size_t>(static_cast<char*>(p) - base_);
    const auto it = used_.find(at);
    if (it == used_.end()) throw std::logic_error("device memory is freed that was not allocated");
    const auto [bytes, need] = it->second;
    open();
    ASAN_UNPOISON_MEMORY_REGION(base_ + at, need);
    for (std::size_t i = 0; i < canary_bytes; ++i)
      if (static_cast<unsigned char>(base_[at + bytes + i]) != canary) {
        std::fputs("host_cuda: something wrote behind a block of device memory\n", stderr);
        std::abort();
      }
    std::memset(base_ + at, 0xff, bytes);
    ASAN_POISON_MEMORY_REGION(base_ + at, need);
    close();
    used_.erase(it);
    std::size_t begin = at, size = need;
    const auto next = free_.find(at + need);
    if (next != free_.end()) {
      size += next->second;
      free_.erase(next);
    }
    auto before = free_.lower_bound(at);
    if (before != free_.begin() && (--before)->first + before->second == at) {
      begin = before->first;
      size += before->second;
      free_.erase(before);
    }
    free_[begin] = size;
    return bytes;
  }
  void open() {
    if (depth_++ == 0 && top_ > 0) mprotect(base_, top_, PROT_READ | PROT_WRITE);
  }
  void close() {
    if (--depth_ == 0 && top_ > 0) mprotect(base_, top_, PROT_NONE);
  }

 private:
  struct Used {
    std::size_t bytes, need;
  };
  char* base_ = nullptr;
  std::size_t top_ = 0;
  int depth_ = 0;
  std::map<std::size_t, std::size_t> free_;
  std::map<std::size_t, Used> used_;
};
Heap& heap() {
  static Heap* const heap = new Heap;  // outlives tensors of static objects
  return *heap;
}
struct Open {
  Open() { heap().open(); }
  ~Open() { heap().close(); }
};

Stream& stream_of(Stream* s) {
  return s == nullptr ? default_stream : *s;
}
cudaError_t fail(cudaError_t e) {
  last_error = e;
  return e;
}
/// Now, or when the graph runs.
void enqueue(Stream* s, std::string what, std::function<void()> run) {
  Stream& stream = stream_of(s);
  if (stream.capturing) {
    stream.captured.push_back({std::move(what), std::move(run)});
    return;
  }
  const Open open;
  run();
}
/// What waits for a stream, or may, is not allowed while it is captured.
cudaError_t wait_for(Stream* s) {
  if (stream_of(s).capturing) {
    stream_of(s).invalid = true;
    return fail(cudaErrorStreamCaptureUnsupported);
  }
  ++waits;
  return cudaSuccess;
}
int capturing = 0;  // streams that are being captured
/// The null stream is ordered with all of ours: nobody may use it while one of them is captured.
cudaError_t use_null_stream() {
  return capturing > 0 ? fail(cudaErrorStreamCaptureImplicit) : cudaSuccess;
}

}  // namespace

void launch(Stream* stream, const char* name, const void* kernel, Dim3 blocks, unsigned threads,
            std::size_t shared_bytes, std::function<void()> body) {
  const std::lock_guard lock(guard);
  // Asked for by the launch, and again by a graph that holds it.
  const auto check_limit = [=] {
    const auto found = shared_limits.find(kernel);
    const std::size_t most = found == shared_limits.end() ? std::size_t{48} * 1024 : found->second;
    if (shared_bytes > most)
      throw std::logic_error(std::string("kernel ") + name + " asks for " + std::to_string(shared_bytes) +
                             " bytes of shared memory, its limit is " + std::to_string(most));
  };
  check_limit();
  enqueue(stream, std::string("kernel ") + name, [=, body = std::move(body)] {
    check_limit();
    ++kernels_run;
    run_grid(name, blocks, threads, shared_bytes, body);
  });
}

void set_memory_limit(std::size_t bytes) {
  limit = bytes;
}
std::size_t memory_in_use() {
  return in_use;
}
void set_device_count(int count) {
  devices = count;
}
void set_driver(int version) {
  driver = version;
}
void set_compute_capability(int major, int minor) {
  compute_capability[0] = major;
  compute_capability[1] = minor;
}
std::int64_t launches() {
  return kernels_run;
}
std::int64_t host_waits() {
  return waits;
}

void run_on_stream(Stream* stream, const char* what, std::function<void()> run) {
  const std::lock_guard lock(guard);
  enqueue(stream, what, std::move(run));
}

}  // namespace emshap::host_cuda

using namespace emshap::host_cuda;

const char* cudaGetErrorName(cudaError_t e) {
  switch (e) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorGraphExecUpdateFailure:
      return "cudaErrorGraphExecUpdateFailure";
    default:
      return "cudaError";
  }
}
const char* cudaGetErrorString(cudaError_t e) {
  return cudaGetErrorName(e);
}
cudaError_t cudaGetLastError() {
  return std::exchange(last_error, cudaSuccess);
}
cudaError_t cudaPeekAtLastError() {
  return last_error;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = driver < built_for ? 0 : devices;
  if (driver < built_for) return fail(cudaErrorInsufficientDriver);
  return devices > 0 ? cudaSuccess : fail(cudaErrorNoDevice);
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= devices) return fail(cudaErrorInvalidDevice);
  current_device = device;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device < 0 || device >= devices) return fail(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = 4;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = compute_capability[0];
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = compute_capability[1];
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = 227 * 1024;
      break;
    case cudaDevAttrMemoryPoolsSupported:
      *value = 1;
      break;
    default:
      return fail(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  if (const std::lock_guard lock(guard); use_null_stream() != cudaSuccess) return last_error;
  ++waits;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = built_for;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  const std::lock_guard lock(guard);
  if (use_null_stream() != cudaSuccess) return last_error;
  if (limit > 0 && in_use + bytes > limit) return fail(cudaErrorMemoryAllocation);
  *data = heap().take(bytes);
  if (*data == nullptr) return fail(cudaErrorMemoryAllocation);
  in_use += bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* data) {
  const std::lock_guard lock(guard);
  if (use_null_stream() != cudaSuccess) return last_error;
  if (data != nullptr) in_use -= heap().give(data);
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** data, std::size_t bytes, cudaStream_t) {
  return cudaMalloc(data, bytes);
}
cudaError_t cudaFreeAsync(void* data, cudaStream_t) {
  return cudaFree(data);
}
cudaError_t cudaMallocHost(void** data, std::size_t bytes) {
  *data = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  return *data != nullptr ? cudaSuccess : fail(cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void* data) {
  std::free(data);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const std::size_t all = limit > 0 ? limit : std::size_t{8} << 30;
  *free = all - std::min(all, in_use);
  *total = all;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = &the_pool;
  return cudaSuccess;
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t) {
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) {
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  const std::lock_guard lock(guard);
  if (use_null_stream() != cudaSuccess || wait_for(nullptr) != cudaSuccess) return last_error;
  const Open open;
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t s) {
  const std::lock_guard lock(guard);
  enqueue(s, "copy", [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind, cudaStream_t s) {
  const std::lock_guard lock(guard);
  if (width > to_pitch || width > from_pitch) return fail(cudaErrorInvalidValue);
  enqueue(s, "copy", [=] {
    for (std::size_t r = 0; r < height; ++r)
      std::memcpy(static_cast<char*>(to) + r * to_pitch, static_cast<const char*>(from) + r * from_pitch,
                  width);
  });
  return cudaSuccess;
}
cudaError_t cudaMemset(void* data, int value, std::size_t bytes) {
  if (const std::lock_guard lock(guard); use_null_stream() != cudaSuccess) return last_error;
  return cudaMemsetAsync(data, value, bytes, nullptr);
}
cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t s) {
  const std::lock_guard lock(guard);
  enqueue(s, "set", [=] { std::memset(data, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  *stream = new Stream;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return cudaStreamCreate(stream);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const std::lock_guard lock(guard);
  return wait_for(stream);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new Event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::lock_guard lock(guard);
  event->captured = stream_of(stream).capturing;
  event->at = std::chrono::steady_clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
  *ms = std::chrono::duration<float, std::milli>(to->at - from->at).count();
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->captured) return fail(cudaErrorCapturedEvent);
  ++waits;
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return event->captured ? fail(cudaErrorCapturedEvent) : cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const std::lock_guard lock(guard);
  if (stream == nullptr || stream->capturing) return fail(cudaErrorStreamCaptureUnsupported);
  stream->capturing = true;
  stream->invalid = false;
  stream->captured.clear();
  ++capturing;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const std::lock_guard lock(guard);
  *graph = nullptr;
  if (stream == nullptr || !stream->capturing) return fail(cudaErrorInvalidValue);
  stream->capturing = false;
  --capturing;
  if (stream->invalid) return fail(cudaErrorStreamCaptureInvalidated);
  *graph = new Graph{std::move(stream->captured)};
  stream->captured.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = stream_of(stream).capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new GraphExec{graph->nodes};
  return cudaSuccess;
}
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo* info) {
  const bool same =
      std::equal(exec->nodes.begin(), exec->nodes.end(), graph->nodes.begin(), graph->nodes.end(),
                 [](const Work& a, const Work& b) { return a.what == b.what; });
  info->result = same ? cudaGraphExecUpdateSuccess : cudaGraphExecUpdateError;
  if (!same) return fail(cudaErrorGraphExecUpdateFailure);
  exec->nodes = graph->nodes;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  const std::lock_guard lock(guard);
  if (stream_of(stream).capturing) return fail(cudaErrorStreamCaptureUnsupported);
  const Open open;
  for (const Work& work : exec->nodes) work.run();
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute, int value) {
  const std::lock_guard lock(guard);
  if (value > 227 * 1024) return fail(cudaErrorInvalidValue);
  shared_limits[function] = static_cast<std::size_t>(value);
  return cudaSuccess;
}
