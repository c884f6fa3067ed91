#include "emshap/core/tensor.h"

#include <utility>

#include <fmt/format.h>

#include "core/memory.h"
#include "emshap/core/error.h"

namespace emshap {

Tensor::Tensor(Shape shape, DType dtype, Device device) {
  ensure(shape, dtype, device);
}

Tensor::~Tensor() {
  release();
}

Tensor::Tensor(Tensor&& other) noexcept {
  *this = std::move(other);
}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  if (this == &other) return *this;
  release();
  data_ = std::exchange(other.data_, nullptr);
  capacity_bytes_ = std::exchange(other.capacity_bytes_, 0);
  shape_ = std::exchange(other.shape_, Shape{0});
  dtype_ = other.dtype_;
  device_ = other.device_;
  return *this;
}

void Tensor::release() noexcept {
  free_bytes(data_, device_);
  data_ = nullptr;
  capacity_bytes_ = 0;
}

void Tensor::ensure(Shape shape, DType dtype, Device device) {
  const std::int64_t bytes = shape.elements() * size_of(dtype);
  if (bytes > capacity_bytes_ || device != device_) {
    release();
    shape_ = Shape{0};  // what is left when there is no memory
    device_ = device;
    data_ = allocate_bytes(bytes, device);
    capacity_bytes_ = bytes;
  }
  shape_ = shape;
  dtype_ = dtype;
}

Tensor Tensor::zeros(Shape shape, DType dtype, Device device) {
  Tensor t(shape, dtype, device);
  zero_bytes(t.data_, shape.elements() * size_of(dtype), device);
  return t;
}

Tensor Tensor::copy_of(const void* values, std::int64_t count, Shape shape, DType dtype) {
  if (count != shape.elements())
    throw ShapeError(fmt::format("{} values were given for a tensor of shape {}", count, shape.str()));
  Tensor t(shape, dtype);
  copy_bytes(t.data_, Device{}, values, Device{}, count * size_of(dtype));
  return t;
}

Tensor Tensor::clone() const {
  Tensor t(shape_, dtype_, device_);
  copy_bytes(t.data_, device_, data_, device_, shape_.elements() * size_of(dtype_));
  return t;
}

}  // namespace emshap
