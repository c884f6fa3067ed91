#pragma once
// Rows of a Mat in kernels.
#include "core/mat.h"
#include "cuda/launch.h"

namespace emshap::cuda {

template <class T>
__device__ inline T* row_of(const Mat<T>& m, std::int64_t r) {
  return m.data + r * m.stride;
}

}  // namespace emshap::cuda
