// Rows picked by index. All of it is bound by the bytes of the rows moved, each once.
#include "emshap/ops/gather.h"

#include "core/mat.h"
#include "cuda/pointwise.cuh"
#include "math/row_shape.h"
#include "math/scalar.h"

#define EMSHAP_BACKEND cuda
#include "ops/gather_backend.h"

namespace emshap::cuda {
namespace {

template <class T>
struct GatherRows {
  Mat<const T> table;
  const std::int32_t* index;
  Mat<T> y;
  __device__ void operator()(std::int64_t b, std::int64_t c) const {
    y.data[b * y.stride + c] = table.data[index[b] * table.stride + c];
  }
};

// The last of equal indices stays: `last` (a number for each table row) is set for the indices that occur,
// raised to the largest b that names the row, and only that b writes. Integer maxima have no order.
struct ForgetLast {
  const std::int32_t* index;
  long long* last;  // what atomicMax takes
  __device__ void operator()(std::int64_t b, std::int64_t) const { last[index[b]] = -1; }
};
struct FindLast {
  const std::int32_t* index;
  long long* last;
  __device__ void operator()(std::int64_t b, std::int64_t) const {
    atomicMax(last + index[b], static_cast<long long>(b));
  }
};
template <class T>
struct ScatterRows {
  Mat<const T> x;
  const std::int32_t* index;
  const long long* last;
  Mat<T> table;
  __device__ void operator()(std::int64_t b, std::int64_t c) const {
    const std::int64_t row = index[b];
    if (last[row] == b) table.data[row * table.stride + c] = x.data[b * x.stride + c];
  }
};

constexpr int scatter_warps = 4;  // of a block; they do not meet

// A warp for a table row and 32 of its columns: the lanes read 32 indices together and then add the rows
// that match in their order, a column each. Beside x, read once, it reads the index once per table row and
// 32 columns, from L2: with few table rows that is little, and no sorting, counting or list in memory is
// needed. blockIdx.y: slice. `to`: one table for each slice, one after another, or the result itself.
template <class T>
__global__ void scatter_add_kernel(Mat<const T> x, const std::int32_t* index, std::int64_t slice_rows,
                                   std::int64_t chunks, Mat<T> to, bool add) {
  const std::int64_t unit = static_cast<std::int64_t>(blockIdx.x) * scatter_warps +
                            static_cast<int>(threadIdx.x) / math::warp_threads;
  const std::int64_t row = unit / chunks;
  if (row >= to.rows) return;
  const int lane = static_cast<int>(threadIdx.x) % math::warp_threads;
  const std::int64_t c = unit % chunks * math::warp_threads + lane;
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.y) * slice_rows;
  const std::int64_t end = begin + slice_rows < x.rows ? begin + slice_rows : x.rows;
  T* const at = to.data + (static_cast<std::int64_t>(blockIdx.y) * to.rows + row) * to.stride + c;
  T sum = add && c < x.cols ? *at : T(0);
  for (std::int64_t first = begin; first < end; first += math::warp_threads) {
    const std::int64_t b = first + lane;
    unsigned found = __ballot_sync(0xffffffffu, b < end && index[b] == row);
    while (found != 0) {
      const int next = __ffs(static_cast<int>(found)) - 1;
      found &= found - 1;
      if (c < x.cols) sum += x.data[(first + next) * x.stride + c];
    }
  }
  if (c < x.cols) *at = sum;
}

template <class T>
struct AddSlices {
  const T* partial;  // slices of the table's extent, without gaps
  std::int64_t slices;
  Mat<T> table;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    T sum = partial[r * table.cols + c];
    for (std::int64_t s = 1; s < slices; ++s) sum += partial[(s * table.rows + r) * table.cols + c];
    table.data[r * table.stride + c] += sum;
  }
};

// A thread for each number of y: table lines are read along their columns, index and factor by all threads
// of a row at once. The lines come from L2 and bound the time: 8 bytes for each term.
template <class T>
struct SumTableLines {
  Mat<const T> table;
  Mat<const std::int32_t> index;
  Mat<const T> factor;
  const T* base;
  bool relu;
  Mat<T> y;
  __device__ void operator()(std::int64_t b, std::int64_t c) const {
    T sum = base[c];
    for (std::int64_t i = 0; i < index.cols; ++i) {
      const T* line = table.data + index.data[b * index.stride + i] * table.stride + c;
      sum = math::mul_add(factor.data[b * factor.stride + i], line[y.cols], sum + line[0]);
    }
    y.data[b * y.stride + c] = relu ? math::select(sum < T(0), T(0), sum) : sum;
  }
};

}  // namespace

template <class T>
void gather_rows(Context& ctx, Mat<const T> table, const std::int32_t* index, Mat<T> y) {
  pointwise(ctx, "gather_rows", y.rows, y.cols, GatherRows<T>{table, index, y});
}

template <class T>
void scatter_rows(Context& ctx, Mat<const T> x, const std::int32_t* index, Mat<T> table) {
  const Workspace::Scope scope(ctx.workspace());
  auto* last = ctx.workspace().take<long long>(table.rows);
  pointwise(ctx, "scatter_rows: forget", x.rows, 1, ForgetLast{index, last});
  pointwise(ctx, "scatter_rows: find", x.rows, 1, FindLast{index, last});
  pointwise(ctx, "scatter_rows", x.rows, x.cols, ScatterRows<T>{x, index, last, table});
}

template <class T>
void scatter_add_rows(Context& ctx, Mat<const T> x, const std::int32_t* index, Mat<T> table) {
  if (x.rows == 0) return;
  const math::ScatterShape shape = math::scatter_shape(x.rows, table.rows, x.cols);
  const std::int64_t chunks = math::ceil_div(x.cols, math::warp_threads);
  const Grid grid{math::ceil_div(table.rows * chunks, scatter_warps), scatter_warps * math::warp_threads, 0,
                  shape.slices};
  if (shape.slices == 1)
    return launch(ctx, "scatter_add_rows", scatter_add_kernel<T>, grid, x, index, shape.slice_rows, chunks,
                  table, true);
  const Workspace::Scope scope(ctx.workspace());
  T* partial = ctx.workspace().take<T>(shape.slices * table.rows * table.cols);
  launch(ctx, "scatter_add_rows: slices", scatter_add_kernel<T>, grid, x, index, shape.slice_rows, chunks,
         Mat<T>{partial, table.rows, table.cols, table.cols}, false);
  pointwise(ctx, "scatter_add_rows", table.rows, table.cols, AddSlices<T>{partial, shape.slices, table});
}

template <class T>
void sum_table_lines(Context& ctx, Mat<const T> table, Mat<const std::int32_t> index, Mat<const T> factor,
                     const T* base, bool relu, Mat<T> y) {
  pointwise(ctx, "sum_table_lines", y.rows, y.cols, SumTableLines<T>{table, index, factor, base, relu, y});
}

template void gather_rows<float>(Context&, Mat<const float>, const std::int32_t*, Mat<float>);
template void scatter_rows<float>(Context&, Mat<const float>, const std::int32_t*, Mat<float>);
template void scatter_add_rows<float>(Context&, Mat<const float>, const std::int32_t*, Mat<float>);
template void sum_table_lines<float>(Context&, Mat<const float>, Mat<const std::int32_t>, Mat<const float>,
                                     const float*, bool, Mat<float>);

}  // namespace emshap::cuda
