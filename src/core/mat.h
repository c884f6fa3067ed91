#pragma once
// What kernels see: a typed pointer, extents and a row stride. Plain data, so that a kernel compiled for one
// instruction-set level shares no out-of-line function with another level.
#include <cstdint>

#include "emshap/core/tensor_view.h"

#define EMSHAP_INLINE inline __attribute__((always_inline))

namespace emshap {

template <class T>
struct Mat {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;  ///< elements from one row to the next
  EMSHAP_INLINE T* row(std::int64_t r) const { return data + r * stride; }
  EMSHAP_INLINE bool contiguous() const { return stride == cols || rows <= 1; }
};

/// Rank 1 becomes one row. An empty (default) view becomes a Mat with data == nullptr: "not given".
template <class T>
Mat<const T> mat(const ConstTensorView& v) {
  return {v.data() == nullptr ? nullptr : v.ptr<T>(), v.rows(), v.cols(), v.row_stride()};
}
template <class T>
Mat<T> mat(const TensorView& v) {
  return {v.data() == nullptr ? nullptr : v.ptr<T>(), v.rows(), v.cols(), v.row_stride()};
}

}  // namespace emshap
