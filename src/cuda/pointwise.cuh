#pragma once
// One kernel for all pointwise ops: f(row, column) for every element of a (rows, cols) extent.
#include <cstdint>

#include "cuda/launch.h"

namespace emshap::cuda {

template <class F>
__global__ void pointwise_kernel(std::int64_t elements, std::int64_t cols, F f) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < elements;
       i += step)
    f(i / cols, i % cols);
}

/// Calls f(row, column) on the device; F is copied to it and holds views by value.
template <class F>
void pointwise(Context& ctx, const char* name, std::int64_t rows, std::int64_t cols, const F& f) {
  const std::int64_t elements = rows * cols;
  launch(ctx, name, pointwise_kernel<F>, Grid{pointwise_blocks(elements), pointwise_threads}, elements, cols,
         f);
}

}  // namespace emshap::cuda
