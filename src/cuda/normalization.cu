#include "emshap/ops/normalization.h"

#include <type_traits>

#include "cuda/columns.cuh"
#include "cuda/reduce.cuh"
#include "math/activation.h"
#include "math/batch_norm.h"
#include "math/dropout.h"
#include "math/moments.h"

#define EMSHAP_BACKEND cuda
#include "ops/normalization_backend.h"

// Bound by memory: forward reads x twice and writes y (12 bytes an element), backward reads dy, x and y twice
// and writes dx. A thread owns a column of its block's chunk of rows; what it needs of the column stays in
// registers. Up to few_rows rows one kernel does all, and x comes from the cache the second time; beyond,
// chunks write their sums, a second kernel adds them up in order, a third one goes over the elements.
namespace emshap::cuda {
namespace {

constexpr int tile = math::column_tile, warps = math::column_warps, loads = math::column_loads;
constexpr std::int64_t few_rows = 256;

math::ColumnShape norm_shape(std::int64_t rows, std::int64_t cols) {
  if (rows <= few_rows) return {math::ceil_div(cols, tile), 1, few_rows};
  return math::column_shape(rows, cols);
}
Grid norm_grid(const math::ColumnShape& shape, std::int64_t shared) {
  return {shape.tiles, math::column_threads, shared, shape.chunks};
}

template <class T>
struct Forward {
  Mat<const T> x;
  const T *gamma, *beta;
  double eps, momentum, kept;
  T *running_mean, *running_var, *mean, *rstd;
  T *scale, *shift;  // written by the kernel that merges
  Mat<T> y;
  math::DropoutStream dropout;
  std::int64_t row_begin;  // of the batch
};

/// Moments of the block's columns over its chunk, in the lanes of warp 0. `slots`: a Moments for each thread.
template <class T>
__device__ math::Moments chunk_moments(const Mat<const T>& x, const ColumnPlace& at, math::Moments* slots) {
  math::Moments all;
  if (at.column < x.cols)
    for (std::int64_t r = at.first; r < at.end; r += warps * loads) {
      T value[loads];
      const std::int64_t left = math::ceil_div(at.end - r, warps);
      const int count = left < loads ? static_cast<int>(left) : loads;
      for (int i = 0; i < loads; ++i)
        value[i] = i < count ? x.data[(r + i * warps) * x.stride + at.column] : T(0);
      all = math::merged(all, math::moments_of(value, count));
    }
  slots[threadIdx.x] = all;
  __syncthreads();
  if (at.warp == 0)
    for (int w = 1; w < warps; ++w) all = math::merged(all, slots[w * tile + at.lane]);
  return all;
}

/// What follows from a column's moments. Called by one thread.
template <class T>
__device__ void finish_column(const Forward<T>& f, std::int64_t c, const math::Moments& m, T* scale,
                              T* shift) {
  const double variance = m.m2 / m.count;
  const T rounded = static_cast<T>(m.mean);
  const auto map = math::norm_map<double>(m.mean, rounded, variance, f.gamma[c], f.beta[c], f.eps, f.kept);
  f.mean[c] = rounded;
  f.rstd[c] = static_cast<T>(map.rstd);
  *scale = static_cast<T>(map.scale);
  *shift = static_cast<T>(map.shift);
  f.running_mean[c] =
      static_cast<T>(math::followed(static_cast<double>(f.running_mean[c]), m.mean, f.momentum, 1));
  if (m.count > 1)
    f.running_var[c] = static_cast<T>(
        math::followed(static_cast<double>(f.running_var[c]), variance, f.momentum, m.count / (m.count - 1)));
}

/// y of the block's chunk. A Philox block decides on 8 columns of a row: a lane makes one for its share of a
/// warp's 8 rows of 32 columns, and the others ask it for their bit.
template <Activation A, bool drops, class T>
__device__ void write_chunk(const Mat<const T>& x, const Mat<T>& y, const math::DropoutStream& dropout,
                            std::int64_t row_begin, const ColumnPlace& at, T centre, T scale, T shift) {
  static_assert(loads * tile == math::warp_threads * math::dropout_columns);
  constexpr int blocks = tile / math::dropout_columns;  // of a row of the tile
  unsigned mine = 0;
  for (std::int64_t first = at.first; first < at.end; first += warps * loads) {
    if constexpr (drops) {
      const auto keep = dropout.block(row_begin + first + at.lane / blocks * warps,
                                      static_cast<std::int64_t>(blockIdx.x) * blocks + at.lane % blocks);
      mine = 0;
      for (int i = 0; i < math::dropout_columns; ++i) mine |= static_cast<unsigned>(keep.keeps(i)) << i;
    }
    T value[loads];
    for (int i = 0; i < loads; ++i) {
      const std::int64_t r = first + i * warps;
      value[i] = r < at.end && at.column < x.cols ? x.data[r * x.stride + at.column] : T(0);
    }
    for (int i = 0; i < loads; ++i) {
      bool keep = true;
      if constexpr (drops)
        keep = __shfl_sync(whole_warp, mine, i * blocks + at.lane / math::dropout_columns) >>
                   (at.lane % math::dropout_columns) &
               1u;
      const std::int64_t r = first + i * warps;
      if (r < at.end && at.column < x.cols)
        y.data[r * y.stride + at.column] =
            keep ? math::activate<A>(math::normalized(value[i], centre, scale, shift)) : T(0);
    }
  }
}

template <Activation A, bool drops, class T>
__global__ void forward_kernel(Forward<T> f) {
  math::Moments* slots = shared_memory<math::Moments>();
  const ColumnPlace at = column_place(f.x.rows, few_rows);
  const math::Moments all = chunk_moments(f.x, at, slots);
  __syncthreads();
  T* map = reinterpret_cast<T*>(slots);  // (2, tile)
  const bool inside = at.column < f.x.cols;
  if (at.warp == 0 && inside) finish_column(f, at.column, all, map + at.lane, map + tile + at.lane);
  __syncthreads();
  write_chunk<A, drops>(f.x, f.y, f.dropout, f.row_begin, at, inside ? f.mean[at.column] : T(0),
                        inside ? map[at.lane] : T(0), inside ? map[tile + at.lane] : T(0));
}

template <class T>
__global__ void moments_kernel(Mat<const T> x, std::int64_t chunk_rows, Mat<math::Moments> partials) {
  const ColumnPlace at = column_place(x.rows, chunk_rows);
  const math::Moments all = chunk_moments(x, at, shared_memory<math::Moments>());
  if (at.warp == 0 && at.column < x.cols) partials.data[blockIdx.y * partials.stride + at.column] = all;
}

template <class T>
__global__ void merge_kernel(Mat<const math::Moments> partials, Forward<T> f) {
  math::Moments* slots = shared_memory<math::Moments>();
  const ColumnPlace at = column_place(partials.rows, partials.rows);
  math::Moments all;
  if (at.column < partials.cols)
    for (std::int64_t r = at.first; r < at.end; r += warps)
      all = math::merged(all, partials.data[r * partials.stride + at.column]);
  slots[threadIdx.x] = all;
  __syncthreads();
  if (at.warp > 0 || at.column >= partials.cols) return;
  for (int w = 1; w < warps; ++w) all = math::merged(all, slots[w * tile + at.lane]);
  finish_column(f, at.column, all, f.scale + at.column, f.shift + at.column);
}

template <Activation A, bool drops, class T>
__global__ void write_kernel(Forward<T> f, std::int64_t chunk_rows) {
  const ColumnPlace at = column_place(f.x.rows, chunk_rows);
  const bool inside = at.column < f.x.cols;
  write_chunk<A, drops>(f.x, f.y, f.dropout, f.row_begin, at, inside ? f.mean[at.column] : T(0),
                        inside ? f.scale[at.column] : T(0), inside ? f.shift[at.column] : T(0));
}

template <Activation A, class T>
__global__ void infer_kernel(Mat<const T> x, const T* gamma, const T* beta, double eps, const T* mean,
                             const T* variance, Mat<T> y, std::int64_t chunk_rows) {
  const ColumnPlace at = column_place(x.rows, chunk_rows);
  if (at.column >= x.cols) return;
  const T scale = static_cast<T>(static_cast<double>(gamma[at.column]) /
                                 math::sqrt(static_cast<double>(variance[at.column]) + eps));
  write_chunk<A, false>(x, y, math::DropoutStream({}, 0), 0, at, mean[at.column], scale, beta[at.column]);
}

template <class T>
struct Backward {
  Mat<const T> dy, x, y;
  const T *gamma, *mean, *rstd;
  T kept;  // of the dropout, left out of the sums
  Mat<T> dx;
  T *dgamma, *dbeta;
};

/// Sums of dz and of dz (x - mean) over the rows of a column.
template <class T>
struct GradientSums {
  T dz = T(0), product = T(0);
  __device__ void operator+=(const GradientSums& o) {
    dz += o.dz;
    product += o.product;
  }
};

template <Activation A, class T>
__device__ T upstream(const Backward<T>& b, std::int64_t r, std::int64_t c) {
  const T dy = b.dy.data[r * b.dy.stride + c];
  if constexpr (A == Activation::identity) {
    return dy;
  } else {
    return math::backward_from_output<A>(b.y.data[r * b.y.stride + c], dy);
  }
}

/// The sum over a block's warps, in the lanes of warp 0.
template <class T>
__device__ GradientSums<T> over_warps(GradientSums<T> mine, const ColumnPlace& at, GradientSums<T>* slots) {
  slots[threadIdx.x] = mine;
  __syncthreads();
  if (at.warp == 0)
    for (int w = 1; w < warps; ++w) mine += slots[w * tile + at.lane];
  return mine;
}

/// What `loads` rows from `first` on, a row of each warp apart, bring to a column; 0 beyond its end. All are
/// loaded before any is used.
template <Activation A, class T>
__device__ void load_gradients(const Backward<T>& b, const ColumnPlace& at, std::int64_t first, T mean,
                               T (&dz)[loads], T (&deviation)[loads]) {
  for (int i = 0; i < loads; ++i) {
    const std::int64_t r = first + i * warps;
    const bool inside = r < at.end;
    dz[i] = inside ? upstream<A>(b, r, at.column) : T(0);
    deviation[i] = inside ? b.x.data[r * b.x.stride + at.column] - mean : T(0);
  }
}

template <Activation A, class T>
__device__ GradientSums<T> chunk_sums(const Backward<T>& b, const ColumnPlace& at, GradientSums<T>* slots) {
  GradientSums<T> sums;
  if (at.column < b.x.cols) {
    const T mean = b.mean[at.column];
    for (std::int64_t first = at.first; first < at.end; first += warps * loads) {
      T dz[loads], deviation[loads];
      load_gradients<A>(b, at, first, mean, dz, deviation);
      for (int i = 0; i < loads; ++i) {
        sums.dz += dz[i];
        sums.product = math::mul_add(dz[i], deviation[i], sums.product);
      }
    }
  }
  return over_warps(sums, at, slots);
}

/// Adds to the parameters' gradients and returns the factors of dx. Called by one thread of a column.
template <class T>
__device__ math::NormBackward<T> finish_sums(const Backward<T>& b, std::int64_t c,
                                             const GradientSums<T>& sums) {
  b.dbeta[c] += b.kept * sums.dz;
  b.dgamma[c] += b.kept * sums.product * b.rstd[c];
  return math::norm_backward<T>(sums.dz, sums.product, b.gamma[c], b.rstd[c], b.kept,
                                T(1) / static_cast<T>(b.x.rows));
}

template <Activation A, class T>
__device__ void write_gradient(const Backward<T>& b, const ColumnPlace& at, const math::NormBackward<T>& k) {
  const T mean = b.mean[at.column];
  for (std::int64_t first = at.first; first < at.end; first += warps * loads) {
    T dz[loads], deviation[loads];
    load_gradients<A>(b, at, first, mean, dz, deviation);
    for (int i = 0; i < loads; ++i) {
      const std::int64_t r = first + i * warps;
      if (r < at.end)
        b.dx.data[r * b.dx.stride + at.column] = math::norm_input_gradient(k, dz[i], deviation[i]);
    }
  }
}

template <Activation A, class T>
__global__ void backward_kernel(Backward<T> b) {
  GradientSums<T>* slots = shared_memory<GradientSums<T> >();
  const ColumnPlace at = column_place(b.x.rows, few_rows);
  const GradientSums<T> sums = chunk_sums<A>(b, at, slots);
  __syncthreads();
  auto* factors = reinterpret_cast<math::NormBackward<T>*>(slots);  // of the tile's columns
  const bool inside = at.column < b.x.cols;
  if (at.warp == 0 && inside) factors[at.lane] = finish_sums(b, at.column, sums);
  __syncthreads();
  if (inside) write_gradient<A>(b, at, factors[at.lane]);
}

template <Activation A, class T>
__global__ void gradient_sums_kernel(Backward<T> b, std::int64_t chunk_rows, Mat<GradientSums<T> > partials) {
  const ColumnPlace at = column_place(b.x.rows, chunk_rows);
  const GradientSums<T> sums = chunk_sums<A>(b, at, shared_memory<GradientSums<T> >());
  if (at.warp == 0 && at.column < b.x.cols) partials.data[blockIdx.y * partials.stride + at.column] = sums;
}

template <class T>
__global__ void add_sums_kernel(Mat<const GradientSums<T> > partials, Backward<T> b,
                                math::NormBackward<T>* factors) {
  const ColumnPlace at = column_place(partials.rows, partials.rows);
  GradientSums<T> sums;
  if (at.column < partials.cols)
    for (std::int64_t r = at.first; r < at.end; r += warps)
      sums += partials.data[r * partials.stride + at.column];
  sums = over_warps(sums, at, shared_memory<GradientSums<T> >());
  if (at.warp == 0 && at.column < partials.cols) factors[at.column] = finish_sums(b, at.column, sums);
}

template <Activation A, class T>
__global__ void write_gradient_kernel(Backward<T> b, const math::NormBackward<T>* factors,
                                      std::int64_t chunk_rows) {
  const ColumnPlace at = column_place(b.x.rows, chunk_rows);
  if (at.column < b.x.cols) write_gradient<A>(b, at, factors[at.column]);
}

template <Activation A, bool drops, class T>
void forward(Context& ctx, Forward<T> f) {
  constexpr const char* name = "batch_norm_forward";
  constexpr std::int64_t shared = math::column_threads * std::int64_t{sizeof(math::Moments)};
  const math::ColumnShape shape = norm_shape(f.x.rows, f.x.cols);
  if (f.x.rows <= few_rows)
    return launch(ctx, name, forward_kernel<A, drops, T>, norm_grid(shape, shared), f);
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t cols = f.x.cols;
  f.scale = ctx.workspace().take<T>(cols);
  f.shift = ctx.workspace().take<T>(cols);
  const Mat<math::Moments> partials{ctx.workspace().take<math::Moments>(shape.chunks * cols), shape.chunks,
                                    cols, cols};
  launch(ctx, name, moments_kernel<T>, norm_grid(shape, shared), f.x, shape.chunk_rows, partials);
  launch(ctx, name, merge_kernel<T>, Grid{shape.tiles, math::column_threads, shared},
         Mat<const math::Moments>{partials.data, shape.chunks, cols, cols}, f);
  launch(ctx, name, write_kernel<A, drops, T>, norm_grid(shape, 0), f, shape.chunk_rows);
}

template <Activation A, class T>
void backward(Context& ctx, const Backward<T>& b) {
  constexpr const char* name = "batch_norm_backward";
  constexpr std::int64_t shared = math::column_threads * std::int64_t{sizeof(GradientSums<T>)};
  const math::ColumnShape shape = norm_shape(b.x.rows, b.x.cols);
  if (b.x.rows <= few_rows) return launch(ctx, name, backward_kernel<A, T>, norm_grid(shape, shared), b);
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t cols = b.x.cols;
  const Mat<GradientSums<T> > partials{ctx.workspace().take<GradientSums<T> >(shape.chunks * cols),
                                       shape.chunks, cols, cols};
  auto* factors = ctx.workspace().take<math::NormBackward<T> >(cols);
  launch(ctx, name, gradient_sums_kernel<A, T>, norm_grid(shape, shared), b, shape.chunk_rows, partials);
  launch(ctx, name, add_sums_kernel<T>, Grid{shape.tiles, math::column_threads, shared},
         Mat<const GradientSums<T> >{partials.data, shape.chunks, cols, cols}, b, factors);
  launch(ctx, name, write_gradient_kernel<A, T>, norm_grid(shape, 0), b, factors, shape.chunk_rows);
}

/// 1 / (1 - p), or 1.
double kept_factor(const ops::NormEpilogue& epilogue) {
  return epilogue.dropout > 0 ? 1 / (1 - static_cast<double>(epilogue.dropout)) : 1;
}

}  // namespace

template <class T>
void batch_norm_forward(Context& ctx, Mat<const T> x, Mat<const T> gamma, Mat<const T> beta, double eps,
                        double momentum, Mat<T> running_mean, Mat<T> running_var,
                        const ops::NormEpilogue& epilogue, Mat<T> y, Mat<T> mean, Mat<T> rstd) {
  if (x.rows == 0) return;
  const Forward<T> f{x,
                     gamma.data,
                     beta.data,
                     eps,
                     momentum,
                     kept_factor(epilogue),
                     running_mean.data,
                     running_var.data,
                     mean.data,
                     rstd.data,
                     nullptr,
                     nullptr,
                     y,
                     math::DropoutStream(epilogue.key, static_cast<double>(epilogue.dropout)),
                     ctx.plan(x.rows).row_begin};
  if (epilogue.dropout > 0) return forward<Activation::relu, true>(ctx, f);
  math::with_activation(epilogue.activation, [&](auto choice) {
    if constexpr (math::from_output(choice())) forward<choice(), false>(ctx, f);
  });
}

template <class T>
void batch_norm_infer(Context& ctx, Mat<const T> x, Mat<const T> gamma, Mat<const T> beta, double eps,
                      Mat<const T> running_mean, Mat<const T> running_var, Activation activation, Mat<T> y) {
  const math::ColumnShape shape = math::column_shape(x.rows, x.cols);
  math::with_activation(activation, [&](auto choice) {
    launch(ctx, "batch_norm_infer", infer_kernel<choice(), T>, norm_grid(shape, 0), x, gamma.data, beta.data,
           eps, running_mean.data, running_var.data, y, shape.chunk_rows);
  });
}

template <class T>
void batch_norm_backward(Context& ctx, Mat<const T> dy, Mat<const T> x, Mat<const T> y, Mat<const T> gamma,
                         Mat<const T> mean, Mat<const T> rstd, const ops::NormEpilogue& epilogue, Mat<T> dx,
                         Mat<T> dgamma, Mat<T> dbeta) {
  if (x.rows == 0) return;
  const Backward<T> b{
      dy, x,           y,         gamma.data, mean.data, rstd.data, static_cast<T>(kept_factor(epilogue)),
      dx, dgamma.data, dbeta.data};
  math::with_activation(epilogue.activation, [&](auto choice) {
    if constexpr (math::from_output(choice())) backward<choice()>(ctx, b);
  });
}

template void batch_norm_forward<float>(Context&, Mat<const float>, Mat<const float>, Mat<const float>,
                                        double, double, Mat<float>, Mat<float>, const ops::NormEpilogue&,
                                        Mat<float>, Mat<float>, Mat<float>);
template void batch_norm_infer<float>(Context&, Mat<const float>, Mat<const float>, Mat<const float>, double,
                                      Mat<const float>, Mat<const float>, Activation, Mat<float>);
template void batch_norm_backward<float>(Context&, Mat<const float>, Mat<const float>, Mat<const float>,
                                         Mat<const float>, Mat<const float>, Mat<const float>,
                                         const ops::NormEpilogue&, Mat<float>, Mat<float>, Mat<float>);

}  // namespace emshap::cuda
