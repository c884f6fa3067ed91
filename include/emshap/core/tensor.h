#pragma once
#include <vector>

#include "emshap/core/tensor_view.h"

namespace emshap {

/// Owns memory on one device; 64-byte aligned on the CPU. Moves; copying is explicit by clone().
class EMSHAP_API Tensor {
 public:
  Tensor() = default;
  /// Uninitialised elements. Throws Error (environment) when there is no memory, as do all functions that
  /// take some.
  explicit Tensor(Shape shape, DType dtype = DType::f32, Device device = {});
  ~Tensor();
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  static Tensor zeros(Shape shape, DType dtype = DType::f32, Device device = {});
  /// On the CPU. Throws ShapeError unless there are as many values as elements.
  template <class T>
  static Tensor from(const std::vector<T>& values, Shape shape) {
    return copy_of(values.data(), static_cast<std::int64_t>(values.size()), shape, dtype_of<T>());
  }
  Tensor clone() const;

  /// Gives the tensor this shape, type and device; memory is taken anew only when it does not fit (elements
  /// are then uninitialised; empty after an error). Caches call this each step, so that a step allocates
  /// nothing once sizes are known.
  void ensure(Shape shape, DType dtype, Device device = {});

  TensorView view() { return TensorView(data_, shape_, dtype_, device_); }
  ConstTensorView view() const { return ConstTensorView(data_, shape_, dtype_, device_); }
  operator TensorView() { return view(); }             // NOLINT(google-explicit-constructor)
  operator ConstTensorView() const { return view(); }  // NOLINT(google-explicit-constructor)

  const Shape& shape() const { return shape_; }
  std::int64_t rows() const { return shape_.rows(); }
  std::int64_t cols() const { return shape_.cols(); }
  std::int64_t elements() const { return shape_.elements(); }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  bool empty() const { return shape_.elements() == 0; }
  template <class T>
  T* ptr() {
    return view().ptr<T>();
  }
  template <class T>
  const T* ptr() const {
    return view().ptr<T>();
  }

 private:
  static Tensor copy_of(const void* values, std::int64_t count, Shape shape, DType dtype);
  void release() noexcept;
  void* data_ = nullptr;
  std::int64_t capacity_bytes_ = 0;
  Shape shape_{0};
  DType dtype_ = DType::f32;
  Device device_{};
};

/// Heap blocks taken by tensors and workspaces of this process so far; a test holds it constant over a step.
EMSHAP_API std::int64_t allocation_count();

}  // namespace emshap
