#pragma once
// The few calls that core makes into the CUDA runtime. Implemented in src/cuda/runtime.cpp; without CUDA the
// inline versions below throw, or say that there is no device.
#include <cstdint>
#include <string>

#include "emshap/core/error.h"

#ifndef EMSHAP_WITH_CUDA
#error "this file is for those that emshap_knows_cuda() lists in src/CMakeLists.txt"
#endif

namespace emshap::cuda_runtime {

inline constexpr const char* not_built =
    "this build has no CUDA backend; configure with -DEMSHAP_WITH_CUDA=ON";
/// Ends the message of an error: what to do otherwise.
inline constexpr const char* cpu_instead = "; --device cpu needs no GPU";

/// Thrown while a stream is captured by what cannot be had there: memory, blocking copies, waits, work on
/// another stream. Whoever captures gives the capture up and runs the work plainly.
struct CaptureBroken {
  const char* what;  ///< "memory is taken": completes "in its step ..."
};

// Streams, events and graphs are CUDA's handles as void*. Memory is taken and given back on the null stream,
// with which all our streams are ordered: none of this waits for the device unless it says so.
#if EMSHAP_WITH_CUDA
int device_count();  ///< 0 without a driver or a device
/// Empty when the device can be used, else why not and what would help.
std::string why_not(int device);
void* allocate(std::int64_t bytes, int device);
void free(void* data, int device) noexcept;
void* allocate_pinned(std::int64_t bytes, int device);  ///< host memory that the device copies by itself
void free_pinned(void* data) noexcept;
void copy(void* to, const void* from, std::int64_t bytes, int device);  ///< waits until it is done
void copy_async(void* to, const void* from, std::int64_t bytes, void* stream);
void zero(void* data, std::int64_t bytes, int device);
void* create_stream(int device);
void destroy_stream(void* stream) noexcept;
void synchronize(void* stream);
void synchronize_device(int device);

void* create_event(int device);
void destroy_event(void* event) noexcept;
/// Marks the work given to the stream so far; in a capture, all of its graph, once that is launched.
void record_event(void* event, void* stream);
bool event_done(void* event);
void wait_event(void* event);  ///< the host waits

/// From here on what this thread gives to `stream` is kept, not done.
void begin_capture(void* stream);
/// A graph of what was given. Throws CudaError when something did not fit a capture.
void* end_capture(void* stream);
void abandon_capture(void* stream) noexcept;
std::uint64_t capture_number();  ///< of the capture of this thread, counted from 1; 0 outside
/// Throws CaptureBroken while this thread captures another stream: the work would be done at once.
void require_capture_of(void* stream);
bool capture_wanted();  ///< false with EMSHAP_CUDA_SYNC=1 or EMSHAP_CUDA_GRAPHS=0: all steps run plainly
/// Makes `exec` run `graph`, which is given back: in place, or anew when the topology differs (true).
bool update_graph(void*& exec, void* graph);
void launch_graph(void* exec, void* stream);
void destroy_graph_exec(void* exec) noexcept;
#else
inline int device_count() {
  return 0;
}
inline std::string why_not(int) {
  return not_built;
}
[[noreturn]] inline void refuse() {
  throw DeviceError(not_built);
}
inline void* allocate(std::int64_t, int) {
  refuse();
}
inline void free(void*, int) noexcept {}
inline void* allocate_pinned(std::int64_t, int) {
  refuse();
}
inline void free_pinned(void*) noexcept {}
inline void copy(void*, const void*, std::int64_t, int) {
  refuse();
}
inline void copy_async(void*, const void*, std::int64_t, void*) {
  refuse();
}
inline void zero(void*, std::int64_t, int) {
  refuse();
}
inline void* create_stream(int) {
  refuse();
}
inline void destroy_stream(void*) noexcept {}
inline void synchronize(void*) {}
inline void synchronize_device(int) {}
inline void* create_event(int) {
  refuse();
}
inline void destroy_event(void*) noexcept {}
inline void record_event(void*, void*) {
  refuse();
}
inline bool event_done(void*) {
  return true;
}
inline void wait_event(void*) {}
inline void begin_capture(void*) {
  refuse();
}
inline void* end_capture(void*) {
  refuse();
}
inline void abandon_capture(void*) noexcept {}
inline std::uint64_t capture_number() {
  return 0;
}
inline void require_capture_of(void*) {}
inline bool capture_wanted() {
  return false;
}
inline bool update_graph(void*&, void*) {
  refuse();
}
inline void launch_graph(void*, void*) {
  refuse();
}
inline void destroy_graph_exec(void*) noexcept {}
#endif

}  // namespace emshap::cuda_runtime
