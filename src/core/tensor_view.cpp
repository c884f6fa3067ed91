#include "emshap/core/tensor_view.h"

#include <limits>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap {

const char* to_string(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::i32:
      return "i32";
  }
  return "?";
}

std::int64_t size_of(DType dtype) {
  return dtype == DType::f64 ? 8 : 4;
}

Shape::Shape(std::initializer_list<std::int64_t> extents) {
  if (extents.size() > max_rank)
    throw ShapeError(fmt::format("shape has {} extents, at most {} are supported", extents.size(), max_rank));
  std::int64_t room = std::numeric_limits<std::int64_t>::max() / 8;  // bytes of f64 must be countable
  for (const std::int64_t e : extents) {
    if (e < 0) throw ShapeError(fmt::format("shape has a negative extent {}", e));
    extent_[static_cast<std::size_t>(rank_++)] = e;
    if (e > 0) room /= e;  // zeros do not hide the rest: rows() leaves the last extent out
  }
  if (room == 0) throw ShapeError(fmt::format("shape {} has more elements than can be counted", str()));
}

std::int64_t Shape::elements() const {
  std::int64_t n = 1;
  for (int i = 0; i < rank_; ++i) n *= (*this)[i];
  return n;
}

std::int64_t Shape::rows() const {
  std::int64_t n = 1;
  for (int i = 0; i + 1 < rank_; ++i) n *= (*this)[i];
  return n;
}

std::int64_t Shape::cols() const {
  return rank_ == 0 ? 1 : (*this)[rank_ - 1];
}

std::string Shape::str() const {
  std::string text = "(";
  for (int i = 0; i < rank_; ++i) text += fmt::format("{}{}", i == 0 ? "" : ", ", (*this)[i]);
  return text + ")";
}

ConstTensorView::ConstTensorView(const void* data, Shape shape, DType dtype, Device device,
                                 std::int64_t row_stride)
    : data_(const_cast<void*>(data)),  // NOLINT: TensorView restores what its caller passed in
      shape_(shape),
      row_stride_(row_stride < 0 ? shape.cols() : row_stride),
      dtype_(dtype),
      device_(device) {
  if (row_stride_ < shape.cols())
    throw ShapeError(fmt::format("view of shape {} has row stride {}, expected at least {}", shape.str(),
                                 row_stride_, shape.cols()));
}

void ConstTensorView::check_dtype(DType expected) const {
  if (dtype_ != expected)
    throw DTypeError(fmt::format("tensor of shape {} holds {}, asked for {}", shape_.str(), to_string(dtype_),
                                 to_string(expected)));
}

ConstTensorView ConstTensorView::rows(std::int64_t begin, std::int64_t count) const {
  if (begin < 0 || count < 0 || begin + count > shape_.rows())
    throw ShapeError(
        fmt::format("rows [{}, {}) are outside a tensor of shape {}", begin, begin + count, shape_.str()));
  ConstTensorView v = *this;
  v.shape_ = Shape{count, shape_.cols()};
  v.data_ = static_cast<char*>(data_) + begin * row_stride_ * size_of(dtype_);
  return v;
}

ConstTensorView ConstTensorView::columns(std::int64_t begin, std::int64_t count) const {
  if (begin < 0 || count < 0 || begin + count > shape_.cols())
    throw ShapeError(
        fmt::format("columns [{}, {}) are outside a tensor of shape {}", begin, begin + count, shape_.str()));
  ConstTensorView v = *this;
  v.shape_ = Shape{shape_.rows(), count};
  v.data_ = static_cast<char*>(data_) + begin * size_of(dtype_);
  return v;
}

ConstTensorView ConstTensorView::reshaped(Shape shape) const {
  if (shape.elements() != shape_.elements() || !contiguous())
    throw ShapeError(fmt::format("a {} tensor of shape {} cannot be seen as {}",
                                 contiguous() ? "contiguous" : "strided", shape_.str(), shape.str()));
  ConstTensorView v = *this;
  v.shape_ = shape;
  v.row_stride_ = shape.cols();
  return v;
}

TensorView TensorView::rows(std::int64_t begin, std::int64_t count) const {
  return TensorView(ConstTensorView::rows(begin, count));
}
TensorView TensorView::columns(std::int64_t begin, std::int64_t count) const {
  return TensorView(ConstTensorView::columns(begin, count));
}
TensorView TensorView::reshaped(Shape shape) const {
  return TensorView(ConstTensorView::reshaped(shape));
}

}  // namespace emshap
