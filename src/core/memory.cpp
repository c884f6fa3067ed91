#include "core/memory.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "core/cuda_runtime.h"
#include "emshap/core/context.h"
#include "emshap/core/error.h"
#include "emshap/core/tensor.h"

namespace emshap {
namespace {
std::atomic<std::int64_t> allocations{0};
}

std::int64_t allocation_count() {
  return allocations.load(std::memory_order_relaxed);
}

void* allocate_bytes(std::int64_t bytes, Device device) {
  if (bytes <= 0) return nullptr;
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (device.kind == DeviceKind::cuda) return cuda_runtime::allocate(bytes, device.index);
  const std::size_t rounded = (static_cast<std::size_t>(bytes) + 63) & ~std::size_t{63};
  void* data = std::aligned_alloc(64, rounded);
  if (data == nullptr)
    throw Error(ErrorKind::environment, fmt::format("out of memory: {} bytes could not be allocated", bytes));
  return data;
}

void free_bytes(void* data, Device device) noexcept {
  if (data == nullptr) return;
  if (device.kind == DeviceKind::cuda) {
    cuda_runtime::free(data, device.index);
  } else {
    std::free(data);
  }
}

void* allocate_pinned(std::int64_t bytes, Device device) {
  if (device.kind == DeviceKind::cpu) return allocate_bytes(bytes, device);
  if (bytes <= 0) return nullptr;
  allocations.fetch_add(1, std::memory_order_relaxed);
  return cuda_runtime::allocate_pinned(bytes, device.index);
}

void free_pinned(void* data, Device device) noexcept {
  if (device.kind == DeviceKind::cpu) return free_bytes(data, device);
  if (data != nullptr) cuda_runtime::free_pinned(data);
}

void read_bytes(Context& ctx, void* to, const void* from, std::int64_t bytes) {
  if (bytes <= 0) return;
  if (ctx.device().kind == DeviceKind::cpu) {
    std::memcpy(to, from, static_cast<std::size_t>(bytes));
    return;
  }
  cuda_runtime::copy_async(to, from, bytes, ctx.stream());
  ctx.synchronize();
}

void copy_bytes(void* to, Device target, const void* from, Device source, std::int64_t bytes) {
  if (bytes <= 0) return;
  if (target.kind == DeviceKind::cpu && source.kind == DeviceKind::cpu) {
    std::memcpy(to, from, static_cast<std::size_t>(bytes));
  } else {
    // Between two GPUs: nothing orders the work of the other one with the copy.
    if (target.kind == DeviceKind::cuda && source.kind == DeviceKind::cuda && target != source)
      cuda_runtime::synchronize_device(target.index);
    cuda_runtime::copy(to, from, bytes, source.kind == DeviceKind::cuda ? source.index : target.index);
  }
}

Tensor to_device(const Tensor& from, Device device) {
  Tensor to(from.shape(), from.dtype(), device);
  copy_bytes(to.view().data(), device, from.view().data(), from.device(),
             from.elements() * size_of(from.dtype()));
  return to;
}

void zero_bytes(void* data, std::int64_t bytes, Device device) {
  if (bytes <= 0) return;
  if (device.kind == DeviceKind::cpu) {
    std::memset(data, 0, static_cast<std::size_t>(bytes));
  } else {
    cuda_runtime::zero(data, bytes, device.index);
  }
}

}  // namespace emshap
