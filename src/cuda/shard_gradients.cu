#include "core/mat.h"
#include "cuda/launch.h"
#include "emshap/core/context.h"

#define EMSHAP_BACKEND cuda
#include "ops/shard_gradients_backend.h"

namespace emshap::cuda {
namespace {

/// A thread adds up a column in the order of the shards, at most 32 of them: each slab is read once,
/// coalesced. One thread of a block of its own does so with the losses.
template <class T>
__global__ void add_shards_kernel(Mat<const T> slabs, const double* losses, std::int64_t n, T* gradient,
                                  T* loss) {
  const std::int64_t blocks = static_cast<std::int64_t>(gridDim.x) - 1;
  if (blockIdx.x == blocks) {
    if (threadIdx.x != 0) return;
    double sum = 0;
    for (std::int64_t s = 0; s < slabs.rows; ++s) sum += losses[s];
    *loss = static_cast<T>(sum);
    return;
  }
  for (std::int64_t c = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; c < n;
       c += blocks * blockDim.x) {
    T sum = 0;
    for (std::int64_t s = 0; s < slabs.rows; ++s) sum += slabs.data[s * n + c];
    gradient[c] += sum;
  }
}

}  // namespace

template <class T>
void add_shard_gradients(Context& ctx, Mat<const T> slabs, const double* losses, Mat<T> gradient, T* loss) {
  const std::int64_t n = gradient.rows * gradient.cols;
  launch(ctx, "add_shard_gradients", add_shards_kernel<T>, Grid{pointwise_blocks(n) + 1, pointwise_threads},
         slabs, losses, n, gradient.data, loss);
}

template void add_shard_gradients<float>(Context&, Mat<const float>, const double*, Mat<float>, float*);

}  // namespace emshap::cuda
