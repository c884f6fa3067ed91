#include "emshap/ops/dropout.h"

#include "core/mat.h"
#include "cuda/pointwise.cuh"
#include "cuda/quad.cuh"
#include "math/dropout.h"

#define EMSHAP_BACKEND cuda
#include "ops/dropout_backend.h"

namespace emshap::cuda {
namespace {

/// A thread makes one Philox block and uses all its bits, for 8 neighbouring columns: one block for each
/// element would take longer than the loads. 8 bytes an element.
template <class T>
struct DropColumns {
  Mat<const T> x;
  Mat<T> y;
  math::DropoutStream stream;
  std::int64_t row_begin;  // of the batch
  T scale;
  bool aligned;
  __device__ void operator()(std::int64_t r, std::int64_t index) const {
    const math::DropoutBlock keep = stream.block(row_begin + r, index);
    const std::int64_t first = index * math::dropout_columns;
    const T* from = x.data + r * x.stride + first;
    T* to = y.data + r * y.stride + first;
    if (aligned && first + math::dropout_columns <= y.cols) {
      Quad low = load_quad(from), high = load_quad(from + 4);
      for (int i = 0; i < 4; ++i) {
        low.at[i] = keep.keeps(i) ? low.at[i] * scale : T(0);
        high.at[i] = keep.keeps(4 + i) ? high.at[i] * scale : T(0);
      }
      store_quad(to, low);
      store_quad(to + 4, high);
    } else {
      for (int i = 0; i < math::dropout_columns && first + i < y.cols; ++i)
        to[i] = keep.keeps(i) ? from[i] * scale : T(0);
    }
  }
};

template <class T>
struct Pass {
  Mat<const T> x;
  Mat<T> y;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    y.data[r * y.stride + c] = x.data[r * x.stride + c];
  }
};

}  // namespace

template <class T>
void dropout_apply(Context& ctx, Mat<const T> x, double p, const RandomKey& key, Mat<T> y) {
  if (p == 0) {
    flatten(x, y);
    return pointwise(ctx, "dropout_apply", y.rows, y.cols, Pass<T>{x, y});
  }
  pointwise(ctx, "dropout_apply", y.rows, math::ceil_div(y.cols, math::dropout_columns),
            DropColumns<T>{x, y, math::DropoutStream(key, p), ctx.plan(y.rows).row_begin,
                           static_cast<T>(1 / (1 - p)), rows_of_quads(x) && rows_of_quads(y)});
}

template void dropout_apply<float>(Context&, Mat<const float>, double, const RandomKey&, Mat<float>);

}  // namespace emshap::cuda
