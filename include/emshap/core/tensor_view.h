#pragma once
// Views: a pointer, a shape, a row stride, an element type and a device. Ops take views; nothing here owns
// memory.
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "emshap/core/device.h"
#include "emshap/core/export.h"

namespace emshap {

enum class DType : std::uint8_t { f32, f64, i32 };
EMSHAP_API const char* to_string(DType dtype);
EMSHAP_API std::int64_t size_of(DType dtype);

template <class T>
constexpr DType dtype_of() {
  using U = std::remove_const_t<T>;
  static_assert(std::is_same_v<U, float> || std::is_same_v<U, double> || std::is_same_v<U, std::int32_t>);
  if constexpr (std::is_same_v<U, float>) return DType::f32;
  if constexpr (std::is_same_v<U, double>) return DType::f64;
  return DType::i32;
}

/// Up to four extents, row-major. Rank 0 is a scalar with one element.
class EMSHAP_API Shape {
 public:
  static constexpr int max_rank = 4;
  Shape() = default;
  /// Throws ShapeError for more than four extents, a negative one, or 2^60 elements and more.
  Shape(std::initializer_list<std::int64_t> extents);
  int rank() const { return rank_; }
  std::int64_t operator[](int axis) const { return extent_[static_cast<std::size_t>(axis)]; }
  std::int64_t elements() const;
  /// Product of all extents but the last; 1 for rank 0 and 1.
  std::int64_t rows() const;
  /// The last extent; 1 for rank 0.
  std::int64_t cols() const;
  std::string str() const;  ///< "(64, 13)"
  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<std::int64_t, max_rank> extent_{};
  int rank_ = 0;
};

/// Byte-typed read-only view. Rows may be `row_stride` elements apart; elements of a row are contiguous.
class EMSHAP_API ConstTensorView {
 public:
  ConstTensorView() = default;
  /// `row_stride` in elements, -1 for rows without gaps. Throws ShapeError when it is less than a row.
  ConstTensorView(const void* data, Shape shape, DType dtype, Device device = {},
                  std::int64_t row_stride = -1);

  const Shape& shape() const { return shape_; }
  std::int64_t rows() const { return shape_.rows(); }
  std::int64_t cols() const { return shape_.cols(); }
  std::int64_t elements() const { return shape_.elements(); }
  std::int64_t row_stride() const { return row_stride_; }
  bool contiguous() const { return row_stride_ == shape_.cols() || shape_.rows() <= 1; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  const void* data() const { return data_; }
  /// Typed pointer to the first element. Throws DTypeError.
  template <class T>
  const T* ptr() const {
    check_dtype(dtype_of<T>());
    return static_cast<const T*>(data_);
  }
  /// Rows [begin, begin + count) as a rank-2 view. Throws ShapeError.
  ConstTensorView rows(std::int64_t begin, std::int64_t count) const;
  /// Columns [begin, begin + count) as a rank-2 view. Throws ShapeError.
  ConstTensorView columns(std::int64_t begin, std::int64_t count) const;
  /// Same elements under another shape; the view must be contiguous. Throws ShapeError.
  ConstTensorView reshaped(Shape shape) const;

 protected:
  void check_dtype(DType expected) const;
  void* data_ = nullptr;
  Shape shape_{0};
  std::int64_t row_stride_ = 0;
  DType dtype_ = DType::f32;
  Device device_{};
};

/// Writable view; converts to ConstTensorView.
class EMSHAP_API TensorView : public ConstTensorView {
 public:
  TensorView() = default;
  TensorView(void* data, Shape shape, DType dtype, Device device = {}, std::int64_t row_stride = -1)
      : ConstTensorView(data, shape, dtype, device, row_stride) {}
  void* data() const { return data_; }
  template <class T>
  T* ptr() const {
    check_dtype(dtype_of<T>());
    return static_cast<T*>(data_);
  }
  using ConstTensorView::rows;
  TensorView rows(std::int64_t begin, std::int64_t count) const;
  TensorView columns(std::int64_t begin, std::int64_t count) const;
  TensorView reshaped(Shape shape) const;

 private:
  explicit TensorView(const ConstTensorView& v) : ConstTensorView(v) {}
};

}  // namespace emshap
