#include "support/devices.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace emshap::test {

std::vector<Backend> cpu_levels() {
  if (std::getenv("EMSHAP_ISA") != nullptr) return {cpu_backend()};
  std::vector<Backend> levels;
  for (const Backend b : {Backend::cpu_v2, Backend::cpu_v3, Backend::cpu_v4, Backend::cpu_eigen})
    if (cpu_backend_available(b)) levels.push_back(b);
  REQUIRE(!levels.empty());
  return levels;
}

std::vector<Backend> backends() {
  // EMSHAP_TEST_DEVICE=cuda: the CPU levels have been tested by another run.
  const char* only = std::getenv("EMSHAP_TEST_DEVICE");
  const bool gpu_only = only != nullptr && std::string_view(only) == "cuda";
  std::vector<Backend> all = gpu_only ? std::vector<Backend>() : cpu_levels();
  if (cuda_device_count() > 0) {
    all.push_back(Backend::cuda);
    return all;
  }
  const char* required = std::getenv("EMSHAP_REQUIRE_GPU");
  if (required != nullptr && std::string_view(required) == "1")
    FAIL_CHECK("EMSHAP_REQUIRE_GPU=1, but there is no CUDA device or no CUDA in this build");
  static const bool printed = [] { return std::puts("GPU tests skipped: no device") >= 0; }();
  static_cast<void>(printed);
  return all;
}

std::unique_ptr<Context> make_context(Backend backend) {
  return backend == Backend::cuda ? std::make_unique<Context>(device_of(backend))
                                  : std::make_unique<Context>(backend);
}

std::unique_ptr<TeamPool> make_pool(int threads, Backend backend) {
  return backend == Backend::cuda ? std::make_unique<TeamPool>(threads, device_of(backend))
                                  : std::make_unique<TeamPool>(threads, backend);
}

std::vector<DType> dtypes_of(Backend backend) {
  return backend == Backend::cuda ? std::vector{DType::f32} : std::vector{DType::f32, DType::f64};
}

}  // namespace emshap::test
