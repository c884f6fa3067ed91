#pragma once
// Raw memory of a device; every block is counted (allocation_count()).
#include <cstdint>

#include "emshap/core/device.h"
#include "emshap/core/tensor.h"

namespace emshap {

class Context;

/// 64-byte aligned; null for 0 bytes. Throws Error (environment) with the size when there is none left.
void* allocate_bytes(std::int64_t bytes, Device device);
void free_bytes(void* data, Device device) noexcept;
/// Host memory that `device` copies from and to by itself; on the CPU the same as allocate_bytes.
void* allocate_pinned(std::int64_t bytes, Device device);
void free_pinned(void* data, Device device) noexcept;
/// Copies on the context's stream, behind its work, and waits for that stream alone. `to` is on the host.
void read_bytes(Context& ctx, void* to, const void* from, std::int64_t bytes);
/// Copies between any two devices and waits until it is done.
void copy_bytes(void* to, Device target, const void* from, Device source, std::int64_t bytes);
/// A copy of `from` on this device.
Tensor to_device(const Tensor& from, Device device);
void zero_bytes(void* data, std::int64_t bytes, Device device);

}  // namespace emshap
