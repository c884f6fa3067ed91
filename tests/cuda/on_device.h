#pragma once
// Tensors on a device, for tests.
#include <cstdint>
#include <list>
#include <vector>

#include "core/memory.h"
#include "emshap/core/tensor.h"

namespace emshap::test {

/// Alive as long as this is.
class OnDevice {
 public:
  explicit OnDevice(Device device) : device_(device) {}
  TensorView copy(const ConstTensorView& from) {
    const TensorView to = make(from.shape(), from.dtype());
    copy_bytes(to.data(), device_, from.data(), from.device(), from.elements() * size_of(from.dtype()));
    return to;
  }
  TensorView make(Shape shape, DType dtype = DType::f32) {
    tensors_.emplace_back(shape, dtype, device_);
    return tensors_.back();
  }

 private:
  Device device_;
  std::list<Tensor> tensors_;
};

inline std::vector<std::int32_t> integers_of(const ConstTensorView& view) {
  Tensor host(view.shape(), DType::i32);
  copy_bytes(host.view().data(), Device{}, view.data(), view.device(), view.elements() * size_of(DType::i32));
  return {host.ptr<std::int32_t>(), host.ptr<std::int32_t>() + host.elements()};
}

}  // namespace emshap::test
