#include "emshap/ops/linear.h"

#include "cuda/columns.cuh"
#include "cuda/cublas.h"
#include "cuda/pointwise.cuh"
#include "math/activation.h"

#define EMSHAP_BACKEND cuda
#include "ops/linear_backend.h"

// Products by cuBLAS. Bias and activation follow in one pass over y: 8 bytes an element beside the product's
// own traffic.
namespace emshap::cuda {
namespace {

template <Activation A, class T>
struct BiasActivate {
  const T* bias;  // or null
  Mat<T> y;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    T& to = y.data[r * y.stride + c];
    to = math::activate<A>(bias == nullptr ? to : to + bias[c]);
  }
};

}  // namespace

template <class T>
void linear_forward(Context& ctx, Mat<const T> x, Mat<const T> w, Mat<const T> bias, Activation activation,
                    Mat<T> y) {
  product(ctx, {x}, {w}, false, y);
  if (bias.data == nullptr) {
    if (activation == Activation::identity) return;
    flatten(y);
  }
  math::with_activation(activation, [&](auto choice) {
    pointwise(ctx, "linear_forward", y.rows, y.cols, BiasActivate<choice(), T>{bias.data, y});
  });
}

template <class T>
void linear_backward_input(Context& ctx, Mat<const T> dy, Mat<const T> w, Mat<T> dx, bool accumulate) {
  product(ctx, {dy}, transposed(w), accumulate, dx);
}

template <class T>
void linear_backward_params(Context& ctx, Mat<const T> x, Mat<const T> dy, Mat<T> dw, Mat<T> db) {
  product(ctx, transposed(x), {dy}, true, dw);
  if (db.data != nullptr) sum_columns(ctx, "linear_backward_params", dy, db);
}

template void linear_forward<float>(Context&, Mat<const float>, Mat<const float>, Mat<const float>,
                                    Activation, Mat<float>);
template void linear_backward_input<float>(Context&, Mat<const float>, Mat<const float>, Mat<float>, bool);
template void linear_backward_params<float>(Context&, Mat<const float>, Mat<const float>, Mat<float>,
                                            Mat<float>);

}  // namespace emshap::cuda
