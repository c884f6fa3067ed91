#include "emshap/ops/set_head.h"

#include "cpu/columns.h"
#include "cpu/product.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/set_head_backend.h"

namespace emshap::cpu::EMSHAP_ISA {
namespace {

/// Pairs that go through all passes together, so that their rows stay near; long enough for sums over pairs.
constexpr std::int64_t block_pairs = 96;

template <class T>
EMSHAP_INLINE Mat<T> block_rows(const Mat<T>& m, std::int64_t begin, std::int64_t count) {
  return {m.row(begin), count, m.cols, m.stride};
}

/// y = relu(state[index] + mean m_0 + log_sd m_1 + e)
template <class T>
EMSHAP_INLINE void first_layer(const std::int32_t* index, const T* mean, const T* log_sd,
                               const Mat<const T>& moments, const T* feature, const Mat<const T>& state,
                               const Mat<T>& y) {
  const T *m0 = moments.row(0), *m1 = moments.row(1);
  for_each_column_group<T, 4>(0, y.cols, [&](auto group) EMSHAP_INLINE_LAMBDA {
    NativePack<T> a[group.packs], b[group.packs], e[group.packs];
#pragma GCC unroll 4
    for (int g = 0; g < group.packs; ++g) {
      a[g] = group.pack(g).load(m0);
      b[g] = group.pack(g).load(m1);
      e[g] = group.pack(g).load(feature);
    }
    for (std::int64_t p = 0; p < y.rows; ++p) {
      const T* from = state.row(index[p]);
      T* to = y.row(p);
      const NativePack<T> mu(mean[p]), s(log_sd[p]);
#pragma GCC unroll 4
      for (int g = 0; g < group.packs; ++g) {
        const auto at = group.pack(g);
        const auto z = math::mul_add(mu, a[g], math::mul_add(s, b[g], at.load(from) + e[g]));
        at.store(to, math::select(z < NativePack<T>(T(0)), NativePack<T>(T(0)), z));  // keeps NaN
      }
    }
  });
}

/// y = x where u > u0, else 0; y may be u.
template <class T>
EMSHAP_INLINE void where_grown(const Mat<T>& x, const Mat<T>& u0, const Mat<T>& u, const Mat<T>& y) {
  for (std::int64_t p = 0; p < y.rows; ++p) {
    const T *from = x.row(p), *low = u0.row(p), *high = u.row(p);
    T* to = y.row(p);
    for_each_pack<T>(y.cols, [&](auto at) EMSHAP_INLINE_LAMBDA {
      at.store(to, math::select(at.load(high) > at.load(low), at.load(from), NativePack<T>(T(0))));
    });
  }
}

/// dstate[index] += dz, dfeature += sum dz, dmoments += sums of mean dz and log_sd dz; dz is du where u0 > 0.
template <class T>
EMSHAP_INLINE void first_layer_backward(const std::int32_t* index, const T* mean, const T* log_sd,
                                        const Mat<T>& du, const Mat<T>& u0, const Mat<T>& dstate,
                                        const Mat<T>& dmoments, T* dfeature) {
  T *m0 = dmoments.row(0), *m1 = dmoments.row(1);
  for_each_column_group<T, 4>(0, du.cols, [&](auto group) EMSHAP_INLINE_LAMBDA {
    NativePack<T> a[group.packs], b[group.packs], e[group.packs];
    for (std::int64_t p = 0; p < du.rows; ++p) {
      const T *from = du.row(p), *gate = u0.row(p);
      T* to = dstate.row(index[p]);
      const NativePack<T> mu(mean[p]), s(log_sd[p]);
#pragma GCC unroll 4
      for (int g = 0; g < group.packs; ++g) {
        const auto at = group.pack(g);
        const auto dz = math::select(at.load(gate) > NativePack<T>(T(0)), at.load(from), NativePack<T>(T(0)));
        at.store(to, at.load(to) + dz);
        e[g] += dz;
        a[g] = math::mul_add(mu, dz, a[g]);
        b[g] = math::mul_add(s, dz, b[g]);
      }
    }
#pragma GCC unroll 4
    for (int g = 0; g < group.packs; ++g) {
      const auto at = group.pack(g);
      at.store(m0, at.load(m0) + a[g]);
      at.store(m1, at.load(m1) + b[g]);
      at.store(dfeature, at.load(dfeature) + e[g]);
    }
  });
}

template <class T>
EMSHAP_INLINE void add_column_sums_to(const Mat<const T>& x, T* y) {
  for_each_column_group<T, 4>(0, x.cols, [&](auto group) EMSHAP_INLINE_LAMBDA {
    NativePack<T> sum[group.packs];
    for (std::int64_t r = 0; r < x.rows; ++r) {
#pragma GCC unroll 4
      for (int g = 0; g < group.packs; ++g) sum[g] += group.pack(g).load(x.row(r));
    }
#pragma GCC unroll 4
    for (int g = 0; g < group.packs; ++g) group.pack(g).store(y, group.pack(g).load(y) + sum[g]);
  });
}

template <class T>
EMSHAP_INLINE Mat<const T> in(const Mat<T>& m) {
  return {m.data, m.rows, m.cols, m.stride};
}

}  // namespace

template <class T>
void set_head_forward(Context& ctx, const std::int32_t* index, const T* mean, const T* log_sd,
                      Mat<const T> moments, const T* feature, Mat<const T> hidden, Mat<const T> out_weights,
                      const T* bias, Mat<const T> state, Mat<T> u0, Mat<T> u, Mat<T> out) {
  Workspace& workspace = ctx.workspace();
  const Workspace::Scope scope(workspace);
  const bool keep = u0.data != u.data;
  const std::int64_t most = u.rows < block_pairs ? u.rows : block_pairs;
  T* spare = keep ? nullptr : workspace.take<T>(most * u.cols);
  for (std::int64_t begin = 0; begin < u.rows; begin += block_pairs) {
    const std::int64_t n = u.rows - begin < block_pairs ? u.rows - begin : block_pairs;
    const Mat<T> first = keep ? block_rows(u0, begin, n) : Mat<T>{spare, n, u.cols, u.cols};
    const Mat<T> second = block_rows(u, begin, n);
    first_layer(index + begin, mean + begin, log_sd + begin, moments, feature, state, first);
    ProductEpilogue<T> residual;
    residual.relu = true;
    residual.plus = first.data;
    residual.plus_stride = first.stride;
    product<T>(workspace, in(first), hidden, residual, second);
    ProductEpilogue<T> last;
    last.bias = bias;
    product<T>(workspace, in(second), out_weights, last, block_rows(out, begin, n));
  }
}

template <class T>
void set_head_backward(Context& ctx, const std::int32_t* index, const T* mean, const T* log_sd,
                       Mat<const T> hidden_t, Mat<const T> out_t, Mat<const T> dout, Mat<T> u0, Mat<T> u,
                       Mat<T> dstate, Mat<T> dmoments, T* dfeature, Mat<T> dhidden, Mat<T> dout_weights,
                       T* dbias) {
  Workspace& workspace = ctx.workspace();
  const Workspace::Scope scope(workspace);
  const std::int64_t most = u.rows < block_pairs ? u.rows : block_pairs;
  T* spare = workspace.take<T>(most * u.cols);
  ProductEpilogue<T> plain, add;
  add.accumulate = true;
  for (std::int64_t begin = 0; begin < u.rows; begin += block_pairs) {
    const std::int64_t n = u.rows - begin < block_pairs ? u.rows - begin : block_pairs;
    const Mat<T> first = block_rows(u0, begin, n), second = block_rows(u, begin, n);
    const Mat<const T> upstream = block_rows(dout, begin, n);
    const Mat<T> du{spare, n, u.cols, u.cols};
    add_column_sums_to(upstream, dbias);
    product_at<T>(workspace, in(second), upstream, add, dout_weights);
    product<T>(workspace, upstream, out_t, plain, du);
    where_grown(du, first, second, second);  // u is not needed any more
    product_at<T>(workspace, in(first), in(second), add, dhidden);
    product<T>(workspace, in(second), hidden_t, add, du);
    first_layer_backward(index + begin, mean + begin, log_sd + begin, du, first, dstate, dmoments, dfeature);
  }
}

#define EMSHAP_INSTANTIATE(T)                                                                                \
  template void set_head_forward<T>(Context&, const std::int32_t*, const T*, const T*, Mat<const T>,         \
                                    const T*, Mat<const T>, Mat<const T>, const T*, Mat<const T>, Mat<T>,    \
                                    Mat<T>, Mat<T>);                                                         \
  template void set_head_backward<T>(Context&, const std::int32_t*, const T*, const T*, Mat<const T>,        \
                                     Mat<const T>, Mat<const T>, Mat<T>, Mat<T>, Mat<T>, Mat<T>, T*, Mat<T>, \
                                     Mat<T>, T*);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
