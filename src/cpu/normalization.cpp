#include "emshap/ops/normalization.h"

#include "cpu/column_moments.h"
#include "cpu/dropout_mask.h"
#include "cpu/shard_sum.h"
#include "math/batch_norm.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/activation_backend.h"
#include "ops/normalization_backend.h"

// ReLU and dropout are part of the loops below; other activations follow in a pass of their own.
namespace emshap::cpu::EMSHAP_ISA {
namespace {

/// What the normalisation does to a column: y = (x - centre) scale + shift.
template <class T>
struct ColumnMap {
  const T* centre;
  const T* scale;
  const T* shift;
};

template <bool relu, class T>
EMSHAP_INLINE void apply(Mat<const T> x, ColumnMap<T> map, Mat<T> y) {
  using V = NativePack<T>;
  for_each_tile<T, 4>(x.rows, x.cols, [&](auto tile) EMSHAP_INLINE_LAMBDA {
    constexpr int packs = tile.packs;
    V centre[packs], scale[packs], shift[packs];
#pragma GCC unroll 4
    for (int g = 0; g < packs; ++g) {
      centre[g] = tile.pack(g).load(map.centre);
      scale[g] = tile.pack(g).load(map.scale);
      shift[g] = tile.pack(g).load(map.shift);
    }
    for (std::int64_t r = tile.begin; r < tile.end; ++r) {
#pragma GCC unroll 4
      for (int g = 0; g < packs; ++g) {
        V z = math::normalized(tile.pack(g).load(x.row(r)), centre[g], scale[g], shift[g]);
        if constexpr (relu) z = select(z <= V(T(0)), V(T(0)), z);  // keeps NaN
        tile.pack(g).store(y.row(r), z);
      }
    }
  });
}

/// relu, then dropout; scale and shift already hold 1 / (1 - p). `row` is x's first row in the batch.
template <class T>
EMSHAP_INLINE void apply_dropout(Mat<const T> x, ColumnMap<T> map, const DropoutMask& mask, std::int64_t row,
                                 Mat<T> y) {
  using V = NativePack<T>;
  constexpr std::int64_t group = DropoutMask::group, lanes = native_lanes<T>;
  for (std::int64_t c = 0; c < x.cols; c += group) {
    const ColumnMap<T> here{map.centre + c, map.scale + c, map.shift + c};
    const auto element = [&](const KeepColumns& keep, int i, auto at, const T* from,
                             T* to) EMSHAP_INLINE_LAMBDA {
      const V z =
          math::normalized(at.load(from), at.load(here.centre), at.load(here.scale), at.load(here.shift));
      at.store(to, keep.apply(i, select(z <= V(T(0)), V(T(0)), z)));
    };
    for (std::int64_t r = 0; r < x.rows; ++r) {
      const KeepColumns keep = mask.columns(row + r, c);
      const T* from = x.row(r) + c;
      T* to = y.row(r) + c;
      if (c + group <= x.cols) {
#pragma GCC unroll 16
        for (int i = 0; i < group / lanes; ++i) element(keep, i, WholePack<T>{i * lanes}, from, to);
      } else {
        int i = 0;
        for_each_pack<T>(x.cols - c, [&](auto at) EMSHAP_INLINE_LAMBDA { element(keep, i++, at, from, to); });
      }
    }
  }
}

template <class T>
EMSHAP_INLINE void apply_epilogue(Context& ctx, Activation activation, Mat<const T> x, ColumnMap<T> map,
                                  Mat<T> y) {
  if (activation == Activation::relu) return apply<true>(x, map, y);
  apply<false>(x, map, y);
  if (activation != Activation::identity)
    activation_forward<T>(ctx, activation, Mat<const T>{y.data, y.rows, y.cols, y.stride}, y);
}

}  // namespace

template <class T>
void batch_norm_forward(Context& ctx, Mat<const T> x, Mat<const T> gamma, Mat<const T> beta, double eps,
                        double momentum, Mat<T> running_mean, Mat<T> running_var,
                        const ops::NormEpilogue& epilogue, Mat<T> y, Mat<T> mean, Mat<T> rstd) {
  using V = NativePack<double>;
  const ShardPlan plan = ctx.plan(x.rows);
  if (plan.total_rows == 0) return;
  const std::int64_t cols = x.cols, width = ColumnMoments<T>::arrays * cols;
  Workspace& workspace = ctx.workspace();
  const Workspace::Scope scope(workspace);

  T* partials = workspace.take<T>(plan.local_shards * width);
  for (std::int64_t i = 0; i < plan.local_shards; ++i)
    column_moments(rows_of(x, plan.shard(i)), ColumnMoments<T>::at(partials + i * width, cols));
  double* exact_mean = workspace.take<double>(cols);
  double* variance = workspace.take<double>(cols);
  ShardSums<T> sums(ctx, partials, plan.local_shards, width);
  merge_moments(sums, plan, cols, exact_mean, variance);

  const Range own = member_range(ctx.team(), cols);
  const double rows = static_cast<double>(plan.total_rows);
  const auto follow = [&](T* running, const double* now, double factor) EMSHAP_INLINE_LAMBDA {
    for_each_pack<double>(own.end - own.begin, [&](auto at) EMSHAP_INLINE_LAMBDA {
      const V r = wide(at.load(running + own.begin)), s = at.load(now + own.begin);
      at.store(running + own.begin, math::convert<T>(math::followed(r, s, momentum, factor)));
    });
  };
  follow(running_mean.data, exact_mean, 1);
  if (plan.total_rows > 1) follow(running_var.data, variance, rows / (rows - 1));

  const bool drops = epilogue.dropout > 0;
  const DropoutMask mask(epilogue.key, static_cast<double>(epilogue.dropout));
  const V kept(drops ? mask.template scale<double>() : 1);
  T* scale = workspace.take<T>(cols);
  T* shift = workspace.take<T>(cols);
  for_each_pack<double>(cols, [&](auto at) EMSHAP_INLINE_LAMBDA {
    const V centre = at.load(exact_mean);
    const auto rounded = math::convert<T>(centre);
    const auto map = math::norm_map<V>(centre, wide(rounded), at.load(variance), wide(at.load(gamma.data)),
                                       wide(at.load(beta.data)), eps, kept);
    at.store(mean.data, rounded);
    at.store(rstd.data, math::convert<T>(map.rstd));
    at.store(scale, math::convert<T>(map.scale));
    at.store(shift, math::convert<T>(map.shift));
  });
  const ColumnMap<T> map{mean.data, scale, shift};
  // Backwards: what the first pass read last is still in cache, and so is what the next op will read first.
  for (std::int64_t i = plan.local_shards; i-- > 0;) {
    const Shard s = plan.shard(i);
    if (drops) {
      apply_dropout(rows_of(x, s), map, mask, plan.row_begin + s.begin, rows_of(y, s));
    } else {
      apply_epilogue(ctx, epilogue.activation, rows_of(x, s), map, rows_of(y, s));
    }
  }
  sums.close();
}

template <class T>
void batch_norm_infer(Context& ctx, Mat<const T> x, Mat<const T> gamma, Mat<const T> beta, double eps,
                      Mat<const T> running_mean, Mat<const T> running_var, Activation activation, Mat<T> y) {
  const Workspace::Scope scope(ctx.workspace());
  T* scale = ctx.workspace().take<T>(x.cols);
  for (std::int64_t c = 0; c < x.cols; ++c)
    scale[c] = static_cast<T>(static_cast<double>(gamma.data[c]) /
                              math::sqrt(static_cast<double>(running_var.data[c]) + eps));
  const ColumnMap<T> map{running_mean.data, scale, beta.data};
  for (std::int64_t begin = 0; begin < x.rows; begin += 2 * row_block) {
    const std::int64_t left = x.rows - begin;
    const Shard s{0, begin, left < 2 * row_block ? left : 2 * row_block};
    apply_epilogue(ctx, activation, rows_of(x, s), map, rows_of(y, s));
  }
}

namespace {

/// Column sums of dz and dz (x - mean), dz = dy where y > 0 (relu) or dy; `sums` (2, cols) holds both.
template <bool relu, class T>
EMSHAP_INLINE void backward_sums(Mat<const T> dy, Mat<const T> x, Mat<const T> y, const T* mean, T* sums) {
  using V = NativePack<T>;
  for (std::int64_t c = 0; c < 2 * x.cols; ++c) sums[c] = T(0);
  for_each_tile<T, 4>(x.rows, x.cols, [&](auto tile) EMSHAP_INLINE_LAMBDA {
    constexpr int packs = tile.packs;
    V centre[packs], sum[packs], product[packs];
#pragma GCC unroll 4
    for (int g = 0; g < packs; ++g) centre[g] = tile.pack(g).load(mean);
    for (std::int64_t r = tile.begin; r < tile.end; ++r) {
#pragma GCC unroll 4
      for (int g = 0; g < packs; ++g) {
        const auto at = tile.pack(g);
        V dz = at.load(dy.row(r));
        if constexpr (relu) dz = select(at.load(y.row(r)) > V(T(0)), dz, V(T(0)));
        sum[g] += dz;
        product[g] = mul_add(dz, at.load(x.row(r)) - centre[g], product[g]);
      }
    }
#pragma GCC unroll 4
    for (int g = 0; g < packs; ++g) {
      const auto at = tile.pack(g);
      at.store(sums, at.load(sums) + sum[g]);
      at.store(sums + x.cols, at.load(sums + x.cols) + product[g]);
    }
  });
}

/// dx = a dz - b - c (x - mean)
template <bool relu, class T>
EMSHAP_INLINE void backward_apply(Mat<const T> dy, Mat<const T> x, Mat<const T> y, const T* mean, const T* a,
                                  const T* b, const T* c, Mat<T> dx) {
  using V = NativePack<T>;
  for_each_tile<T, 2>(x.rows, x.cols, [&](auto tile) EMSHAP_INLINE_LAMBDA {
    constexpr int packs = tile.packs;
    V centre[packs], va[packs], vb[packs], vc[packs];
#pragma GCC unroll 2
    for (int g = 0; g < packs; ++g) {
      const auto at = tile.pack(g);
      centre[g] = at.load(mean);
      va[g] = at.load(a);
      vb[g] = at.load(b);
      vc[g] = at.load(c);
    }
    for (std::int64_t r = tile.begin; r < tile.end; ++r) {
#pragma GCC unroll 2
      for (int g = 0; g < packs; ++g) {
        const auto at = tile.pack(g);
        V dz = at.load(dy.row(r));
        if constexpr (relu) dz = select(at.load(y.row(r)) > V(T(0)), dz, V(T(0)));
        const V d = at.load(x.row(r)) - centre[g];
        at.store(dx.row(r), math::norm_input_gradient<V>({va[g], vb[g], vc[g]}, dz, d));
      }
    }
  });
}

template <bool relu, class T>
EMSHAP_INLINE void backward(Context& ctx, const ShardPlan& plan, Mat<const T> dy, Mat<const T> x,
                            Mat<const T> y, Mat<const T> gamma, Mat<const T> mean, Mat<const T> rstd,
                            double kept, Mat<T> dx, Mat<T> dgamma, Mat<T> dbeta) {
  using V = NativePack<T>;
  const std::int64_t cols = x.cols;
  Workspace& workspace = ctx.workspace();
  const Workspace::Scope scope(workspace);
  T* partials = workspace.take<T>(plan.local_shards * 2 * cols);
  T* totals = workspace.take<T>(2 * cols);
  for (std::int64_t i = 0; i < plan.local_shards; ++i) {
    const Shard s = plan.shard(i);
    backward_sums<relu>(rows_of(dy, s), rows_of(x, s), relu ? rows_of(y, s) : y, mean.data,
                        partials + i * 2 * cols);
  }
  ShardSums<T> sums(ctx, partials, plan.local_shards, 2 * cols);
  sums.store(0, 2 * cols, totals);

  const V factor(static_cast<T>(kept));  // of the dropout, left out of the sums
  const Range own = member_range(ctx.team(), cols);
  for_each_pack<T>(own.end - own.begin, [&](auto at) EMSHAP_INLINE_LAMBDA {
    T *beta_sum = dbeta.data + own.begin, *gamma_sum = dgamma.data + own.begin;
    const V dz = at.load(totals + own.begin), product = at.load(totals + cols + own.begin);
    at.store(beta_sum, at.load(beta_sum) + factor * dz);
    at.store(gamma_sum, at.load(gamma_sum) + factor * product * at.load(rstd.data + own.begin));
  });
  T* a = workspace.take<T>(cols);
  T* b = workspace.take<T>(cols);
  T* c = workspace.take<T>(cols);
  const V by_rows(T(1) / static_cast<T>(plan.total_rows));
  for_each_pack<T>(cols, [&](auto at) EMSHAP_INLINE_LAMBDA {
    const auto k = math::norm_backward<V>(at.load(totals), at.load(totals + cols), at.load(gamma.data),
                                          at.load(rstd.data), factor, by_rows);
    at.store(a, k.a);
    at.store(b, k.b);
    at.store(c, k.c);
  });
  for (std::int64_t i = plan.local_shards; i-- > 0;) {
    const Shard s = plan.shard(i);
    backward_apply<relu>(rows_of(dy, s), rows_of(x, s), relu ? rows_of(y, s) : y, mean.data, a, b, c,
                         rows_of(dx, s));
  }
  sums.close();
}

}  // namespace

template <class T>
void batch_norm_backward(Context& ctx, Mat<const T> dy, Mat<const T> x, Mat<const T> y, Mat<const T> gamma,
                         Mat<const T> mean, Mat<const T> rstd, const ops::NormEpilogue& epilogue, Mat<T> dx,
                         Mat<T> dgamma, Mat<T> dbeta) {
  const ShardPlan plan = ctx.plan(x.rows);
  if (plan.total_rows == 0) return;
  if (epilogue.activation == Activation::relu) {
    const double p = static_cast<double>(epilogue.dropout);
    const double kept = p > 0 ? DropoutMask(epilogue.key, p).template scale<double>() : 1;
    return backward<true>(ctx, plan, dy, x, y, gamma, mean, rstd, kept, dx, dgamma, dbeta);
  }
  if (epilogue.activation != Activation::identity) {
    activation_backward<T>(ctx, epilogue.activation, Mat<const T>{}, y, dy, dx);
    dy = {dx.data, dx.rows, dx.cols, dx.stride};
  }
  backward<false>(ctx, plan, dy, x, y, gamma, mean, rstd, 1, dx, dgamma, dbeta);
}

#define EMSHAP_INSTANTIATE(T)                                                                                \
  template void batch_norm_forward<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, double, double,    \
                                      Mat<T>, Mat<T>, const ops::NormEpilogue&, Mat<T>, Mat<T>, Mat<T>);     \
  template void batch_norm_infer<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, double,              \
                                    Mat<const T>, Mat<const T>, Activation, Mat<T>);                         \
  template void batch_norm_backward<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<const T>,     \
                                       Mat<const T>, Mat<const T>, const ops::NormEpilogue&, Mat<T>, Mat<T>, \
                                       Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
