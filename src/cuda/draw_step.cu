#include "emshap/ops/draw_step.h"

#include "cuda/gru_unit.cuh"
#include "cuda/row_tile.cuh"
#include "cuda/set_head.cuh"
#include "emshap/ops/density.h"
#include "math/mixture.h"

#define EMSHAP_BACKEND cuda
#include "ops/draw_step_backend.h"

// Products by cuBLAS, all between two of them in one pass. Drawing many features of many rows is the fused
// sampler's work; these ops are the same steps one by one.
namespace emshap::cuda {
namespace {

/// y = relu(y + mean m_0 + log_sd m_1 + e), y holding the state's share.
template <class T>
struct AddMoments {
  const T* mean;
  T log_sd;
  Mat<const T> moments;
  const T* feature;
  Mat<T> y;
  __device__ void operator()(std::int64_t p, std::int64_t i) const {
    const T fixed = math::mul_add(log_sd, row_of(moments, 1)[i], feature[i]);
    T& to = row_of(y, p)[i];
    to = head_relu(math::mul_add(mean[p], row_of(moments, 0)[i], to + fixed));
  }
};

/// A thread draws for one pair; see row_tile.cuh.
struct DrawPairs {
  Mat<const float> head;  ///< without bias; one row where pairs share their state
  const float *bias, *mean;
  float log_sd;
  const float* uniform;
  float *x, *log_q;

  __device__ std::int64_t state_of(std::int64_t p) const { return head.rows == 1 ? 0 : p; }
  __device__ void load(const RowTile& tile) const {
    tile.for_each(head.cols, 0, [&](std::int64_t p, std::int64_t c, float& entry) {
      entry = row_of(head, state_of(p))[c] + bias[c];
    });
  }
  __device__ void row(std::int64_t p, float* own) const {
    const int C = static_cast<int>(head.cols / 3);
    const float mu = mean[state_of(p)];
    float* const work = own + head.cols;
    const float y =
        math::mixture_draw_from_head(C, own, mu, log_sd, ops::mixture_min_scale, uniform[p], work);
    x[p] = y;
    if (log_q == nullptr) return;
    math::mixture_from_head(C, own, mu, log_sd, ops::mixture_min_scale, work);
    log_q[p] += math::mixture_log_density(C, work, y, work + head.cols);
  }
  __device__ void store(const RowTile&) const {}
};

template <class T>
struct Advance {
  Mat<const T> h, gh;  ///< one row where pairs share their state; gh without bias
  const T *bias, *value, *wa;
  Mat<const T> wb;
  const std::int32_t* slot;
  Mat<T> h_next;
  __device__ void operator()(std::int64_t p, std::int64_t i) const {
    const std::int64_t H = h_next.cols, n = h.rows == 1 ? 0 : p;
    const T *g = row_of(gh, n) + i, *b = bias + i;
    const auto gates =
        gates_of<T>(token_input(value[p], wa + i, row_of(wb, slot == nullptr ? 0 : slot[p]) + i, H),
                    {g[0] + b[0], g[H] + b[H], g[2 * H] + b[2 * H]});
    row_of(h_next, p)[i] = math::gru_state(gates, row_of(h, n)[i]);
  }
};

template <class T>
struct CopyState {
  const T* from;
  T* to;
  __device__ void operator()(std::int64_t, std::int64_t i) const { to[i] = from[i]; }
};

}  // namespace

template <class T>
void draw_from_state(Context& ctx, Mat<const T> h, const T* mean, double log_sd, Mat<const T> state,
                     Mat<const T> moments, const T* feature, Mat<const T> hidden, Mat<const T> out_weights,
                     const T* bias, const T* uniform, T* x, T* log_q, std::int64_t pairs) {
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t N = h.rows, H = h.cols, O = out_weights.cols;
  const T s = static_cast<T>(log_sd);
  const auto take = [&](std::int64_t cols) {
    return Mat<T>{ctx.workspace().take<T>(N * cols), N, cols, cols};
  };
  const Mat<T> first = take(H), second = take(H), head = take(O);
  product(ctx, {h}, {state}, false, first);
  pointwise(ctx, "draw_from_state, first layer", N, H, AddMoments<T>{mean, s, moments, feature, first});
  second_layer(ctx, in(first), hidden, second);
  product(ctx, {in(second)}, {out_weights}, false, head);
  row_tiles(ctx, "draw_from_state", pairs, O + O + O / 3,
            DrawPairs{in(head), bias, mean, s, uniform, x, log_q});
}

template <class T>
void advance_state(Context& ctx, Mat<const T> h, const T* value, const T* wa, Mat<const T> wb,
                   const std::int32_t* slot, Mat<const T> weight, const T* bias, Mat<T> h_next) {
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t N = h.rows, P = h_next.rows, H = h_next.cols;
  if (N == 1 && P > 1) {  // h_next may be h, whose only row all pairs read
    T* before = ctx.workspace().take<T>(H);
    pointwise(ctx, "advance_state, copy", 1, H, CopyState<T>{h.data, before});
    h = {before, 1, H, H};
  }
  const Mat<T> gh{ctx.workspace().take<T>(N * 3 * H), N, 3 * H, 3 * H};
  product(ctx, {h}, {weight}, false, gh);
  pointwise(ctx, "advance_state", P, H, Advance<T>{h, in(gh), bias, value, wa, wb, slot, h_next});
}

template void draw_from_state<float>(Context&, Mat<const float>, const float*, double, Mat<const float>,
                                     Mat<const float>, const float*, Mat<const float>, Mat<const float>,
                                     const float*, const float*, float*, float*, std::int64_t);
template void advance_state<float>(Context&, Mat<const float>, const float*, const float*, Mat<const float>,
                                   const std::int32_t*, Mat<const float>, const float*, Mat<float>);

}  // namespace emshap::cuda
