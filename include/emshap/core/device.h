#pragma once
#include <cstdint>
#include <string>

#include "emshap/core/export.h"

namespace emshap {

enum class DeviceKind : std::uint8_t { cpu, cuda };

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};

/// Parses "cpu", "cuda", "cuda:1" or "auto" (CUDA when built in and present, else CPU). Throws ConfigError.
EMSHAP_API Device parse_device(const std::string& text);
EMSHAP_API std::string to_string(Device device);

/// Where an op runs. The CPU has one entry per instruction-set level that this build contains; `cpu_eigen`
/// takes its matrix products from Eigen and is the only level on processors other than x86-64.
enum class Backend : std::uint8_t { cpu_v2, cpu_v3, cpu_v4, cpu_eigen, cuda };
EMSHAP_API const char* to_string(Backend backend);

/// The best level this processor has, or the one named by the environment variable EMSHAP_ISA
/// (v2 | v3 | v4 | eigen). Read once. Throws ConfigError for an unknown level or one the processor lacks.
EMSHAP_API Backend cpu_backend();
/// Whether this build and this processor can run `backend`.
EMSHAP_API bool cpu_backend_available(Backend backend);

/// Number of CUDA devices that can be used: 0 without CUDA in the build, without a driver or without a
/// device.
EMSHAP_API int cuda_device_count();

/// Whether products on CUDA devices round their factors to TF32 (10 bits of fraction; faster, and results
/// differ from the CPU's): only when the environment variable EMSHAP_TF32 is 1. Read once. Programs that log
/// say so, and so do benchmarks.
EMSHAP_API bool cuda_tf32();

}  // namespace emshap
