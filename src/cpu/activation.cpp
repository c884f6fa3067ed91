#include "emshap/ops/activation.h"

#include <cmath>

#include "core/mat.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/activation_backend.h"

namespace emshap::cpu::EMSHAP_ISA {

template <class T>
void activation_forward(Context&, Activation, Mat<const T> x, Mat<T> y) {
  for (std::int64_t r = 0; r < x.rows; ++r)
    for (std::int64_t c = 0; c < x.cols; ++c) y.row(r)[c] = x.row(r)[c] > 0 ? x.row(r)[c] : T(0);
}

template <class T>
void activation_backward(Context&, Activation, Mat<const T>, Mat<const T> y, Mat<const T> dy, Mat<T> dx) {
  for (std::int64_t r = 0; r < dy.rows; ++r)
    for (std::int64_t c = 0; c < dy.cols; ++c) dx.row(r)[c] = y.row(r)[c] > 0 ? dy.row(r)[c] : T(0);
}

#define EMSHAP_INSTANTIATE(T)                                                                                 \
  template void activation_forward<T>(Context&, Activation, Mat<const T>, Mat<T>);                            \
  template void activation_backward<T>(Context&, Activation, Mat<const T>, Mat<const T>, Mat<const T>, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
