#include "emshap/ops/optimizer.h"

#include "cpu/sum_of_squares.h"
#include "math/adam.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/optimizer_backend.h"

namespace emshap::cpu::EMSHAP_ISA {

template <class T>
void adam_step(Context& ctx, const math::AdamFactors<double>& factors, Mat<const T> gradient,
               Mat<const T> gradient_scale, Mat<const T> decay_mask, Mat<T> w, Mat<T> m, Mat<T> v) {
  using V = NativePack<T>;
  ctx.team().barrier();  // a member may still be reading w in the backward pass
  const T scale = gradient_scale.data != nullptr ? gradient_scale.data[0] : T(1);
  if (scale != T(0)) {
    const auto f = math::convert_factors<T>(factors);
    const Range own = member_range(ctx.team(), w.cols);
    const T* mask = decay_mask.data != nullptr ? decay_mask.data + own.begin : nullptr;
    const T* gs = gradient.data + own.begin;
    T *ws = w.data + own.begin, *ms = m.data + own.begin, *vs = v.data + own.begin;
    for_each_pack<T>(own.end - own.begin, [&](auto at) EMSHAP_INLINE_LAMBDA {
      V we = at.load(ws), me = at.load(ms), ve = at.load(vs);
      const V decays = mask != nullptr ? at.load(mask) : V(T(1));
      math::adam_element(f, V(scale) * at.load(gs), decays, we, me, ve);
      at.store(ws, we);
      at.store(ms, me);
      at.store(vs, ve);
    });
  }
  ctx.team().barrier();
}

template <class T>
void clip_scale(Context& ctx, Mat<const T> gradient, double max_norm, Mat<T> norm, Mat<T> scale) {
  const double length = math::sqrt(sum_of_squares(ctx, gradient.data, gradient.cols));
  norm.data[0] = static_cast<T>(length);
  scale.data[0] = static_cast<T>(math::clip_factor(length, max_norm));
}

template <class T>
void ema_update(Context& ctx, double decay, Mat<const T> w, Mat<T> average) {
  using V = NativePack<T>;
  const V keep(static_cast<T>(decay)), take(static_cast<T>(1 - decay));
  const Range own = member_range(ctx.team(), w.cols);
  const T* from = w.data + own.begin;
  T* to = average.data + own.begin;
  for_each_pack<T>(own.end - own.begin, [&](auto at) EMSHAP_INLINE_LAMBDA {
    at.store(to, math::mul_add(keep, at.load(to), take * at.load(from)));
  });
  ctx.team().barrier();
}

#define EMSHAP_INSTANTIATE(T)                                                                        \
  template void adam_step<T>(Context&, const math::AdamFactors<double>&, Mat<const T>, Mat<const T>, \
                             Mat<const T>, Mat<T>, Mat<T>, Mat<T>);                                  \
  template void clip_scale<T>(Context&, Mat<const T>, double, Mat<T>, Mat<T>);                       \
  template void ema_update<T>(Context&, double, Mat<const T>, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
