#include "emshap/ops/product.h"

#include "cuda/columns.cuh"
#include "cuda/cublas.h"

#define EMSHAP_BACKEND cuda
#include "ops/product_backend.h"

namespace emshap::cuda {
namespace {

/// Through a tile in shared memory, so that rows are read and written whole; its rows are one element longer,
/// so that a column of it lies in 32 banks.
template <class T>
__global__ void transpose_kernel(Mat<const T> x, Mat<T> y) {
  constexpr int side = math::transpose_tile, warps = math::transpose_warps, pitch = side + 1;
  T* tile = shared_memory<T>();
  const int warp = static_cast<int>(threadIdx.x) / side, lane = static_cast<int>(threadIdx.x) % side;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * side;
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * side; row < x.rows;
       row += static_cast<std::int64_t>(gridDim.y) * side) {
    for (int i = warp; i < side; i += warps)
      if (row + i < x.rows && column + lane < x.cols)
        tile[i * pitch + lane] = x.data[(row + i) * x.stride + column + lane];
    __syncthreads();
    for (int i = warp; i < side; i += warps)
      if (column + i < x.cols && row + lane < x.rows)
        y.data[(column + i) * y.stride + row + lane] = tile[lane * pitch + i];
    __syncthreads();
  }
}

}  // namespace

template <class T>
void add_product(Context& ctx, Mat<const T> a, Mat<const T> b, Mat<T> y) {
  product(ctx, {a}, {b}, true, y);
}

template <class T>
void add_product_at(Context& ctx, Mat<const T> a, Mat<const T> b, Mat<T> y) {
  product(ctx, transposed(a), {b}, true, y);
}

template <class T>
void add_column_sums(Context& ctx, Mat<const T> x, Mat<T> y) {
  sum_columns(ctx, "add_column_sums", x, y);
}

template <class T>
void transpose(Context& ctx, Mat<const T> x, Mat<T> y) {
  constexpr int side = math::transpose_tile;
  const std::int64_t above = math::ceil_div(x.rows, side);
  launch(ctx, "transpose", transpose_kernel<T>,
         Grid{math::ceil_div(x.cols, side), side * math::transpose_warps,
              side * (side + 1) * std::int64_t{sizeof(T)},
              above < math::most_blocks_y ? above : math::most_blocks_y},
         x, y);
}

template void add_product<float>(Context&, Mat<const float>, Mat<const float>, Mat<float>);
template void add_product_at<float>(Context&, Mat<const float>, Mat<const float>, Mat<float>);
template void add_column_sums<float>(Context&, Mat<const float>, Mat<float>);
template void transpose<float>(Context&, Mat<const float>, Mat<float>);

}  // namespace emshap::cuda
