// Mixtures of Gaussians, one thread a pair; see row_tile.cuh. A pair of C components moves 12 C bytes in and,
// with gradients, as many out, and takes some 60 operations a component (a loss) to 60 a component and step
// of Newton's method (a draw): losses are bound by memory, draws by arithmetic.
#include "emshap/ops/density.h"

#include "cuda/pointwise.cuh"
#include "cuda/row_tile.cuh"
#include "math/mixture.h"
#include "math/mixture_interval.h"

#define EMSHAP_BACKEND cuda
#include "ops/density_backend.h"

namespace emshap::cuda {
namespace {

using In = Mat<const float>;
using Out = Mat<float>;
using Numbers = RowNumbers<const float>;
using OutNumbers = RowNumbers<float>;

struct MixtureLoss {
  In head;
  Numbers mean, log_sd, x, weight;
  OutNumbers value;
  Out dhead;
  __device__ void load(const RowTile& tile) const { tile.load(head, 0); }
  __device__ void row(std::int64_t p, float* own) const {
    const int C = static_cast<int>(head.cols / 3);
    const float w = weight.at(p);
    float* const work = own + 3 * C;
    const bool none = w == 0;
    const float loss =
        none ? 0.f
             : math::mixture_loss(C, own, mean.at(p), log_sd.at(p), x.at(p), ops::mixture_min_scale, work);
    value.at(p) = none ? 0.f : w * loss;
    for (int j = 0; j < 3 * C; ++j) work[j] = none ? 0.f : w * work[j];
  }
  __device__ void store(const RowTile& tile) const {
    if (dhead.data != nullptr) tile.store(dhead, head.cols);
  }
};

struct MixtureFromHead {
  In head;
  Numbers mean, log_sd, wanted;
  Out mixture;
  __device__ void load(const RowTile& tile) const { tile.load(head, 0); }
  __device__ void row(std::int64_t p, float* own) const {
    const int C = static_cast<int>(head.cols / 3);
    float* const out = own + 3 * C;
    if (wanted.data != nullptr && wanted.at(p) == 0)
      for (int j = 0; j < 3 * C; ++j) out[j] = 0;
    else
      math::mixture_from_head(C, own, mean.at(p), log_sd.at(p), ops::mixture_min_scale, out);
  }
  __device__ void store(const RowTile& tile) const { tile.store(mixture, head.cols); }
};

struct MixtureLogDensity {
  In mixture;
  Numbers x;
  OutNumbers value;
  __device__ void load(const RowTile& tile) const { tile.load(mixture, 0); }
  __device__ void row(std::int64_t p, float* own) const {
    const int C = static_cast<int>(mixture.cols / 3);
    value.at(p) = math::mixture_log_density(C, own, x.at(p), own + 3 * C);
  }
  __device__ void store(const RowTile&) const {}
};

// Not on the path of training: in double.
struct MixtureLogInterval {
  In mixture;
  Numbers left, right;
  OutNumbers value;
  __device__ void load(const RowTile& tile) const { tile.load(mixture, 0); }
  __device__ void row(std::int64_t p, const float* own) const {
    const int C = static_cast<int>(mixture.cols / 3);
    value.at(p) = static_cast<float>(math::mixture_log_interval(C, own, static_cast<double>(left.at(p)),
                                                                static_cast<double>(right.at(p))));
  }
  __device__ void store(const RowTile&) const {}
};

struct MixtureMoments {
  In mixture;
  OutNumbers mean, variance;
  __device__ void load(const RowTile& tile) const { tile.load(mixture, 0); }
  __device__ void row(std::int64_t p, const float* own) const {
    const auto moments = math::mixture_moments(static_cast<int>(mixture.cols / 3), own);
    mean.at(p) = moments.mean;
    variance.at(p) = moments.variance;
  }
  __device__ void store(const RowTile&) const {}
};

/// A mixture that several pairs in sequence share is read where it lies: the lanes of a warp read the same
/// words at once, which one load brings to all.
struct MixtureDraw {
  In mixture, uniforms;
  Numbers wanted;
  OutNumbers x, log_q;
  std::int64_t share;
  __device__ void load(const RowTile& tile) const {
    if (share == 1) tile.load(mixture, 0);
  }
  __device__ void row(std::int64_t p, float* own) const {
    const int C = static_cast<int>(mixture.cols / 3);
    const std::int64_t r = share == 1 ? p : p / share;
    if (wanted.data != nullptr && wanted.at(r) == 0) return;
    const float* const numbers = share == 1 ? own : mixture.data + r * mixture.stride;
    float* const work = share == 1 ? own + 3 * C : own;
    const float drawn =
        math::mixture_draw(C, numbers, uniforms.data[p % uniforms.rows * uniforms.stride], work);
    if (log_q.data != nullptr) log_q.at(p) += math::mixture_log_density(C, numbers, drawn, work);
    x.at(p) = drawn;
  }
  __device__ void store(const RowTile&) const {}
};

}  // namespace

template <>
void mixture_loss<float>(Context& ctx, In head, In mean, In log_sd, In x, In weight, Out value, Out dhead) {
  const std::int64_t C = head.cols / 3;
  row_tiles(ctx, "mixture_loss", head.rows, 8 * C,
            MixtureLoss{head, Numbers(mean), Numbers(log_sd), Numbers(x), Numbers(weight), OutNumbers(value),
                        dhead});
}

template <>
void mixture_from_head<float>(Context& ctx, In head, In mean, In log_sd, In wanted, Out mixture) {
  row_tiles(ctx, "mixture_from_head", head.rows, 2 * head.cols,
            MixtureFromHead{head, Numbers(mean), Numbers(log_sd), Numbers(wanted), mixture});
}

template <>
void mixture_log_density<float>(Context& ctx, In mixture, In x, Out value) {
  row_tiles(ctx, "mixture_log_density", mixture.rows, mixture.cols / 3 * 4,
            MixtureLogDensity{mixture, Numbers(x), OutNumbers(value)});
}

template <>
void mixture_log_interval<float>(Context& ctx, In mixture, In left, In right, Out value) {
  row_tiles(ctx, "mixture_log_interval", mixture.rows, mixture.cols,
            MixtureLogInterval{mixture, Numbers(left), Numbers(right), OutNumbers(value)});
}

template <>
void mixture_moments<float>(Context& ctx, In mixture, Out mean, Out variance) {
  row_tiles(ctx, "mixture_moments", mixture.rows, mixture.cols,
            MixtureMoments{mixture, OutNumbers(mean), OutNumbers(variance)});
}

template <>
void mixture_draw<float>(Context& ctx, In mixture, In uniforms, In wanted, Out x, Out log_q) {
  const std::int64_t pairs = x.rows * x.cols;
  if (pairs == 0) return;
  const std::int64_t share = pairs / mixture.rows;
  row_tiles(ctx, "mixture_draw", pairs, share == 1 ? 2 * mixture.cols : mixture.cols,
            MixtureDraw{mixture, uniforms, Numbers(wanted), OutNumbers(x), OutNumbers(log_q), share});
}

}  // namespace emshap::cuda
