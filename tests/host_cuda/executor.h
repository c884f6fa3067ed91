#pragma once
// Kernels without a GPU, for tests: the kernel sources compiled as C++, one ucontext fiber per CUDA thread
// that waits, switched at __syncthreads and warp operations; blocks and the threads within one run in a
// shuffled order; shared memory is NaN before each block. What a GPU would leave undefined is an error here:
// a barrier that not all threads reach, a warp operation without a lane it names, shared memory beyond what
// was asked for. Memory "on the device" cannot be touched outside kernels and copies (see runtime.cpp).
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

namespace emshap::host_cuda {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};
/// Where the running thread stands.
struct Thread {
  Dim3 index, block, threads, blocks;
};
const Thread& thread();
int lane();

void block_barrier();
bool block_any(bool predicate);
void warp_barrier(unsigned mask);
/// What lane `from` gave; 8 bytes at most.
std::uint64_t exchange(unsigned mask, std::uint64_t value, int from);
unsigned ballot(unsigned mask, bool predicate);
template <class T>
T shuffle(unsigned mask, T value, int from) {
  static_assert(sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(mask, bits, from);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
/// The block's dynamic shared memory.
void* shared_memory();

/// Runs body() for each thread of each block, now or, while the stream is captured, when the graph is
/// launched. `kernel` is the kernel's address, for its limit of shared memory.
void launch(struct Stream* stream, const char* name, const void* kernel, Dim3 blocks, unsigned threads,
            std::size_t shared_bytes, std::function<void()> body);

/// The same for work of a library.
void run_on_stream(struct Stream* stream, const char* what, std::function<void()> run);

/// The executor proper: throws std::logic_error for what a GPU would leave undefined.
void run_grid(const char* name, Dim3 blocks, unsigned threads, std::size_t shared_bytes,
              const std::function<void()>& body);

// For tests of what happens when there is little of it.
void set_memory_limit(std::size_t bytes);  ///< of a device; 0: none
std::size_t memory_in_use();
void set_device_count(int count);
void set_driver(int version);  ///< as CUDA counts: 12040; 0: none
void set_compute_capability(int major, int minor);
std::int64_t launches();    ///< kernels run so far
std::int64_t host_waits();  ///< times the host waited for a stream, an event or a blocking copy

}  // namespace emshap::host_cuda
