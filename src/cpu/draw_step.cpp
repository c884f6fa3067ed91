#include "emshap/ops/draw_step.h"

#include "cpu/gru_row.h"
#include "cpu/pairs.h"
#include "cpu/product.h"
#include "emshap/ops/density.h"
#include "math/mixture.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/draw_step_backend.h"

namespace emshap::cpu::EMSHAP_ISA {
namespace {

/// Pairs whose head is computed together: whole register tiles and whole packs.
constexpr std::int64_t block_pairs = 128;
/// Pairs whose gates are: those of 64 units stay in an L1 cache.
constexpr std::int64_t gate_pairs = 48;

template <class T>
EMSHAP_INLINE Mat<const T> in(const Mat<T>& m) {
  return {m.data, m.rows, m.cols, m.stride};
}

/// y = relu(y + mean m_0), y holding the rest of the sum.
template <class T>
EMSHAP_INLINE void add_mean(const T* mean, const T* m0, const Mat<T>& y) {
  for_each_column_group<T, 4>(0, y.cols, [&](auto group) EMSHAP_INLINE_LAMBDA {
    NativePack<T> a[group.packs];
#pragma GCC unroll 4
    for (int g = 0; g < group.packs; ++g) a[g] = group.pack(g).load(m0);
    for (std::int64_t p = 0; p < y.rows; ++p) {
      T* row = y.row(p);
      const NativePack<T> mu(mean[p]);
#pragma GCC unroll 4
      for (int g = 0; g < group.packs; ++g) {
        const auto at = group.pack(g);
        const auto z = math::mul_add(mu, a[g], at.load(row));
        at.store(row, math::select(z < NativePack<T>(T(0)), NativePack<T>(T(0)), z));  // keeps NaN
      }
    }
  });
}

}  // namespace

template <class T>
void draw_from_state(Context& ctx, Mat<const T> h, const T* mean, double log_sd, Mat<const T> state,
                     Mat<const T> moments, const T* feature, Mat<const T> hidden, Mat<const T> out_weights,
                     const T* bias, const T* uniform, T* x, T* log_q, std::int64_t pairs) {
  using V = NativePack<T>;
  Workspace& workspace = ctx.workspace();
  const Workspace::Scope scope(workspace);
  const std::int64_t H = h.cols, O = out_weights.cols;
  const int C = static_cast<int>(O / 3);
  const bool shared = h.rows == 1;
  const std::int64_t states = shared ? 1 : pairs;
  T* fixed = workspace.take<T>(H);  // what all pairs add: log_sd m_1 + e
  const V s(static_cast<T>(log_sd));
  for_each_pack<T>(H, [&](auto at) EMSHAP_INLINE_LAMBDA {
    at.store(fixed, math::mul_add(s, at.load(moments.row(1)), at.load(feature)));
  });
  const std::int64_t most = states < block_pairs ? states : block_pairs;
  T *first = workspace.take<T>(most * H), *second = workspace.take<T>(most * H),
    *head = workspace.take<T>(most * O);
  V *packs = take_packs<T>(ctx, O), *mixture = take_packs<T>(ctx, O), *work = take_packs<T>(ctx, 3 * C);
  for (std::int64_t begin = 0; begin < states; begin += block_pairs) {
    const std::int64_t n = states - begin < block_pairs ? states - begin : block_pairs;
    const Mat<T> u0{first, n, H, H}, u{second, n, H, H}, out{head, n, O, O};
    ProductEpilogue<T> start;
    start.bias = fixed;
    product<T>(workspace, Mat<const T>{h.row(begin), n, H, h.stride}, state, start, u0);
    add_mean(mean + begin, moments.row(0), u0);
    ProductEpilogue<T> residual;
    residual.relu = true;
    residual.plus = first;
    residual.plus_stride = H;
    product<T>(workspace, in(u0), hidden, residual, u);
    ProductEpilogue<T> last;
    last.bias = bias;
    product<T>(workspace, in(u), out_weights, last, out);
    const std::int64_t drawn = shared ? pairs : n;  // draws that these states serve
    for_each_pair_block<T>(drawn, [&](auto block) EMSHAP_INLINE_LAMBDA {
      block.load_rows(in(out), shared ? pairs : 1, packs);
      T mu_of[block.lanes] = {}, u_of[block.lanes];
      for (int i = 0; i < block.lanes; ++i) {
        const std::int64_t p = begin + block.first + (i < block.count ? i : 0);
        mu_of[i] = mean[shared ? 0 : p];
        u_of[i] = uniform[p];
      }
      const V mu = V::load(mu_of);
      const V y = math::mixture_draw_from_head(C, packs, mu, s, ops::mixture_min_scale, V::load(u_of), work);
      T y_of[block.lanes], log_of[block.lanes];
      y.store(y_of);
      if (log_q != nullptr) {
        math::mixture_from_head(C, packs, mu, s, ops::mixture_min_scale, mixture);
        math::mixture_log_density(C, mixture, y, work).store(log_of);
      }
      for (int i = 0; i < block.count; ++i) {
        x[begin + block.first + i] = y_of[i];
        if (log_q != nullptr) log_q[begin + block.first + i] += log_of[i];
      }
    });
  }
}

template <class T>
void advance_state(Context& ctx, Mat<const T> h, const T* value, const T* wa, Mat<const T> wb,
                   const std::int32_t* slot, Mat<const T> weight, const T* bias, Mat<T> h_next) {
  Workspace& workspace = ctx.workspace();
  const Workspace::Scope scope(workspace);
  const std::int64_t pairs = h_next.rows, H = h_next.cols;
  const bool shared = h.rows == 1;
  const std::int64_t states = shared ? 1 : pairs, most = states < gate_pairs ? states : gate_pairs;
  T* gates = workspace.take<T>(most * 3 * H);
  T* before = shared ? workspace.take<T>(H) : nullptr;  // h_next may be h
  if (shared)
    for (std::int64_t i = 0; i < H; ++i) before[i] = h.data[i];
  ProductEpilogue<T> e;
  e.bias = bias;
  for (std::int64_t begin = 0; begin < states; begin += gate_pairs) {
    const std::int64_t n = states - begin < gate_pairs ? states - begin : gate_pairs;
    product<T>(workspace, Mat<const T>{h.row(begin), n, H, h.stride}, weight, e, {gates, n, 3 * H, 3 * H});
    const std::int64_t advanced = shared ? pairs : n;
    for (std::int64_t i = 0; i < advanced; ++i) {
      const std::int64_t p = begin + i;
      const TokenInput<T> input{NativePack<T>(value[p]), wa, wb.row(slot == nullptr ? 0 : slot[p]), H};
      forward_row<T>(input, shared ? gates : gates + i * 3 * H, shared ? before : h.row(p), H, h_next.row(p),
                     static_cast<T*>(nullptr));
    }
  }
}

#define EMSHAP_INSTANTIATE(T)                                                                            \
  template void draw_from_state<T>(Context&, Mat<const T>, const T*, double, Mat<const T>, Mat<const T>, \
                                   const T*, Mat<const T>, Mat<const T>, const T*, const T*, T*, T*,     \
                                   std::int64_t);                                                        \
  template void advance_state<T>(Context&, Mat<const T>, const T*, const T*, Mat<const T>,               \
                                 const std::int32_t*, Mat<const T>, const T*, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
