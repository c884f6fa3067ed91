#include "emshap/ops/random_fill.h"

#include "core/mat.h"
#include "cuda/pointwise.cuh"
#include "cuda/quad.cuh"
#include "math/philox.h"
#include "math/random_value.h"

#define EMSHAP_BACKEND cuda
#include "ops/random_fill_backend.h"

namespace emshap::cuda {
namespace {

struct Uniform {
  __device__ float operator()(std::uint32_t word) const { return math::uniform_from(word); }
};
struct Normal {
  __device__ float operator()(std::uint32_t word) const { return math::normal_from(word); }
};

/// A thread makes one Philox block, four neighbouring columns. Scale and shift are two rounded steps, as on
/// the CPU.
template <class T, class Value>
struct FillColumns {
  Mat<T> y;
  math::PhiloxStream stream;
  std::int64_t row_begin;  // of the batch
  T scale, shift;
  bool aligned;
  __device__ void operator()(std::int64_t r, std::int64_t index) const {
    const math::PhiloxBlock words =
        stream.near_row(static_cast<std::uint64_t>(row_begin + r)).block(static_cast<std::uint32_t>(index));
    Quad made;
    for (int i = 0; i < 4; ++i) made.at[i] = Value()(words.word[i]) * scale + shift;
    T* to = y.data + r * y.stride + 4 * index;
    if (aligned && 4 * index + 4 <= y.cols)
      store_quad(to, made);
    else
      for (int i = 0; i < 4 && 4 * index + i < y.cols; ++i) to[i] = made.at[i];
  }
};

template <class Value, class T>
void fill(Context& ctx, const char* name, const RandomKey& key, double scale, double shift, Mat<T> y) {
  pointwise(ctx, name, y.rows, math::ceil_div(y.cols, 4),
            FillColumns<T, Value>{y, math::PhiloxStream(key), ctx.plan(y.rows).row_begin,
                                  static_cast<T>(scale), static_cast<T>(shift), rows_of_quads(y)});
}

}  // namespace

template <class T>
void fill_uniform(Context& ctx, const RandomKey& key, double low, double high, Mat<T> y) {
  fill<Uniform>(ctx, "fill_uniform", key, high - low, low, y);
}

template <class T>
void fill_normal(Context& ctx, const RandomKey& key, double mean, double sd, Mat<T> y) {
  fill<Normal>(ctx, "fill_normal", key, sd, mean, y);
}

template void fill_uniform<float>(Context&, const RandomKey&, double, double, Mat<float>);
template void fill_normal<float>(Context&, const RandomKey&, double, double, Mat<float>);

}  // namespace emshap::cuda
