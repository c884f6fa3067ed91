#pragma once
// What this machine can run the tests on.
#include <memory>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap::test {

/// Every CPU level that this build and this processor have, or the one that EMSHAP_ISA names.
std::vector<Backend> cpu_levels();
/// The CPU levels, and CUDA when a device is present. Without one: a failure with EMSHAP_REQUIRE_GPU=1, else
/// "GPU tests skipped: no device" is printed once. EMSHAP_TEST_DEVICE=cuda leaves the CPU levels out.
std::vector<Backend> backends();
inline Device device_of(Backend backend) {
  return backend == Backend::cuda ? Device{DeviceKind::cuda, 0} : Device{};
}
std::unique_ptr<Context> make_context(Backend backend);
std::unique_ptr<TeamPool> make_pool(int threads, Backend backend);
/// f32, and f64 where the backend has it.
std::vector<DType> dtypes_of(Backend backend);

}  // namespace emshap::test
