#include "emshap/ops/gather.h"

#include "cpu/lanes.h"

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

#define EMSHAP_INSTANTIATE(T)                                                         \
  template void gather_rows<T>(Context&, Mat<const T>, const std::int32_t*, Mat<T>);  \
  template void scatter_rows<T>(Context&, Mat<const T>, const std::int32_t*, Mat<T>); \
  template void scatter_add_rows<T>(Context&, Mat<const T>, const std::int32_t*, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
