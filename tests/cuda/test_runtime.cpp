#include <doctest/doctest.h>

#include "emshap/core/context.h"
#include "emshap/core/error.h"
#include "emshap/core/tensor.h"
#include "emshap/ops/linear.h"
#include "support/compare.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

TEST_CASE("a device that cannot be used is named with what to do") {
  CHECK_THROWS_AS(parse_device("gpu"), ConfigError);
  CHECK_THROWS_AS(parse_device("cuda:-1"), ConfigError);
  CHECK_THROWS_AS(parse_device("cuda:x"), ConfigError);
  if (cuda_device_count() == 0) {
    CHECK_THROWS_AS(parse_device("cuda"), DeviceError);
    CHECK_THROWS_AS(Context(Device{DeviceKind::cuda, 0}), DeviceError);
    CHECK(parse_device("auto") == Device{});
  } else {
    CHECK(parse_device("auto") == Device{DeviceKind::cuda, 0});
    CHECK_THROWS_AS(parse_device("cuda:63"), DeviceError);
  }
}

TEST_CASE("tensors travel between devices and ops refuse a tensor of another device") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    const auto values = random_values(1000, 1);
    const Tensor there = make_tensor(values, {10, 100}, DType::f32, device_of(backend));
    check_same_bits("round trip", to_doubles(there), values);
    check_same_bits("clone", to_doubles(there.clone()), values);
    check_same_bits("zeros", to_doubles(Tensor::zeros({7}, DType::f32, device_of(backend))),
                    std::vector<double>(7));
    Tensor here({10, 5}), w({100, 5}, DType::f32, device_of(backend));
    CHECK_THROWS_AS(ops::linear_forward(*ctx, there, w, ConstTensorView(), Activation::identity, here),
                    DeviceError);
  }
}

TEST_CASE("kernels take f32 and refuse f64") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    const Device device = device_of(backend);
    Tensor d({2, 3}, DType::f64, device);
    CHECK_THROWS_AS(ops::activation_forward(*ctx, Activation::relu, d, d), DTypeError);
  }
}
