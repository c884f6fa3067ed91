#include "emshap/ops/gaussian_base.h"

#include "core/mat.h"
#include "cuda/launch.h"
#include "cuda/rows.cuh"
#include "math/base_shape.h"
#include "math/exp_log.h"

#define EMSHAP_BACKEND cuda
#include "ops/gaussian_base_backend.h"

// A block eliminates the covariance of one row after another, in double like the CPU and by the same
// operations. The lower triangle lies in shared memory, so that global memory sees inputs and outputs only;
// groups of base_lanes lanes work on its rows, because most of them are shorter than a warp. The covariance
// itself comes from the caches: all rows read it. What is left is the time of the barriers, two a feature,
// which other blocks of the multiprocessor fill.

namespace emshap::cuda {
namespace {

using math::triangle;

/// .5 log(variance) in float.
__device__ float log_sd_of(double variance) {
  return .5f * math::log(static_cast<float>(variance));
}

/// The row of a block; position i stands for the i-th feature of its sequence.
struct Row {
  int F, n;   ///< features, and how many positions are in use
  double* c;  ///< lower triangle of the conditional covariance
  double *mean, *x;
  double* floor;  ///< smallest pivots
  double *column, *gain;
  int *sequence, *place;  ///< feature at a position, and the position of a feature or -1

  __device__ Row(int features, char* triangles, std::int64_t triangle_bytes) : F(features), n(0) {
    mean = shared_memory<double>();
    x = mean + F;
    floor = x + F;
    column = floor + F;
    gain = column + F;
    sequence = reinterpret_cast<int*>(gain + F);
    place = sequence + F;
    c = triangle_bytes == 0 ? gain + 2 * F
                            : reinterpret_cast<double*>(triangles + blockIdx.x * triangle_bytes);
  }

  /// The sequence of a row and its inverse; all threads, a barrier at its end.
  __device__ void read_sequence(const std::int32_t* from, int count) {
    n = count;
    for (int t = static_cast<int>(threadIdx.x); t < F; t += static_cast<int>(blockDim.x)) place[t] = -1;
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) {
      sequence[i] = from[i];
      place[from[i]] = i;
    }
    __syncthreads();
  }

  /// Covariances and means (0 without `center`) in the order of the sequence; a barrier at its end.
  __device__ void gather(const Mat<const double>& cov, const double* center) {
    const int threads = static_cast<int>(blockDim.x), me = static_cast<int>(threadIdx.x);
    for (int i = me / math::base_lanes; i < n; i += threads / math::base_lanes) {
      const double* from = row_of(cov, sequence[i]);
      double* to = c + triangle(i);
      for (int j = me % math::base_lanes; j <= i; j += math::base_lanes) to[j] = from[sequence[j]];
    }
    for (int i = me; i < n; i += threads) {
      const int t = sequence[i];
      mean[i] = center == nullptr ? 0 : center[t];
      floor[i] = 1e-12 * row_of(cov, t)[t];
    }
    __syncthreads();
  }

  __device__ double variance(int i) const { return math::max(c[triangle(i) + i], floor[i]); }

  /// Positions 0 .. steps become known one after another, that of step k with surprise(k). Of the rows from
  /// `inner` on only the columns before `inner` and the diagonal are kept up. each(k, t) sees the positions
  /// t > k before they change, when column k of c is not needed any more; then all threads call
  /// done(k, variance of k), when the gains are known. Barriers within and at its end.
  template <class Surprise, class Each, class Done>
  __device__ void eliminate(int steps, int inner, const Surprise& surprise, const Each& each,
                            const Done& done) {
    const int threads = static_cast<int>(blockDim.x), me = static_cast<int>(threadIdx.x);
    const int groups = threads / math::base_lanes, group = me / math::base_lanes,
              lane = me % math::base_lanes;
    for (int k = 0; k < steps; ++k) {
      const double pivot = variance(k), inverse = 1. / pivot, away = surprise(k);
      for (int t = k + 1 + me; t < n; t += threads) {
        const double entry = c[triangle(t) + k], g = entry * inverse;
        column[t] = entry;
        gain[t] = g;
        each(k, t);
        mean[t] = math::mul_add(g, away, mean[t]);
      }
      __syncthreads();
      done(k, pivot);
      for (int j = k + 1 + group; j < n; j += groups) {
        double* row = c + triangle(j);
        const double g = gain[j];
        const int end = j < inner ? j + 1 : inner;
        for (int m = k + 1 + lane; m < end; m += math::base_lanes)
          row[m] = math::mul_add(-g, column[m], row[m]);
        if (j >= inner && lane == 0) row[j] = math::mul_add(-g, column[j], row[j]);
      }
      __syncthreads();
    }
  }
};

/// Two floats in the place of a double.
__device__ double packed(float a, float b) {
  const auto low = static_cast<std::uint32_t>(math::as_int(a)),
             high = static_cast<std::uint32_t>(math::as_int(b));
  return math::as_float(static_cast<std::int64_t>(static_cast<std::uint64_t>(high) << 32 | low));
}
__device__ float first_of(double pair) {
  return math::as_float(static_cast<std::int32_t>(math::as_int(pair) & 0xffffffff));
}
__device__ float second_of(double pair) {
  return math::as_float(static_cast<std::int32_t>(math::as_int(pair) >> 32));
}

/// Moments of position t before step k take the place of entry (t, k) of the triangle, which that step does
/// not need any more, and go to global memory at the end, line after line.
__global__ void prefix_moments_kernel(Mat<const double> mean, Mat<const double> cov, Mat<const float> x,
                                      Mat<const std::int32_t> order, Mat<const std::int32_t> count,
                                      Mat<float> mu, Mat<float> log_sd, char* triangles,
                                      std::int64_t triangle_bytes) {
  const int threads = static_cast<int>(blockDim.x), me = static_cast<int>(threadIdx.x);
  Row row(static_cast<int>(mean.cols), triangles, triangle_bytes);
  for (std::int64_t b = blockIdx.x; b < x.rows; b += gridDim.x) {
    row.read_sequence(row_of(order, b), count.data[b]);
    for (int i = me; i < row.n; i += threads) row.x[i] = row_of(x, b)[row.sequence[i]];
    row.gather(cov, mean.data);
    row.eliminate(
        row.n, row.n, [&](int k) { return row.x[k] - row.mean[k]; },
        [&](int k, int t) {
          row.c[triangle(t) + k] = packed(float(row.mean[t]), log_sd_of(row.variance(t)));
        },
        [&](int k, double pivot) {
          if (me == 0) row.c[triangle(k) + k] = packed(float(row.mean[k]), log_sd_of(pivot));
        });
    for (int i = me; i < row.F * row.F; i += threads) {
      const int t = i / row.F, k = i % row.F, at = row.place[t];
      const double pair = k <= at ? row.c[triangle(at) + k] : 0.;
      row_of(mu, b * row.F + t)[k] = first_of(pair);
      row_of(log_sd, b * row.F + t)[k] = second_of(pair);
    }
    __syncthreads();
  }
}

/// The position of a feature is its rank among the known or, behind them, the unknown ones.
__global__ void conditionals_kernel(Mat<const double> mean, Mat<const double> cov, Mat<const float> x,
                                    Mat<const float> mask, Mat<float> mu, Mat<float> log_sd, char* triangles,
                                    std::int64_t triangle_bytes) {
  const int threads = static_cast<int>(blockDim.x), me = static_cast<int>(threadIdx.x);
  const int F = static_cast<int>(mean.cols);
  Row row(F, triangles, triangle_bytes);
  row.n = F;
  for (std::int64_t b = blockIdx.x; b < x.rows; b += gridDim.x) {
    for (int t = me; t < F; t += threads) row.column[t] = row_of(mask, b)[t] > .5f ? 1 : 0;
    __syncthreads();
    int known = 0;
    for (int t = 0; t < F; ++t) known += row.column[t] > 0;
    for (int t = me; t < F; t += threads) {
      int before = 0;
      for (int s = 0; s < t; ++s) before += row.column[s] > 0;
      const bool given = row.column[t] > 0;
      const int at = given ? before : known + t - before;
      row.sequence[at] = t;
      row.place[t] = at;
      if (given) row.x[at] = row_of(x, b)[t];
    }
    __syncthreads();
    row.gather(cov, mean.data);
    row.eliminate(
        known, known, [&](int k) { return row.x[k] - row.mean[k]; }, [](int, int) {}, [](int, double) {});
    for (int t = me; t < F; t += threads) {
      const int at = row.place[t];
      const bool given = at < known;
      row_of(mu, b)[t] = given ? row_of(x, b)[t] : static_cast<float>(row.mean[at]);
      row_of(log_sd, b)[t] = given ? static_cast<float>(ops::base_known_log_sd) : log_sd_of(row.variance(at));
    }
    __syncthreads();
  }
}

__global__ void gains_kernel(Mat<const double> cov, Mat<const std::int32_t> sequence,
                             Mat<const std::int32_t> count, Mat<float> gains, Mat<float> log_sd,
                             char* triangles, std::int64_t triangle_bytes) {
  const int threads = static_cast<int>(blockDim.x), me = static_cast<int>(threadIdx.x);
  Row row(static_cast<int>(cov.cols), triangles, triangle_bytes);
  for (std::int64_t b = blockIdx.x; b < sequence.rows; b += gridDim.x) {
    row.read_sequence(row_of(sequence, b), count.data[b]);
    row.gather(cov, nullptr);
    row.eliminate(
        row.n, row.n, [](int) { return 0.; }, [](int, int) {},
        [&](int k, double pivot) {
          float* to = row_of(gains, b * row.F + k);
          for (int t = me; t < row.F; t += threads)
            to[t] = row.place[t] > k ? static_cast<float>(row.gain[row.place[t]]) : 0.f;
          if (me == 0) row_of(log_sd, b)[k] = log_sd_of(pivot);
        });
    for (int k = row.n; k < row.F; ++k)
      for (int t = me; t < row.F; t += threads) row_of(gains, b * row.F + k)[t] = 0;
    for (int k = row.n + me; k < row.F; k += threads) row_of(log_sd, b)[k] = 0;
    __syncthreads();
  }
}

inline constexpr int update_threads = 256;

/// A warp is one row of draws. The mean of the feature that becomes known is read before any is written.
__global__ void update_kernel(Mat<const float> gains, Mat<const std::int32_t> sequence,
                              Mat<const std::int32_t> position, Mat<const float> x, Mat<float> mean,
                              std::int64_t draws) {
  const int lane = static_cast<int>(threadIdx.x) % math::warp_threads;
  const std::int64_t warps = update_threads / math::warp_threads;
  for (std::int64_t r = blockIdx.x * warps + threadIdx.x / math::warp_threads; r < mean.rows;
       r += gridDim.x * warps) {
    const std::int64_t b = r / draws, k = position.data[b];
    if (k < 0) continue;
    const std::int32_t t = row_of(sequence, b)[k];
    const float* g = row_of(gains, b * mean.cols + k);
    float* m = row_of(mean, r);
    const float surprise = row_of(x, r)[t] - m[t];
    __syncwarp();
    for (std::int64_t i = lane; i < mean.cols; i += math::warp_threads)
      m[i] = math::mul_add(g[i], surprise, m[i]);
  }
}

/// Starts one of the kernels above with the triangles where they fit.
template <class... Params, class... Args>
void launch_rows(Context& ctx, const char* name, void (*kernel)(Params...), std::int64_t rows,
                 std::int64_t features, const Args&... args) {
  int most_shared = 0;
  EMSHAP_CUDA_CHECK(
      cudaDeviceGetAttribute(&most_shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, ctx.device().index));
  const math::BaseShape shape = math::base_shape(rows, features, most_shared);
  const Workspace::Scope scope(ctx.workspace());
  char* triangles = nullptr;
  if (shape.triangle_bytes > 0) triangles = ctx.workspace().take<char>(shape.blocks * shape.triangle_bytes);
  launch(ctx, name, kernel, Grid{shape.blocks, shape.threads, shape.shared_bytes}, args..., triangles,
         shape.triangle_bytes);
}

}  // namespace

template <class T>
void base_prefix_moments(Context& ctx, Mat<const double> mean, Mat<const double> cov, Mat<const T> x,
                         Mat<const std::int32_t> order, Mat<const std::int32_t> count, Mat<T> mu,
                         Mat<T> log_sd) {
  launch_rows(ctx, "base_prefix_moments", prefix_moments_kernel, x.rows, mean.cols, mean, cov, x, order,
              count, mu, log_sd);
}

template <class T>
void base_conditionals(Context& ctx, Mat<const double> mean, Mat<const double> cov, Mat<const T> x,
                       Mat<const T> mask, Mat<T> mu, Mat<T> log_sd) {
  launch_rows(ctx, "base_conditionals", conditionals_kernel, x.rows, mean.cols, mean, cov, x, mask, mu,
              log_sd);
}

template <class T>
void base_gains(Context& ctx, Mat<const double> cov, Mat<const std::int32_t> sequence,
                Mat<const std::int32_t> count, Mat<T> gains, Mat<T> log_sd) {
  launch_rows(ctx, "base_gains", gains_kernel, sequence.rows, cov.cols, cov, sequence, count, gains, log_sd);
}

template <class T>
void base_update(Context& ctx, Mat<const T> gains, Mat<const std::int32_t> sequence,
                 Mat<const std::int32_t> position, Mat<const T> x, Mat<T> mean) {
  if (sequence.rows == 0) return;
  launch(ctx, "base_update", update_kernel,
         Grid{math::pointwise_blocks(mean.rows * math::warp_threads), update_threads}, gains, sequence,
         position, x, mean, mean.rows / sequence.rows);
}

template void base_prefix_moments<float>(Context&, Mat<const double>, Mat<const double>, Mat<const float>,
                                         Mat<const std::int32_t>, Mat<const std::int32_t>, Mat<float>,
                                         Mat<float>);
template void base_conditionals<float>(Context&, Mat<const double>, Mat<const double>, Mat<const float>,
                                       Mat<const float>, Mat<float>, Mat<float>);
template void base_gains<float>(Context&, Mat<const double>, Mat<const std::int32_t>, Mat<const std::int32_t>,
                                Mat<float>, Mat<float>);
template void base_update<float>(Context&, Mat<const float>, Mat<const std::int32_t>, Mat<const std::int32_t>,
                                 Mat<const float>, Mat<float>);

}  // namespace emshap::cuda
