#include "emshap/ops/elementwise.h"

#include "core/mat.h"
#include "cuda/pointwise.cuh"
#include "math/scalar.h"

#define EMSHAP_BACKEND cuda
#include "ops/elementwise_backend.h"

// A functor for each op rather than a lambda: its members are what travels to the device.
namespace emshap::cuda {
namespace {

template <class T>
struct Fill {
  T value;
  Mat<T> y;
  __device__ void operator()(std::int64_t r, std::int64_t c) const { y.data[r * y.stride + c] = value; }
};

template <class T, class U>
struct Copy {
  Mat<const T> x;
  Mat<U> y;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    y.data[r * y.stride + c] = static_cast<U>(x.data[r * x.stride + c]);
  }
};

template <class T>
struct Add {
  Mat<const T> a, b;
  Mat<T> y;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    y.data[r * y.stride + c] = a.data[r * a.stride + c] + b.data[r * b.stride + c];
  }
};

template <class T>
struct Multiply {
  Mat<const T> a, b;
  Mat<T> y;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    y.data[r * y.stride + c] = a.data[r * a.stride + c] * b.data[r * b.stride + c];
  }
};

template <class T>
struct Affine {
  Mat<const T> x;
  T scale, shift;
  Mat<T> y;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    y.data[r * y.stride + c] = math::mul_add(scale, x.data[r * x.stride + c], shift);
  }
};

template <class T>
struct Axpy {
  T alpha;
  Mat<const T> x;
  Mat<T> y;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    T& to = y.data[r * y.stride + c];
    to = math::mul_add(alpha, x.data[r * x.stride + c], to);
  }
};

template <class T>
struct ScaleShiftColumns {
  Mat<const T> x, scale, shift;
  Mat<T> y;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    y.data[r * y.stride + c] = math::mul_add(x.data[r * x.stride + c], scale.data[c], shift.data[c]);
  }
};

}  // namespace

template <class T>
void fill(Context& ctx, double value, Mat<T> y) {
  pointwise(ctx, "fill", y.rows, y.cols, Fill<T>{static_cast<T>(value), y});
}

/// A CUDA team has one member, who owns the whole buffer.
template <class T>
void fill_shared(Context& ctx, double value, Mat<T> y) {
  fill<T>(ctx, value, y);
}

template <class T, class U>
void copy(Context& ctx, Mat<const T> x, Mat<U> y) {
  pointwise(ctx, "copy", y.rows, y.cols, Copy<T, U>{x, y});
}

template <class T>
void add(Context& ctx, Mat<const T> a, Mat<const T> b, Mat<T> y) {
  pointwise(ctx, "add", y.rows, y.cols, Add<T>{a, b, y});
}

template <class T>
void multiply(Context& ctx, Mat<const T> a, Mat<const T> b, Mat<T> y) {
  pointwise(ctx, "multiply", y.rows, y.cols, Multiply<T>{a, b, y});
}

template <class T>
void affine(Context& ctx, Mat<const T> x, double scale, double shift, Mat<T> y) {
  pointwise(ctx, "affine", y.rows, y.cols, Affine<T>{x, static_cast<T>(scale), static_cast<T>(shift), y});
}

template <class T>
void axpy(Context& ctx, double alpha, Mat<const T> x, Mat<T> y) {
  pointwise(ctx, "axpy", y.rows, y.cols, Axpy<T>{static_cast<T>(alpha), x, y});
}

template <class T>
void scale_shift_columns(Context& ctx, Mat<const T> x, Mat<const T> scale, Mat<const T> shift, Mat<T> y) {
  pointwise(ctx, "scale_shift_columns", y.rows, y.cols, ScaleShiftColumns<T>{x, scale, shift, y});
}

template void fill<float>(Context&, double, Mat<float>);
template void fill_shared<float>(Context&, double, Mat<float>);
template void copy<float, float>(Context&, Mat<const float>, Mat<float>);
template void copy<float, double>(Context&, Mat<const float>, Mat<double>);
template void add<float>(Context&, Mat<const float>, Mat<const float>, Mat<float>);
template void multiply<float>(Context&, Mat<const float>, Mat<const float>, Mat<float>);
template void affine<float>(Context&, Mat<const float>, double, double, Mat<float>);
template void axpy<float>(Context&, double, Mat<const float>, Mat<float>);
template void scale_shift_columns<float>(Context&, Mat<const float>, Mat<const float>, Mat<const float>,
                                         Mat<float>);

}  // namespace emshap::cuda
