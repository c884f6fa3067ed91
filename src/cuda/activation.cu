#include "math/activation.h"

#include "core/mat.h"
#include "cuda/pointwise.cuh"

#define EMSHAP_BACKEND cuda
#include "ops/activation_backend.h"

// Bound by memory: 8 bytes an element forward, 12 backward. The activation is chosen at the launch, not for
// each element.
namespace emshap::cuda {
namespace {

template <Activation A, class T>
struct Activate {
  Mat<const T> x;
  Mat<T> y;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    y.data[r * y.stride + c] = math::activate<A>(x.data[r * x.stride + c]);
  }
};

/// From the activation's input, or from its output where that is enough.
template <Activation A, bool FromOutput, class T>
struct Backward {
  Mat<const T> given, dy;
  Mat<T> dx;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    const T value = given.data[r * given.stride + c], upstream = dy.data[r * dy.stride + c];
    T& to = dx.data[r * dx.stride + c];
    if constexpr (FromOutput)
      to = math::backward_from_output<A>(value, upstream);
    else
      to = math::backward_from_input<A>(value, upstream);
  }
};

}  // namespace

template <class T>
void activation_forward(Context& ctx, Activation activation, Mat<const T> x, Mat<T> y) {
  flatten(x, y);
  math::with_activation(activation, [&](auto choice) {
    pointwise(ctx, "activation_forward", y.rows, y.cols, Activate<choice(), T>{x, y});
  });
}

template <class T>
void activation_backward(Context& ctx, Activation activation, Mat<const T> x, Mat<const T> y, Mat<const T> dy,
                         Mat<T> dx) {
  math::with_activation(activation, [&](auto choice) {
    if constexpr (math::from_output(choice())) {
      if (y.data != nullptr) {
        flatten(y, dy, dx);
        return pointwise(ctx, "activation_backward", dx.rows, dx.cols,
                         Backward<choice(), true, T>{y, dy, dx});
      }
    }
    flatten(x, dy, dx);
    pointwise(ctx, "activation_backward", dx.rows, dx.cols, Backward<choice(), false, T>{x, dy, dx});
  });
}

template void activation_forward<float>(Context&, Activation, Mat<const float>, Mat<float>);
template void activation_backward<float>(Context&, Activation, Mat<const float>, Mat<const float>,
                                         Mat<const float>, Mat<float>);

}  // namespace emshap::cuda
