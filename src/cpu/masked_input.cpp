#include "emshap/ops/masked_input.h"

#include "cpu/lanes.h"
#include "math/random_mask.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/masked_input_backend.h"

namespace emshap::cpu::EMSHAP_ISA {
template <class T>
void random_masks(Context&, const RandomKey& key, std::int64_t first_row, const double* sizes, double scale,
                  Mat<const T> observed, Mat<T> mask, Mat<T> weight) {
  const math::PhiloxStream stream(key);
  for (std::int64_t r = 0; r < observed.rows; ++r)
    math::random_mask(stream.row(static_cast<std::uint64_t>(first_row + r)), sizes, scale, observed.cols,
                      observed.row(r), mask.row(r), weight.row(r));
}

template <class T>
void masked_input(Context&, Mat<const T> x, Mat<const T> mask, Mat<const T> mu, Mat<const T> log_sd,
                  Mat<const std::int32_t> code, Mat<const std::int32_t> offset, Mat<T> y) {
  const std::int64_t F = x.cols;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const T *m = mask.row(r), *from = x.row(r), *mean = mu.row(r), *spread = log_sd.row(r);
    T* to = y.row(r);
    for_each_pack<T>(F, [&](auto at) EMSHAP_INLINE_LAMBDA {
      using Value = NativePack<T>;
      const auto known = at.load(m) > Value(T(.5));
      at.store(to, math::select(known, at.load(from), Value()));
      at.store(to + F, math::select(known, Value(T(1)), Value()));
      at.store(to + 2 * F, math::select(known, Value(), at.load(mean)));
      at.store(to + 3 * F, math::select(known, Value(), at.load(spread)));
    });
    if (y.cols == 4 * F) continue;
    for (std::int64_t c = 4 * F; c < y.cols; ++c) to[c] = T(0);
    for (std::int64_t t = 0; t < F; ++t) {
      const std::int64_t v = code.row(r)[t], begin = offset.data[t];
      if (m[t] > T(.5) && v >= 0 && v < offset.data[t + 1] - begin) to[4 * F + begin + v] = T(1);
    }
  }
}

#define EMSHAP_INSTANTIATE(T)                                                                     \
  template void random_masks<T>(Context&, const RandomKey&, std::int64_t, const double*, double,  \
                                Mat<const T>, Mat<T>, Mat<T>);                                    \
  template void masked_input<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<const T>, \
                                Mat<const std::int32_t>, Mat<const std::int32_t>, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
