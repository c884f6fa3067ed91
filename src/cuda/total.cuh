#pragma once
// One number from all elements, in double: blocks add up the terms of their elements, then one block adds up
// their sums and hands the total on. The order depends on the number of elements only.
#include <cstdint>

#include "cuda/pointwise.cuh"
#include "cuda/reduce.cuh"

namespace emshap::cuda {

template <class Index, class Term>
__global__ void total_kernel(Index elements, Index cols, Term term, double* sums) {
  double sum = 0;
  const Index step = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; i < elements; i += step) {
    if (cols == elements)
      sum += term(std::int64_t{0}, static_cast<std::int64_t>(i));
    else
      sum += term(static_cast<std::int64_t>(i / cols), static_cast<std::int64_t>(i % cols));
  }
  sum = block_sum(sum, shared_memory<double>());
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <class Finish>
__global__ void total_finish_kernel(std::int64_t count, const double* sums, Finish finish) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
  sum = block_sum(sum, shared_memory<double>());
  if (threadIdx.x == 0) finish(sum);
}

/// A term: squares of numbers without gaps.
template <class T>
struct Square {
  const T* x;
  __device__ double operator()(std::int64_t, std::int64_t i) const {
    const auto value = static_cast<double>(x[i]);
    return value * value;
  }
};

/// finish(sum over r, c of term(r, c)), once on the device. `term` (a double) is called once for each element
/// and may write what belongs to it. No elements: finish(0).
template <class Term, class Finish>
void total(Context& ctx, const char* name, std::int64_t rows, std::int64_t cols, const Term& term,
           const Finish& finish) {
  const std::int64_t elements = rows * cols, blocks = math::total_blocks(elements);
  const std::int64_t slots = math::warp_threads * static_cast<std::int64_t>(sizeof(double));
  const Workspace::Scope scope(ctx.workspace());
  double* sums = ctx.workspace().take<double>(blocks);
  const Grid grid{blocks, pointwise_threads, slots};
  if (math::narrow_count(elements))
    launch(ctx, name, total_kernel<std::uint32_t, Term>, grid, elements, cols, term, sums);
  else
    launch(ctx, name, total_kernel<std::uint64_t, Term>, grid, elements, cols, term, sums);
  launch(ctx, name, total_finish_kernel<Finish>, Grid{1, pointwise_threads, slots}, blocks, sums, finish);
}

}  // namespace emshap::cuda
