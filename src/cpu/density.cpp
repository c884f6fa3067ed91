#include "emshap/ops/density.h"

#include "cpu/pairs.h"
#include "math/mixture.h"
#include "math/mixture_interval.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/density_backend.h"

namespace emshap::cpu::EMSHAP_ISA {
namespace {

/// Components of a matrix with 3 C columns.
template <class T>
EMSHAP_INLINE int components(const Mat<T>& m) {
  return static_cast<int>(m.cols / 3);
}

/// v where the condition of the pair holds, else 0; a pair that nobody asked for may hold anything.
template <class V>
EMSHAP_INLINE void clear_where(math::mask_of<V> unwanted, V* v, std::int64_t count) {
  for (std::int64_t j = 0; j < count; ++j) v[j] = select(unwanted, V(0), v[j]);
}

}  // namespace

template <class T>
void mixture_loss(Context& ctx, Mat<const T> head, Mat<const T> mean, Mat<const T> log_sd, Mat<const T> x,
                  Mat<const T> weight, Mat<T> value, Mat<T> dhead) {
  using V = NativePack<T>;
  const int C = components(head);
  const Workspace::Scope scope(ctx.workspace());
  V* const packs = take_packs<T>(ctx, head.cols);
  V* const work = take_packs<T>(ctx, 5 * C);
  const PairNumbers<const T> means(mean), log_sds(log_sd), xs(x), weights(weight);
  const PairNumbers<T> values(value);
  for_each_pair_block<T>(head.rows, [&](auto block) EMSHAP_INLINE_LAMBDA {
    block.load_rows(head, 1, packs);
    const V w = block.load(weights);
    const V loss = math::mixture_loss(C, packs, block.load(means), block.load(log_sds), block.load(xs),
                                      ops::mixture_min_scale, work);
    const auto none = w == V(T(0));
    block.store(values, select(none, V(T(0)), w * loss));
    if (dhead.data == nullptr) return;
    for (std::int64_t j = 0; j < head.cols; ++j) work[j] = select(none, V(T(0)), w * work[j]);
    block.store_rows(dhead, work);
  });
}

template <class T>
void mixture_from_head(Context& ctx, Mat<const T> head, Mat<const T> mean, Mat<const T> log_sd,
                       Mat<const T> wanted, Mat<T> mixture) {
  using V = NativePack<T>;
  const int C = components(head);
  const Workspace::Scope scope(ctx.workspace());
  V* const packs = take_packs<T>(ctx, head.cols);
  V* const out = take_packs<T>(ctx, head.cols);
  const PairNumbers<const T> means(mean), log_sds(log_sd), asked(wanted);
  for_each_pair_block<T>(head.rows, [&](auto block) EMSHAP_INLINE_LAMBDA {
    block.load_rows(head, 1, packs);
    math::mixture_from_head(C, packs, block.load(means), block.load(log_sds), ops::mixture_min_scale, out);
    if (wanted.data != nullptr) clear_where<V>(block.load(asked) == V(T(0)), out, head.cols);
    block.store_rows(mixture, out);
  });
}

template <class T>
void mixture_log_density(Context& ctx, Mat<const T> mixture, Mat<const T> x, Mat<T> value) {
  using V = NativePack<T>;
  const int C = components(mixture);
  const Workspace::Scope scope(ctx.workspace());
  V* const packs = take_packs<T>(ctx, mixture.cols);
  V* const work = take_packs<T>(ctx, C);
  const PairNumbers<const T> xs(x);
  const PairNumbers<T> values(value);
  for_each_pair_block<T>(mixture.rows, [&](auto block) EMSHAP_INLINE_LAMBDA {
    block.load_rows(mixture, 1, packs);
    block.store(values, math::mixture_log_density(C, packs, block.load(xs), work));
  });
}

// Not on the path of training: in double, one pair after another.
template <class T>
void mixture_log_interval(Context&, Mat<const T> mixture, Mat<const T> left, Mat<const T> right,
                          Mat<T> value) {
  const PairNumbers<const T> lefts(left), rights(right);
  const PairNumbers<T> values(value);
  for (std::int64_t p = 0; p < mixture.rows; ++p)
    values.at(p) = static_cast<T>(math::mixture_log_interval(components(mixture), mixture.row(p),
                                                             static_cast<double>(lefts.at(p)),
                                                             static_cast<double>(rights.at(p))));
}

template <class T>
void mixture_moments(Context& ctx, Mat<const T> mixture, Mat<T> mean, Mat<T> variance) {
  using V = NativePack<T>;
  const int C = components(mixture);
  const Workspace::Scope scope(ctx.workspace());
  V* const packs = take_packs<T>(ctx, mixture.cols);
  const PairNumbers<T> means(mean), variances(variance);
  for_each_pair_block<T>(mixture.rows, [&](auto block) EMSHAP_INLINE_LAMBDA {
    block.load_rows(mixture, 1, packs);
    const auto moments = math::mixture_moments(C, packs);
    block.store(means, moments.mean);
    block.store(variances, moments.variance);
  });
}

template <class T>
void mixture_draw(Context& ctx, Mat<const T> mixture, Mat<const T> uniforms, Mat<const T> wanted, Mat<T> x,
                  Mat<T> log_q) {
  using V = NativePack<T>;
  const int C = components(mixture);
  const std::int64_t pairs = x.rows * x.cols;
  if (pairs == 0) return;
  const std::int64_t share = pairs / mixture.rows;
  const Workspace::Scope scope(ctx.workspace());
  V* const packs = take_packs<T>(ctx, mixture.cols);
  V* const work = take_packs<T>(ctx, 3 * C);
  const PairNumbers<const T> asked(wanted);
  const PairNumbers<T> xs(x), log_qs(log_q);
  for_each_pair_block<T>(pairs, [&](auto block) EMSHAP_INLINE_LAMBDA {
    T u[block.lanes] = {}, want[block.lanes] = {};
    for (int i = 0; i < block.lanes; ++i) {
      const std::int64_t p = block.first + (i < block.count ? i : 0);
      u[i] = uniforms.row(p % uniforms.rows)[0];
      want[i] = wanted.data != nullptr ? asked.at(p / share) : T(1);
    }
    block.load_rows(mixture, share, packs);
    const auto keep = V::load(want) == V(T(0));
    const V drawn = math::mixture_draw(C, packs, V::load(u), work);
    if (log_q.data != nullptr) {
      const V before = block.load(log_qs);
      block.store(log_qs, select(keep, before, before + math::mixture_log_density(C, packs, drawn, work)));
    }
    block.store(xs, select(keep, block.load(xs), drawn));
  });
}

#define EMSHAP_INSTANTIATE(T)                                                                          \
  template void mixture_loss<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<const T>,      \
                                Mat<const T>, Mat<T>, Mat<T>);                                         \
  template void mixture_from_head<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<const T>, \
                                     Mat<T>);                                                          \
  template void mixture_log_density<T>(Context&, Mat<const T>, Mat<const T>, Mat<T>);                  \
  template void mixture_log_interval<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<T>);   \
  template void mixture_moments<T>(Context&, Mat<const T>, Mat<T>, Mat<T>);                            \
  template void mixture_draw<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<T>, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
