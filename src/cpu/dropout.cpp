#include "emshap/ops/dropout.h"

#include "core/mat.h"
#include "cpu/dropout_mask.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/dropout_backend.h"

namespace emshap::cpu::EMSHAP_ISA {

template <class T>
void dropout_apply(Context& ctx, Mat<const T> x, double p, const RandomKey& key, Mat<T> y) {
  if (p == 0) {
    return for_each_span(x.rows, x.cols, x.contiguous() && y.contiguous(),
                         [&](std::int64_t r, std::int64_t n) EMSHAP_INLINE_LAMBDA {
                           const T* from = x.row(r);
                           T* to = y.row(r);
                           for_each_pack<T>(
                               n, [&](auto at) EMSHAP_INLINE_LAMBDA { at.store(to, at.load(from)); });
                         });
  }
  constexpr int lanes = native_lanes<T>;
  const std::int64_t row_begin = ctx.plan(x.rows).row_begin;
  const DropoutMask mask(key, p);
  const NativePack<T> scale(mask.scale<T>());
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const T* from = x.row(r);
    T* to = y.row(r);
    std::int64_t c = 0;
    for (; c + DropoutMask::group <= x.cols; c += DropoutMask::group) {
      const auto keep = mask.columns(row_begin + r, c);
#pragma GCC unroll 16
      for (int i = 0; i < DropoutMask::group / lanes; ++i)
        keep.apply(i, NativePack<T>::load(from + c + i * lanes) * scale).store(to + c + i * lanes);
    }
    if (c < x.cols) {
      const auto keep = mask.columns(row_begin + r, c);
      int i = 0;
      for_each_pack<T>(x.cols - c, [&](auto at) EMSHAP_INLINE_LAMBDA {
        at.store(to + c, keep.apply(i++, at.load(from + c) * scale));
      });
    }
  }
}

template void dropout_apply<float>(Context&, Mat<const float>, double, const RandomKey&, Mat<float>);
template void dropout_apply<double>(Context&, Mat<const double>, double, const RandomKey&, Mat<double>);

}  // namespace emshap::cpu::EMSHAP_ISA
