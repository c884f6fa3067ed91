// The runtime calls behind core/cuda_runtime.h: devices, memory, streams.
#include "core/cuda_runtime.h"

#include <algorithm>
#include <mutex>

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
  EMSHAP_CUDA_CHECK(cudaStreamSynchronize(nullptr));
  return data;
}

void free(void* data, int device) noexcept {
  if (cudaSetDevice(device) != cudaSuccess) return;
  if (has_pool(device)) {
    (void)cudaFreeAsync(data, nullptr);
  } else {
    (void)cudaFree(data);
  }
}

void copy(void* to, const void* from, std::int64_t bytes) {
  EMSHAP_CUDA_CHECK(cudaMemcpy(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault));
}

void zero(void* data, std::int64_t bytes) {
  EMSHAP_CUDA_CHECK(cudaMemset(data, 0, static_cast<std::size_t>(bytes)));
  EMSHAP_CUDA_CHECK(cudaStreamSynchronize(nullptr));
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

}  // namespace emshap::cuda_runtime
