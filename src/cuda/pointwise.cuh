#pragma once
// One kernel for all pointwise ops: f(row, column) for every element of a (rows, cols) extent.
#include <cstdint>

#include "core/mat.h"
#include "cuda/launch.h"

namespace emshap::cuda {

/// Index is 32 bits wide where all elements can be counted so: a 64-bit division takes longer than the loads
/// of an element.
template <class Index, class F>
__global__ void pointwise_kernel(Index elements, Index cols, F f) {
  const Index step = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; i < elements; i += step) {
    if (cols == elements)
      f(std::int64_t{0}, static_cast<std::int64_t>(i));
    else
      f(static_cast<std::int64_t>(i / cols), static_cast<std::int64_t>(i % cols));
  }
}

/// Calls f(row, column) on the device; F is copied to it and holds views by value.
template <class F>
void pointwise(Context& ctx, const char* name, std::int64_t rows, std::int64_t cols, const F& f) {
  const std::int64_t elements = rows * cols;
  const Grid grid{pointwise_blocks(elements), pointwise_threads};
  if (math::narrow_count(elements))
    launch(ctx, name, pointwise_kernel<std::uint32_t, F>, grid, elements, cols, f);
  else
    launch(ctx, name, pointwise_kernel<std::uint64_t, F>, grid, elements, cols, f);
}

/// Matrices of one extent that all lie without gaps become one row each. Those that are not given stay so.
template <class... M>
void flatten(M&... mats) {
  if (!(... && mats.contiguous())) return;
  const auto one_row = [](auto& m) { m = {m.data, m.rows > 0 ? 1 : 0, m.rows * m.cols, m.rows * m.cols}; };
  (..., one_row(mats));
}

}  // namespace emshap::cuda
