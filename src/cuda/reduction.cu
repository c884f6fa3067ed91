#include "core/mat.h"
#include "cuda/columns.cuh"
#include "cuda/total.cuh"
#include "math/exp_log.h"

#define EMSHAP_BACKEND cuda
#include "ops/reduction_backend.h"

// Bound by memory: each element is read once, by log_sum_exp twice, the second time from a cache.
namespace emshap::cuda {
namespace {

/// The threads that share a row: `size` of them, see math::threads_of_row.
struct RowTeam {
  int rank, size;
  /// combine over the team; every member gets the result. All threads of the block call it.
  template <class T, class Combine>
  __device__ T reduce(T value, T neutral, const Combine& combine) const {
    if (size > math::warp_threads) return block_reduce(value, shared_memory<T>(), neutral, combine);
    for (int lanes = size / 2; lanes > 0; lanes /= 2)
      value = combine(value, __shfl_xor_sync(whole_warp, value, lanes));
    return value;
  }
  template <class T>
  __device__ T sum(T value) const {
    return reduce(value, T(0), [](T a, T b) { return a + b; });
  }
};

/// f(row, columns of it, team) for each row; all threads of a block take part in each call, beyond the last
/// row with a row of no columns.
template <class T, class F>
__global__ void rows_kernel(Mat<const T> x, int team_size, F f) {
  const int teams = static_cast<int>(blockDim.x) / team_size,
            mine = static_cast<int>(threadIdx.x) / team_size;
  const RowTeam team{static_cast<int>(threadIdx.x) % team_size, team_size};
  for (std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * teams; first < x.rows;
       first += static_cast<std::int64_t>(gridDim.x) * teams) {
    const std::int64_t r = first + mine;
    const bool any = r < x.rows;
    f(any ? r : -1, any ? x.data + r * x.stride : nullptr, any ? x.cols : 0, team);
  }
}

template <class T, class F>
void for_rows(Context& ctx, const char* name, Mat<const T> x, const F& f) {
  const std::int64_t slots = math::warp_threads * static_cast<std::int64_t>(sizeof(double));
  launch(ctx, name, rows_kernel<T, F>, Grid{math::row_blocks(x.rows, x.cols), math::row_threads, slots}, x,
         math::threads_of_row(x.cols), f);
}

template <class T>
struct SumRow {
  T* out;
  __device__ void operator()(std::int64_t r, const T* row, std::int64_t cols, const RowTeam& team) const {
    double sum = 0;
    for (std::int64_t c = team.rank; c < cols; c += team.size) sum += static_cast<double>(row[c]);
    sum = team.sum(sum);
    if (r >= 0 && team.rank == 0) out[r] = static_cast<T>(sum);
  }
};

template <class T>
struct LogSumExpRow {
  T* out;
  __device__ void operator()(std::int64_t r, const T* row, std::int64_t cols, const RowTeam& team) const {
    const T lowest = -static_cast<T>(__builtin_inff());
    T top = lowest;
    for (std::int64_t c = team.rank; c < cols; c += team.size) top = math::max(row[c], top);
    top = team.reduce(top, lowest, [](T a, T b) { return math::max(a, b); });
    // Subtracting an infinite maximum would give nan: inf stays inf, and only -inf gives log 0.
    const T shift = top < -lowest && top > lowest ? top : T(0);
    T sum = 0;
    for (std::int64_t c = team.rank; c < cols; c += team.size) sum += math::exp(row[c] - shift);
    sum = team.sum(sum);
    if (r >= 0 && team.rank == 0) out[r] = shift + math::log(sum);
  }
};

template <class T>
struct LogSumExpBackward {
  Mat<const T> x;
  const T *out, *dout;
  Mat<T> dx;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    dx.data[r * dx.stride + c] = dout[r] * math::exp(x.data[r * x.stride + c] - out[r]);
  }
};

template <class T>
struct Element {
  Mat<const T> x;
  __device__ double operator()(std::int64_t r, std::int64_t c) const {
    return static_cast<double>(x.data[r * x.stride + c]);
  }
};

template <class T>
struct Zero {
  T* out;
  __device__ void operator()(std::int64_t, std::int64_t c) const { out[c] = T(0); }
};

template <class T>
struct Store {
  T* out;
  __device__ void operator()(double total) const { *out = static_cast<T>(total); }
};

}  // namespace

template <class T>
void sum_over_rows(Context& ctx, Mat<const T> x, Mat<T> out) {
  if (x.rows == 0) return pointwise(ctx, "sum_over_rows", 1, x.cols, Zero<T>{out.data});
  sum_columns<false>(ctx, "sum_over_rows", x, out);
}

template <class T>
void sum_over_columns(Context& ctx, Mat<const T> x, Mat<T> out) {
  for_rows(ctx, "sum_over_columns", x, SumRow<T>{out.data});
}

template <class T>
void sum(Context& ctx, Mat<const T> x, Mat<T> out) {
  flatten(x);
  total(ctx, "sum", x.rows, x.cols, Element<T>{x}, Store<T>{out.data});
}

template <class T>
void sum_of_squares_shared(Context& ctx, Mat<const T> x, Mat<T> out) {
  total(ctx, "sum_of_squares_shared", 1, x.rows * x.cols, Square<T>{x.data}, Store<T>{out.data});
}

template <class T>
void log_sum_exp(Context& ctx, Mat<const T> x, Mat<T> out) {
  for_rows(ctx, "log_sum_exp", x, LogSumExpRow<T>{out.data});
}

template <class T>
void log_sum_exp_backward(Context& ctx, Mat<const T> x, Mat<const T> out, Mat<const T> dout, Mat<T> dx) {
  pointwise(ctx, "log_sum_exp_backward", dx.rows, dx.cols, LogSumExpBackward<T>{x, out.data, dout.data, dx});
}

template void sum_over_rows<float>(Context&, Mat<const float>, Mat<float>);
template void sum_over_columns<float>(Context&, Mat<const float>, Mat<float>);
template void sum<float>(Context&, Mat<const float>, Mat<float>);
template void sum_of_squares_shared<float>(Context&, Mat<const float>, Mat<float>);
template void log_sum_exp<float>(Context&, Mat<const float>, Mat<float>);
template void log_sum_exp_backward<float>(Context&, Mat<const float>, Mat<const float>, Mat<const float>,
                                          Mat<float>);

}  // namespace emshap::cuda
