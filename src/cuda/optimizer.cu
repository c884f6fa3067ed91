#include "emshap/ops/optimizer.h"

#include "core/mat.h"
#include "cuda/quad.cuh"
#include "cuda/total.cuh"
#include "math/adam.h"

#define EMSHAP_BACKEND cuda
#include "ops/optimizer_backend.h"

namespace emshap::cuda {
namespace {

template <class T>
struct AdamBuffers {
  const T *gradient, *scale, *decay_mask;  // scale: one factor or null; decay_mask: null where all decay
  T *w, *m, *v;
};

template <class T>
__device__ void adam_one(const math::AdamFactors<T>& f, T scale, const AdamBuffers<T>& b, std::int64_t i) {
  T w = b.w[i], m = b.m[i], v = b.v[i];
  math::adam_element(f, scale * b.gradient[i], b.decay_mask != nullptr ? b.decay_mask[i] : T(1), w, m, v);
  b.w[i] = w;
  b.m[i] = m;
  b.v[i] = v;
}

/// The whole step in one launch, each buffer read and written once: 28 bytes an element, 32 with a mask.
/// The first 4 `quads` elements go four at a time. The factor is read here, where clip_scale has left it.
template <class T>
__global__ void adam_kernel(std::int64_t n, std::int64_t quads, math::AdamFactors<T> f, AdamBuffers<T> b) {
  const T scale = b.scale != nullptr ? *b.scale : T(1);
  if (scale == T(0)) return;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (std::int64_t q = first; q < quads; q += step) {
    const std::int64_t i = 4 * q;
    const Quad g = load_quad(b.gradient + i);
    Quad w = load_quad(b.w + i), m = load_quad(b.m + i), v = load_quad(b.v + i);
    Quad decays{{1, 1, 1, 1}};
    if (b.decay_mask != nullptr) decays = load_quad(b.decay_mask + i);
    for (int k = 0; k < 4; ++k)
      math::adam_element(f, scale * g.at[k], decays.at[k], w.at[k], m.at[k], v.at[k]);
    store_quad(b.w + i, w);
    store_quad(b.m + i, m);
    store_quad(b.v + i, v);
  }
  for (std::int64_t i = 4 * quads + first; i < n; i += step) adam_one(f, scale, b, i);
}

template <class T>
struct StoreClip {
  double max_norm;
  T *norm, *scale;
  __device__ void operator()(double squares) const {
    const double length = math::sqrt(squares);
    *norm = static_cast<T>(length);
    *scale = static_cast<T>(math::clip_factor(length, max_norm));
  }
};

template <class T>
struct Average {
  T keep, take;
  const T* w;
  T* average;
  __device__ void operator()(std::int64_t, std::int64_t i) const {
    average[i] = math::mul_add(keep, average[i], take * w[i]);
  }
};

}  // namespace

template <class T>
void adam_step(Context& ctx, const math::AdamFactors<double>& factors, Mat<const T> gradient,
               Mat<const T> gradient_scale, Mat<const T> decay_mask, Mat<T> w, Mat<T> m, Mat<T> v) {
  const std::int64_t n = w.cols;
  const bool aligned = quad_aligned(gradient.data) && quad_aligned(decay_mask.data) && quad_aligned(w.data) &&
                       quad_aligned(m.data) && quad_aligned(v.data);
  const std::int64_t quads = aligned ? n / 4 : 0;
  launch(ctx, "adam_step", adam_kernel<T>,
         Grid{pointwise_blocks(aligned ? math::ceil_div(n, 4) : n), pointwise_threads}, n, quads,
         math::convert_factors<T>(factors),
         AdamBuffers<T>{gradient.data, gradient_scale.data, decay_mask.data, w.data, m.data, v.data});
}

template <class T>
void clip_scale(Context& ctx, Mat<const T> gradient, double max_norm, Mat<T> norm, Mat<T> scale) {
  total(ctx, "clip_scale", 1, gradient.cols, Square<T>{gradient.data},
        StoreClip<T>{max_norm, norm.data, scale.data});
}

template <class T>
void ema_update(Context& ctx, double decay, Mat<const T> w, Mat<T> average) {
  pointwise(ctx, "ema_update", 1, w.cols,
            Average<T>{static_cast<T>(decay), static_cast<T>(1 - decay), w.data, average.data});
}

template void adam_step<float>(Context&, const math::AdamFactors<double>&, Mat<const float>, Mat<const float>,
                               Mat<const float>, Mat<float>, Mat<float>, Mat<float>);
template void clip_scale<float>(Context&, Mat<const float>, double, Mat<float>, Mat<float>);
template void ema_update<float>(Context&, double, Mat<const float>, Mat<float>);

}  // namespace emshap::cuda
