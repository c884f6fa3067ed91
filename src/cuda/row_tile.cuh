#pragma once
// Kernels with one thread a row that still read and write memory coalesced: a block brings its rows into
// scratch memory together, each thread runs the formula of src/math on its own scratch row, and the block
// writes the results together. A row of a few dozen floats would leave most lanes of a warp idle if a warp
// shared it, and formulas over components would have to be written a second time.
#include "core/mat.h"
#include "cuda/launch.h"
#include "math/row_shape.h"

namespace emshap::cuda {

/// Rows [first, first + count) of all rows, and their scratch rows.
struct RowTile {
  std::int64_t first;
  int count;
  float* scratch;
  std::int64_t pitch;

  /// to(row, column, scratch entry `at` + column) for each entry of the rows of a matrix of `cols` columns,
  /// columns fastest.
  template <class Body>
  __device__ void for_each(std::int64_t cols, std::int64_t at, const Body& body) const {
    if (cols == 0) return;
    const auto width = static_cast<unsigned>(cols);
    const unsigned rows_on = blockDim.x / width, cols_on = blockDim.x % width;
    unsigned r = threadIdx.x / width, c = threadIdx.x % width;
    while (r < static_cast<unsigned>(count)) {
      body(first + r, static_cast<std::int64_t>(c), scratch[r * pitch + at + c]);
      r += rows_on;
      c += cols_on;
      if (c >= width) {
        c -= width;
        ++r;
      }
    }
  }
  template <class T>
  __device__ void load(const Mat<T>& m, std::int64_t at) const {
    for_each(m.cols, at,
             [&](std::int64_t r, std::int64_t c, float& entry) { entry = m.data[r * m.stride + c]; });
  }
  __device__ void store(const Mat<float>& m, std::int64_t at) const {
    for_each(m.cols, at,
             [&](std::int64_t r, std::int64_t c, float& entry) { m.data[r * m.stride + c] = entry; });
  }
};

/// F: load(tile) and store(tile) by all threads, row(r, scratch row) by the thread of the row. What store
/// writes may be where load reads.
template <bool shared, class F>
__global__ void row_tile_kernel(std::int64_t rows, std::int64_t pitch, float* workspace, F f) {
  const std::int64_t threads = blockDim.x;
  float* scratch;
  if constexpr (shared)
    scratch = shared_memory<float>();
  else
    scratch = workspace + blockIdx.x * threads * pitch;
  for (std::int64_t first = blockIdx.x * threads; first < rows; first += gridDim.x * threads) {
    const std::int64_t left = rows - first;
    const RowTile tile{first, static_cast<int>(left < threads ? left : threads), scratch, pitch};
    f.load(tile);
    __syncthreads();
    const int i = static_cast<int>(threadIdx.x);
    if (i < tile.count) f.row(first + i, scratch + i * pitch);
    __syncthreads();
    f.store(tile);
    __syncthreads();
  }
}

/// Runs f over `rows` rows, each with `floats` floats of scratch.
template <class F>
void row_tiles(Context& ctx, const char* name, std::int64_t rows, std::int64_t floats, const F& f) {
  const math::RowTileShape shape = math::row_tile_shape(rows, floats);
  const Grid grid{shape.blocks, shape.threads, shape.shared};
  if (shape.shared > 0)
    return launch(ctx, name, row_tile_kernel<true, F>, grid, rows, shape.pitch, nullptr, f);
  const Workspace::Scope scope(ctx.workspace());
  float* workspace = ctx.workspace().take<float>(shape.blocks * shape.threads * shape.pitch);
  launch(ctx, name, row_tile_kernel<false, F>, grid, rows, shape.pitch, workspace, f);
}

/// One number a row: without gaps, or a column of a matrix.
template <class T>
struct RowNumbers {
  T* data;
  std::int64_t stride;
  explicit RowNumbers(const Mat<T>& m) : data(m.data), stride(m.contiguous() ? 1 : m.stride) {}
  __device__ T& at(std::int64_t r) const { return data[r * stride]; }
};

}  // namespace emshap::cuda
