#include "emshap/core/device.h"

#include <charconv>
#include <cstdlib>

#include <fmt/format.h>

#include "core/cuda_runtime.h"
#include "emshap/core/cuda.h"
#include "emshap/core/error.h"

namespace emshap {
namespace {

#if defined(__x86_64__)
// What x86-64-v2, v3 and v4 ask for; the compiler's own test of the operating system's support is included.
bool has_v2() {
  return __builtin_cpu_supports("sse3") && __builtin_cpu_supports("ssse3") &&
         __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("sse4.2") &&
         __builtin_cpu_supports("popcnt");
}
bool has_v3() {
  return has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
bool has_v4() {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#else
bool has_v2() {
  return false;
}
bool has_v3() {
  return false;
}
bool has_v4() {
  return false;
}
#endif

Backend choose() {
  const char* wanted = std::getenv("EMSHAP_ISA");
  if (wanted == nullptr || *wanted == '\0') {
    if (has_v4()) return Backend::cpu_v4;
    if (has_v3()) return Backend::cpu_v3;
    if (has_v2()) return Backend::cpu_v2;
    return Backend::cpu_eigen;
  }
  for (Backend b : {Backend::cpu_v2, Backend::cpu_v3, Backend::cpu_v4, Backend::cpu_eigen}) {
    if (std::string(wanted) != to_string(b)) continue;
    if (!cpu_backend_available(b))
      throw ConfigError(fmt::format("EMSHAP_ISA={} is not available on this processor; unset it", wanted));
    return b;
  }
  throw ConfigError(fmt::format("EMSHAP_ISA has the value '{}', expected v2, v3, v4 or eigen", wanted));
}

}  // namespace

const char* to_string(Backend backend) {
  switch (backend) {
    case Backend::cpu_v2:
      return "v2";
    case Backend::cpu_v3:
      return "v3";
    case Backend::cpu_v4:
      return "v4";
    case Backend::cpu_eigen:
      return "eigen";
    case Backend::cuda:
      return "cuda";
  }
  return "?";
}

bool cpu_backend_available(Backend backend) {
  switch (backend) {
    case Backend::cpu_v2:
      return has_v2();
    case Backend::cpu_v3:
      return has_v3();
    case Backend::cpu_v4:
      return has_v4();
    case Backend::cpu_eigen:
      return true;
    case Backend::cuda:
      return false;
  }
  return false;
}

Backend cpu_backend() {
  static const Backend chosen = choose();
  return chosen;
}

int cuda_device_count() {
  return cuda_runtime::device_count();
}

bool cuda_tf32() {
  static const bool on = [] {
    const char* text = std::getenv("EMSHAP_TF32");
    return text != nullptr && std::string(text) == "1";
  }();
  return on;
}

std::string why_not_cuda(int index) {
  return cuda_runtime::why_not(index);
}

Device parse_device(const std::string& text) {
  if (text == "cpu") return {};
  if (text == "auto") return why_not_cuda().empty() ? Device{DeviceKind::cuda, 0} : Device{};
  if (text.rfind("cuda", 0) == 0) {
    int index = 0;
    bool ok = text.size() == 4;
    if (text.size() > 5 && text[4] == ':') {
      const auto [end, error] = std::from_chars(text.data() + 5, text.data() + text.size(), index);
      ok = error == std::errc{} && end == text.data() + text.size() && index >= 0;
    }
    if (ok) {
      if (const std::string why = why_not_cuda(index); !why.empty())
        throw DeviceError(
            fmt::format("device '{}' cannot be used: {}{}", text, why, cuda_runtime::cpu_instead));
      return {DeviceKind::cuda, index};
    }
  }
  throw ConfigError(fmt::format("device '{}' is not known, expected cpu, cuda, cuda:INDEX or auto", text));
}

std::string to_string(Device device) {
  return device.kind == DeviceKind::cpu ? "cpu" : fmt::format("cuda:{}", device.index);
}

}  // namespace emshap
