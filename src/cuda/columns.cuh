#pragma once
// Reductions over the rows of a matrix, column by column: see math::column_shape. 32 lanes read 32
// neighbouring columns, so that loads are whole; each element is read once.
#include "core/mat.h"
#include "cuda/launch.h"

namespace emshap::cuda {

/// Where a thread of such a kernel stands: its column, and its rows first, first + step ... below end.
struct ColumnPlace {
  int warp, lane;
  std::int64_t column, first, end;
};
__device__ inline ColumnPlace column_place(std::int64_t rows, std::int64_t chunk_rows) {
  const int warp = static_cast<int>(threadIdx.x) / math::column_tile,
            lane = static_cast<int>(threadIdx.x) % math::column_tile;
  const std::int64_t begin = blockIdx.y * chunk_rows, left = rows - begin;
  return {warp, lane, static_cast<std::int64_t>(blockIdx.x) * math::column_tile + lane, begin + warp,
          begin + (left < chunk_rows ? left : chunk_rows)};
}

/// Row `chunk` of `sums` = column sums of the chunk, or y += them, where there is one chunk.
template <bool accumulate, class T>
__global__ void column_sums_kernel(Mat<const T> x, std::int64_t chunk_rows, Mat<T> sums) {
  constexpr int warps = math::column_warps, loads = math::column_loads;
  const ColumnPlace at = column_place(x.rows, chunk_rows);
  T sum = T(0);
  if (at.column < x.cols) {
    for (std::int64_t r = at.first; r < at.end; r += warps * loads) {
      T value[loads];
      for (int i = 0; i < loads; ++i)
        value[i] = r + i * warps < at.end ? x.data[(r + i * warps) * x.stride + at.column] : T(0);
      for (int i = 0; i < loads; ++i) sum += value[i];
    }
  }
  T* slots = shared_memory<T>();
  slots[threadIdx.x] = sum;
  __syncthreads();
  if (at.warp > 0 || at.column >= x.cols) return;
  for (int w = 1; w < warps; ++w) sum += slots[w * math::column_tile + at.lane];
  T& to = sums.data[blockIdx.y * sums.stride + at.column];
  to = accumulate ? to + sum : sum;
}

/// y (cols) += column sums of x, or = where `accumulate` is false, in an order that depends on the extents
/// only: one kernel, or two where x has many rows.
template <bool accumulate = true, class T>
void sum_columns(Context& ctx, const char* name, Mat<const T> x, Mat<T> y) {
  const math::ColumnShape shape = math::column_shape(x.rows, x.cols);
  const Grid grid{shape.tiles, math::column_threads, math::column_threads * std::int64_t{sizeof(T)},
                  shape.chunks};
  if (shape.chunks <= 1)
    return launch(ctx, name, column_sums_kernel<accumulate, T>, grid, x, shape.chunk_rows, y);
  const Workspace::Scope scope(ctx.workspace());
  const Mat<T> partials{ctx.workspace().take<T>(shape.chunks * x.cols), shape.chunks, x.cols, x.cols};
  launch(ctx, name, column_sums_kernel<false, T>, grid, x, shape.chunk_rows, partials);
  launch(ctx, name, column_sums_kernel<accumulate, T>, Grid{grid.blocks, grid.threads, grid.shared},
         Mat<const T>{partials.data, partials.rows, partials.cols, partials.stride}, shape.chunks, y);
}

}  // namespace emshap::cuda
