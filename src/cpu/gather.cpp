#include "emshap/ops/gather.h"

#include "cpu/columns.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/gather_backend.h"

namespace emshap::cpu::EMSHAP_ISA {

template <class T>
void gather_rows(Context&, Mat<const T> table, const std::int32_t* index, Mat<T> y) {
  for (std::int64_t b = 0; b < y.rows; ++b) {
    const T* from = table.row(index[b]);
    T* to = y.row(b);
    for_each_pack<T>(y.cols, [&](auto at) EMSHAP_INLINE_LAMBDA { at.store(to, at.load(from)); });
  }
}

template <class T>
void scatter_rows(Context&, Mat<const T> x, const std::int32_t* index, Mat<T> table) {
  for (std::int64_t b = 0; b < x.rows; ++b) {
    const T* from = x.row(b);
    T* to = table.row(index[b]);
    for_each_pack<T>(x.cols, [&](auto at) EMSHAP_INLINE_LAMBDA { at.store(to, at.load(from)); });
  }
}

template <class T>
void scatter_add_rows(Context&, Mat<const T> x, const std::int32_t* index, Mat<T> table) {
  for (std::int64_t b = 0; b < x.rows; ++b) {
    const T* from = x.row(b);
    T* to = table.row(index[b]);
    for_each_pack<T>(x.cols,
                     [&](auto at) EMSHAP_INLINE_LAMBDA { at.store(to, at.load(to) + at.load(from)); });
  }
}

// The sums of a few packs of columns stay in registers while the lines go by.
template <class T>
void sum_table_lines(Context&, Mat<const T> table, Mat<const std::int32_t> index, Mat<const T> factor,
                     const T* base, bool relu, Mat<T> y) {
  using V = NativePack<T>;
  const std::int64_t D = y.cols;
  for (std::int64_t b = 0; b < y.rows; ++b) {
    const std::int32_t* k = index.row(b);
    const T* f = factor.row(b);
    T* to = y.row(b);
    for_each_column_group<T, 8>(0, D, [&](auto group) EMSHAP_INLINE_LAMBDA {
      V sum[group.packs];
#pragma GCC unroll 8
      for (int g = 0; g < group.packs; ++g) sum[g] = group.pack(g).load(base);
      for (std::int64_t i = 0; i < index.cols; ++i) {
        const T* line = table.row(k[i]);
        const V x(f[i]);
#pragma GCC unroll 8
        for (int g = 0; g < group.packs; ++g) {
          const auto at = group.pack(g);
          sum[g] = math::mul_add(x, at.load(line + D), sum[g] + at.load(line));
        }
      }
#pragma GCC unroll 8
      for (int g = 0; g < group.packs; ++g)
        group.pack(g).store(to, relu ? math::select(sum[g] < V(T(0)), V(T(0)), sum[g]) : sum[g]);
    });
  }
}

#define EMSHAP_INSTANTIATE(T)                                                                               \
  template void gather_rows<T>(Context&, Mat<const T>, const std::int32_t*, Mat<T>);                        \
  template void scatter_rows<T>(Context&, Mat<const T>, const std::int32_t*, Mat<T>);                       \
  template void scatter_add_rows<T>(Context&, Mat<const T>, const std::int32_t*, Mat<T>);                   \
  template void sum_table_lines<T>(Context&, Mat<const T>, Mat<const std::int32_t>, Mat<const T>, const T*, \
                                   bool, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
