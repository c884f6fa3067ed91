#include "emshap/ops/elementwise.h"

#include "core/mat.h"
#include "cpu/shard_sum.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/elementwise_backend.h"

// The loops are left to the compiler's vectoriser. An output may be one of the inputs but never overlaps it
// in any other way, so that no iteration depends on another: that is what `ivdep` states.
#define EMSHAP_INDEPENDENT _Pragma("GCC ivdep")

namespace emshap::cpu::EMSHAP_ISA {
namespace {

template <class T, class U, class F>
EMSHAP_INLINE void map(Mat<const T> x, Mat<U> y, const F& f) {
  for_each_span(x.rows, x.cols, x.contiguous() && y.contiguous(),
                [&](std::int64_t r, std::int64_t n) EMSHAP_INLINE_LAMBDA {
                  const T* in = x.row(r);
                  U* out = y.row(r);
                  EMSHAP_INDEPENDENT
                  for (std::int64_t i = 0; i < n; ++i) out[i] = f(in[i]);
                });
}

template <class T, class F>
EMSHAP_INLINE void map(Mat<const T> a, Mat<const T> b, Mat<T> y, const F& f) {
  for_each_span(a.rows, a.cols, a.contiguous() && b.contiguous() && y.contiguous(),
                [&](std::int64_t r, std::int64_t n) EMSHAP_INLINE_LAMBDA {
                  const T *p = a.row(r), *q = b.row(r);
                  T* out = y.row(r);
                  EMSHAP_INDEPENDENT
                  for (std::int64_t i = 0; i < n; ++i) out[i] = f(p[i], q[i]);
                });
}

}  // namespace

template <class T>
void fill(Context&, double value, Mat<T> y) {
  const T v = static_cast<T>(value);
  for_each_span(y.rows, y.cols, y.contiguous(), [&](std::int64_t r, std::int64_t n) EMSHAP_INLINE_LAMBDA {
    T* out = y.row(r);
    for (std::int64_t i = 0; i < n; ++i) out[i] = v;
  });
}

template <class T>
void fill_shared(Context& ctx, double value, Mat<T> y) {
  const Range own = member_range(ctx.team(), y.rows * y.cols);
  const T v = static_cast<T>(value);
  ctx.team().barrier();
  for (std::int64_t i = own.begin; i < own.end; ++i) y.data[i] = v;
  ctx.team().barrier();
}

template <class T, class U>
void copy(Context&, Mat<const T> x, Mat<U> y) {
  map(x, y, [](T v) { return static_cast<U>(v); });
}

template <class T>
void add(Context&, Mat<const T> a, Mat<const T> b, Mat<T> y) {
  map(a, b, y, [](T p, T q) { return p + q; });
}

template <class T>
void multiply(Context&, Mat<const T> a, Mat<const T> b, Mat<T> y) {
  map(a, b, y, [](T p, T q) { return p * q; });
}

template <class T>
void affine(Context&, Mat<const T> x, double scale, double shift, Mat<T> y) {
  const T a = static_cast<T>(scale), b = static_cast<T>(shift);
  map(x, y, [a, b](T v) { return a * v + b; });
}

template <class T>
void axpy(Context&, double alpha, Mat<const T> x, Mat<T> y) {
  const T a = static_cast<T>(alpha);
  map(x, Mat<const T>{y.data, y.rows, y.cols, y.stride}, y, [a](T v, T w) { return w + a * v; });
}

template <class T>
void scale_shift_columns(Context&, Mat<const T> x, Mat<const T> scale, Mat<const T> shift, Mat<T> y) {
  const T *a = scale.data, *b = shift.data;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const T* in = x.row(r);
    T* out = y.row(r);
    EMSHAP_INDEPENDENT
    for (std::int64_t c = 0; c < x.cols; ++c) out[c] = in[c] * a[c] + b[c];
  }
}

#define EMSHAP_INSTANTIATE(T)                                              \
  template void fill<T>(Context&, double, Mat<T>);                         \
  template void fill_shared<T>(Context&, double, Mat<T>);                  \
  template void copy<T, float>(Context&, Mat<const T>, Mat<float>);        \
  template void copy<T, double>(Context&, Mat<const T>, Mat<double>);      \
  template void add<T>(Context&, Mat<const T>, Mat<const T>, Mat<T>);      \
  template void multiply<T>(Context&, Mat<const T>, Mat<const T>, Mat<T>); \
  template void affine<T>(Context&, Mat<const T>, double, double, Mat<T>); \
  template void axpy<T>(Context&, double, Mat<const T>, Mat<T>);           \
  template void scale_shift_columns<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
