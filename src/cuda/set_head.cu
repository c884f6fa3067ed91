#include "emshap/ops/set_head.h"

#include "cuda/columns.cuh"
#include "cuda/reduce.cuh"
#include "cuda/set_head.cuh"

#define EMSHAP_BACKEND cuda
#include "ops/set_head_backend.h"

namespace emshap::cuda {
namespace {

/// u0 = relu(state[index] + mean m_0 + log_sd m_1 + e): 8 bytes a unit, as neighbouring lanes read
/// neighbouring units of a state; the rest comes from the caches.
template <class T>
struct FirstLayer {
  const std::int32_t* index;
  const T *mean, *log_sd;
  Mat<const T> moments;
  const T* feature;
  Mat<const T> state;
  Mat<T> u0;
  __device__ void operator()(std::int64_t p, std::int64_t i) const {
    const T start = row_of(state, index[p])[i] + feature[i];
    const T z =
        math::mul_add(mean[p], row_of(moments, 0)[i], math::mul_add(log_sd[p], row_of(moments, 1)[i], start));
    row_of(u0, p)[i] = head_relu(z);
  }
};

template <class T>
struct AddBias {
  const T* bias;
  Mat<T> y;
  __device__ void operator()(std::int64_t r, std::int64_t c) const { row_of(y, r)[c] += bias[c]; }
};

/// u = du where u > u0, else 0: the gradient of what relu let through.
template <class T>
struct WhereGrown {
  Mat<const T> du, u0;
  Mat<T> u;
  __device__ void operator()(std::int64_t p, std::int64_t i) const {
    T& to = row_of(u, p)[i];
    to = to > row_of(u0, p)[i] ? row_of(du, p)[i] : T(0);
  }
};

/// The first layer's backward: du becomes dz, du where u0 > 0, and the block's sums of mean dz, log_sd dz and
/// dz over its chunk of pairs go to `partial` (chunks, 3, H). Rows of a warp ascending, then warps.
template <class T>
struct FirstLayerSums {
  const T *mean, *log_sd;
  Mat<const T> u0;
  Mat<T> du;
  std::int64_t chunk_rows, chunks;
  T* partial;
};
template <class T>
__global__ void __launch_bounds__(math::column_threads) first_layer_sums_kernel(FirstLayerSums<T> s) {
  const ColumnPlace at = column_place(s.du.rows, s.chunk_rows);
  const std::int64_t H = s.du.cols, unit = at.column;
  T sum[3] = {T(0), T(0), T(0)};
  if (unit < H)
    for (std::int64_t p = at.first; p < at.end; p += math::column_warps) {
      T& to = row_of(s.du, p)[unit];
      const T dz = row_of(s.u0, p)[unit] > T(0) ? to : T(0);
      to = dz;
      sum[0] = math::mul_add(s.mean[p], dz, sum[0]);
      sum[1] = math::mul_add(s.log_sd[p], dz, sum[1]);
      sum[2] += dz;
    }
  T* slots = shared_memory<T>();  // (warps, 3, 32)
  for (int k = 0; k < 3; ++k) slots[(at.warp * 3 + k) * math::warp_threads + at.lane] = sum[k];
  __syncthreads();
  if (at.warp >= 3 || unit >= H) return;
  T all(0);
  for (int w = 0; w < math::column_warps; ++w) all += slots[(w * 3 + at.warp) * math::warp_threads + at.lane];
  s.partial[(blockIdx.y * 3 + at.warp) * H + unit] = all;
}

template <class T>
struct AddChunks {
  const T* partial;
  std::int64_t chunks;
  Mat<T> dmoments;
  T* dfeature;
  __device__ void operator()(std::int64_t k, std::int64_t i) const {
    T sum(0);
    for (std::int64_t c = 0; c < chunks; ++c) sum += partial[(c * 3 + k) * dmoments.cols + i];
    T& to = k < 2 ? row_of(dmoments, k)[i] : dfeature[i];
    to += sum;
  }
};

// dstate[index] += dz. Nearly all states of a call belong to one pair, so that pairs look for others with
// their state: integer atomics, which have no order, find the first and the last pair of each state, and the
// first one adds them all. Only where more than one pair has a state are numbers between the two searched.
struct Ends {
  long long *last, *before_first;  ///< of a state: last pair + 1, and pairs - first pair
};
struct ForgetEnds {
  const std::int32_t* index;
  Ends ends;
  __device__ void operator()(std::int64_t p, std::int64_t) const {
    ends.last[index[p]] = 0;
    ends.before_first[index[p]] = 0;
  }
};
struct FindEnds {
  const std::int32_t* index;
  Ends ends;
  std::int64_t pairs;
  __device__ void operator()(std::int64_t p, std::int64_t) const {
    atomicMax(ends.last + index[p], static_cast<long long>(p + 1));
    atomicMax(ends.before_first + index[p], static_cast<long long>(pairs - p));
  }
};

inline constexpr int scatter_threads = 256;

/// A warp is a pair, its lanes units.
template <class T>
__global__ void scatter_states_kernel(const std::int32_t* index, Ends ends, Mat<const T> dz, Mat<T> dstate) {
  const int lane = static_cast<int>(threadIdx.x) % math::warp_threads;
  constexpr std::int64_t warps = scatter_threads / math::warp_threads;
  for (std::int64_t p = blockIdx.x * warps + threadIdx.x / math::warp_threads; p < dz.rows;
       p += gridDim.x * warps) {
    const std::int32_t n = index[p];
    if (dz.rows - ends.before_first[n] != p) continue;
    const std::int64_t end = ends.last[n];
    for (std::int64_t column = 0; column < dz.cols; column += math::warp_threads) {
      const std::int64_t i = column + lane;
      T sum = i < dz.cols ? row_of(dz, p)[i] : T(0);
      for (std::int64_t begin = p + 1; begin < end; begin += math::warp_threads) {
        const bool same = begin + lane < end && index[begin + lane] == n;
        const unsigned found = __ballot_sync(whole_warp, same);
        if (found == 0 || i >= dz.cols) continue;
        for (int k = 0; k < math::warp_threads; ++k)
          if (found >> k & 1u) sum += row_of(dz, begin + k)[i];
      }
      if (i < dz.cols) row_of(dstate, n)[i] += sum;
    }
  }
}

}  // namespace

template <class T>
void set_head_forward(Context& ctx, const std::int32_t* index, const T* mean, const T* log_sd,
                      Mat<const T> moments, const T* feature, Mat<const T> hidden, Mat<const T> out_weights,
                      const T* bias, Mat<const T> state, Mat<T> u0, Mat<T> u, Mat<T> out) {
  const Workspace::Scope scope(ctx.workspace());
  Mat<T> first = u0;
  if (u0.data == u.data)  // nothing is kept
    first = {ctx.workspace().take<T>(u.rows * u.cols), u.rows, u.cols, u.cols};
  pointwise(ctx, "set_head_forward, first layer", u.rows, u.cols,
            FirstLayer<T>{index, mean, log_sd, moments, feature, state, first});
  second_layer(ctx, in(first), hidden, u);
  product(ctx, {in(u)}, {out_weights}, false, out);
  pointwise(ctx, "set_head_forward, bias", out.rows, out.cols, AddBias<T>{bias, out});
}

template <class T>
void set_head_backward(Context& ctx, const std::int32_t* index, const T* mean, const T* log_sd,
                       Mat<const T> hidden_t, Mat<const T> out_t, Mat<const T> dout, Mat<T> u0, Mat<T> u,
                       Mat<T> dstate, Mat<T> dmoments, T* dfeature, Mat<T> dhidden, Mat<T> dout_weights,
                       T* dbias) {
  const std::int64_t P = u.rows, H = u.cols;
  if (P == 0) return;
  const Workspace::Scope scope(ctx.workspace());
  const Mat<T> du{ctx.workspace().take<T>(P * H), P, H, H};
  sum_columns(ctx, "set_head_backward, bias", dout, Mat<T>{dbias, 1, dout.cols, dout.cols});
  product(ctx, transposed(in(u)), {dout}, true, dout_weights);
  product(ctx, {dout}, {out_t}, false, du);
  pointwise(ctx, "set_head_backward, second layer", P, H, WhereGrown<T>{in(du), in(u0), u});
  product(ctx, transposed(in(u0)), {in(u)}, true, dhidden);
  product(ctx, {in(u)}, {hidden_t}, true, du);

  const math::ColumnShape shape = math::column_shape(P, H);
  T* partial = ctx.workspace().take<T>(shape.chunks * 3 * H);
  launch(ctx, "set_head_backward, first layer", first_layer_sums_kernel<T>,
         Grid{shape.tiles, math::column_threads, math::column_threads * 3 * std::int64_t{sizeof(T)},
              shape.chunks},
         FirstLayerSums<T>{mean, log_sd, in(u0), du, shape.chunk_rows, shape.chunks, partial});
  pointwise(ctx, "set_head_backward, sums", 3, H, AddChunks<T>{partial, shape.chunks, dmoments, dfeature});

  const Ends ends{ctx.workspace().take<long long>(dstate.rows), ctx.workspace().take<long long>(dstate.rows)};
  pointwise(ctx, "set_head_backward, forget", P, 1, ForgetEnds{index, ends});
  pointwise(ctx, "set_head_backward, find", P, 1, FindEnds{index, ends, P});
  launch(ctx, "set_head_backward, states", scatter_states_kernel<T>,
         Grid{math::pointwise_blocks(P * math::warp_threads), scatter_threads}, index, ends, in(du), dstate);
}

template void set_head_forward<float>(Context&, const std::int32_t*, const float*, const float*,
                                      Mat<const float>, const float*, Mat<const float>, Mat<const float>,
                                      const float*, Mat<const float>, Mat<float>, Mat<float>, Mat<float>);
template void set_head_backward<float>(Context&, const std::int32_t*, const float*, const float*,
                                       Mat<const float>, Mat<const float>, Mat<const float>, Mat<float>,
                                       Mat<float>, Mat<float>, Mat<float>, float*, Mat<float>, Mat<float>,
                                       float*);

}  // namespace emshap::cuda
