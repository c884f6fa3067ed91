#include "emshap/ops/product.h"

#include "cpu/columns.h"
#include "cpu/product.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/product_backend.h"

namespace emshap::cpu::EMSHAP_ISA {

template <class T>
void add_product(Context& ctx, Mat<const T> a, Mat<const T> b, Mat<T> y) {
  ProductEpilogue<T> e;
  e.accumulate = true;
  product<T>(ctx.workspace(), a, b, e, y);
}

template <class T>
void add_product_at(Context& ctx, Mat<const T> a, Mat<const T> b, Mat<T> y) {
  if (a.rows == 0) return;
  ProductEpilogue<T> e;
  e.accumulate = true;
  product_at<T>(ctx.workspace(), a, b, e, y);
}

template <class T>
void add_column_sums(Context&, Mat<const T> x, Mat<T> y) {
  for_each_column_group<T, 4>(0, x.cols, [&](auto group) EMSHAP_INLINE_LAMBDA {
    NativePack<T> sum[group.packs];
    for (std::int64_t r = 0; r < x.rows; ++r) {
#pragma GCC unroll 4
      for (int g = 0; g < group.packs; ++g) sum[g] += group.pack(g).load(x.row(r));
    }
#pragma GCC unroll 4
    for (int g = 0; g < group.packs; ++g) group.pack(g).store(y.data, group.pack(g).load(y.data) + sum[g]);
  });
}

template <class T>
void transpose(Context&, Mat<const T> x, Mat<T> y) {
  for (std::int64_t r = 0; r < x.rows; ++r)
    for (std::int64_t c = 0; c < x.cols; ++c) y.row(c)[r] = x.row(r)[c];
}

#define EMSHAP_INSTANTIATE(T)                                                    \
  template void add_product<T>(Context&, Mat<const T>, Mat<const T>, Mat<T>);    \
  template void add_product_at<T>(Context&, Mat<const T>, Mat<const T>, Mat<T>); \
  template void add_column_sums<T>(Context&, Mat<const T>, Mat<T>);              \
  template void transpose<T>(Context&, Mat<const T>, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
