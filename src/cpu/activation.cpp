#include "emshap/ops/activation.h"

#include "cpu/lanes.h"
#include "math/activation.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/activation_backend.h"

namespace emshap::cpu::EMSHAP_ISA {

template <class T>
void activation_forward(Context&, Activation activation, Mat<const T> x, Mat<T> y) {
  math::with_activation(activation, [&](auto choice) EMSHAP_INLINE_LAMBDA {
    for_each_span(x.rows, x.cols, x.contiguous() && y.contiguous(),
                  [&](std::int64_t r, std::int64_t n) EMSHAP_INLINE_LAMBDA {
                    const T* from = x.row(r);
                    T* to = y.row(r);
                    for_each_pack<T>(n, [&](auto at) EMSHAP_INLINE_LAMBDA {
                      at.store(to, math::activate<choice()>(at.load(from)));
                    });
                  });
  });
}

template <class T>
void activation_backward(Context&, Activation activation, Mat<const T> x, Mat<const T> y, Mat<const T> dy,
                         Mat<T> dx) {
  math::with_activation(activation, [&](auto choice) EMSHAP_INLINE_LAMBDA {
    const bool from_output = math::from_output(choice()) && y.data != nullptr;
    const Mat<const T> given = from_output ? y : x;
    for_each_span(dy.rows, dy.cols, given.contiguous() && dy.contiguous() && dx.contiguous(),
                  [&](std::int64_t r, std::int64_t n) EMSHAP_INLINE_LAMBDA {
                    const T* from = given.row(r);
                    const T* upstream = dy.row(r);
                    T* to = dx.row(r);
                    if constexpr (math::from_output(choice())) {
                      if (from_output) {
                        return for_each_pack<T>(n, [&](auto at) EMSHAP_INLINE_LAMBDA {
                          at.store(to,
                                   math::backward_from_output<choice()>(at.load(from), at.load(upstream)));
                        });
                      }
                    }
                    for_each_pack<T>(n, [&](auto at) EMSHAP_INLINE_LAMBDA {
                      at.store(to, math::backward_from_input<choice()>(at.load(from), at.load(upstream)));
                    });
                  });
  });
}

#define EMSHAP_INSTANTIATE(T)                                                                          \
  template void activation_forward<T>(Context&, Activation, Mat<const T>, Mat<T>);                     \
  template void activation_backward<T>(Context&, Activation, Mat<const T>, Mat<const T>, Mat<const T>, \
                                       Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
