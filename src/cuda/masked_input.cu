#include "emshap/ops/masked_input.h"

#include "cuda/by_value.cuh"
#include "cuda/pointwise.cuh"
#include "cuda/row_tile.cuh"
#include "math/random_mask.h"

#define EMSHAP_BACKEND cuda
#include "ops/masked_input_backend.h"

namespace emshap::cuda {
namespace {

/// Selection sampling goes through a row in order: a thread a row, rows brought in and out by the block.
struct RandomMasks {
  math::PhiloxStream stream;
  std::int64_t first_row;
  const double* sizes;
  double scale;
  Mat<const float> observed;
  Mat<float> mask, weight;
  __device__ void load(const RowTile& tile) const { tile.load(observed, 0); }
  __device__ void row(std::int64_t r, float* own) const {
    math::random_mask(stream.row(static_cast<std::uint64_t>(first_row + r)), sizes, scale, observed.cols, own,
                      own, own + observed.cols);
  }
  __device__ void store(const RowTile& tile) const {
    tile.store(mask, 0);
    tile.store(weight, observed.cols);
  }
};

/// A thread for a feature's four numbers and one for each category: all tensors are read once, along rows,
/// and y is written along rows.
template <class T>
struct MaskedInput {
  Mat<const T> x, mask, mu, log_sd;
  Mat<const std::int32_t> code;
  const std::int32_t* offset;
  Mat<T> y;
  __device__ void operator()(std::int64_t r, std::int64_t c) const {
    const std::int64_t F = x.cols;
    T* const to = y.data + r * y.stride;
    if (c < F) {
      const bool known = mask.data[r * mask.stride + c] > T(.5);
      to[c] = known ? x.data[r * x.stride + c] : T(0);
      to[F + c] = known ? T(1) : T(0);
      to[2 * F + c] = known ? T(0) : mu.data[r * mu.stride + c];
      to[3 * F + c] = known ? T(0) : log_sd.data[r * log_sd.stride + c];
      return;
    }
    // The last feature whose categories begin at or before this one.
    const std::int64_t v = c - F;
    std::int64_t low = 0, high = F;
    while (high - low > 1) {
      const std::int64_t middle = (low + high) / 2;
      if (offset[middle] <= v)
        low = middle;
      else
        high = middle;
    }
    const bool one = F > 0 && offset[low] <= v && v < offset[low + 1] &&
                     mask.data[r * mask.stride + low] > T(.5) &&
                     code.data[r * code.stride + low] == v - offset[low];
    to[3 * F + c] = one ? T(1) : T(0);
  }
};

}  // namespace

template <>
void random_masks<float>(Context& ctx, const RandomKey& key, std::int64_t first_row, const double* sizes,
                         double scale, Mat<const float> observed, Mat<float> mask, Mat<float> weight) {
  if (observed.rows == 0 || observed.cols == 0) return;
  const Workspace::Scope scope(ctx.workspace());
  const double* weights = by_value(ctx, sizes, observed.cols);
  row_tiles(ctx, "random_masks", observed.rows, 2 * observed.cols,
            RandomMasks{math::PhiloxStream(key), first_row, weights, scale, observed, mask, weight});
}

template <>
void masked_input<float>(Context& ctx, Mat<const float> x, Mat<const float> mask, Mat<const float> mu,
                         Mat<const float> log_sd, Mat<const std::int32_t> code,
                         Mat<const std::int32_t> offset, Mat<float> y) {
  pointwise(ctx, "masked_input", y.rows, y.cols - 3 * x.cols,
            MaskedInput<float>{x, mask, mu, log_sd, code, offset.data, y});
}

}  // namespace emshap::cuda
