#pragma once
// Layers of the set-GRU's head, what ops/set_head.h and ops/draw_step.h share: products by cuBLAS, all
// between two of them in one pass.
#include "cuda/cublas.h"
#include "cuda/pointwise.cuh"
#include "cuda/rows.cuh"
#include "math/scalar.h"

namespace emshap::cuda {

template <class T>
Mat<const T> in(const Mat<T>& m) {
  return {m.data, m.rows, m.cols, m.stride};
}

/// max(0, z) that keeps NaN.
template <class T>
__device__ inline T head_relu(T z) {
  return math::select(z < T(0), T(0), z);
}

template <class T>
struct AddGrowth {
  Mat<const T> u0;
  Mat<T> u;
  __device__ void operator()(std::int64_t p, std::int64_t i) const {
    T& to = row_of(u, p)[i];
    to = row_of(u0, p)[i] + head_relu(to);
  }
};

/// u = u0 + relu(u0 hidden)
template <class T>
void second_layer(Context& ctx, Mat<const T> u0, Mat<const T> hidden, Mat<T> u) {
  product(ctx, {u0}, {hidden}, false, u);
  pointwise(ctx, "set_head, second layer", u.rows, u.cols, AddGrowth<T>{u0, u});
}

}  // namespace emshap::cuda
