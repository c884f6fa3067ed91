#include "cuda/tile_layer.cuh"
#include "emshap/core/error.h"
#include "math/activation.h"
#include "math/mlp_shape.h"
#include "ops/mlp_infer_backend.h"

// A block takes a tile of rows through all layers: only x and y pass through global memory, each once, and
// weights come from the L2 cache once a tile. Bound by products, as the energy network's kernel.
namespace emshap::cuda {
namespace {

/// Up to as many outputs of the last layer a thread adds up each by itself: chunks would be mostly empty.
constexpr int few_outputs = 4;

struct MlpLaunch {
  MlpStack stack;
  math::MlpTile tile;
  Mat<const float> x;
  Mat<float> y;
};

template <Activation A>
__global__ void __launch_bounds__(math::layer_threads) mlp_infer_kernel(MlpLaunch l) {
  float* memory = shared_memory<float>();
  float *in = memory + l.tile.buffers[0], *out = memory + l.tile.buffers[1];
  float* chunk = memory + l.tile.chunk;
  const int D = l.tile.draws, S = l.tile.stride, width = static_cast<int>(l.x.cols);
  const int me = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * D;
  for (int i = me; i < D * width; i += threads) {
    const int d = i / width, k = i % width;
    in[k * S + d] = first + d < l.x.rows ? l.x.data[(first + d) * l.x.stride + k] : 0.f;
  }
  const int last = l.stack.layers - 1;
  for (int layer = 0; layer < last; ++layer) {
    const float* bias = l.stack.layer[layer].bias;
    tile_layer(D, S, in, l.stack.layer[layer].weight, chunk, [&](int column, int g, Quad sum) {
      EMSHAP_UNROLL
      for (int i = 0; i < 4; ++i) sum.at[i] = math::activate<A>(sum.at[i] + bias[column]);
      store_quad(out + column * S + 4 * g, sum);
    });
    float* spare = in;
    in = out;
    out = spare;
  }
  const Mat<const float> w = l.stack.layer[last].weight;
  const float* bias = l.stack.layer[last].bias;
  if (w.cols > few_outputs) {
    tile_layer(D, S, in, w, chunk, [&](int column, int g, const Quad& sum) {
      EMSHAP_UNROLL
      for (int i = 0; i < 4; ++i) {
        const std::int64_t n = first + 4 * g + i;
        if (n < l.x.rows) l.y.data[n * l.y.stride + column] = sum.at[i] + bias[column];
      }
    });
    return;
  }
  __syncthreads();
  const int outputs = static_cast<int>(w.cols), depth = static_cast<int>(w.rows);
  for (int i = me; i < D * outputs; i += threads) {
    const int d = i % D, column = i / D;
    if (first + d >= l.x.rows) continue;
    float sum = 0.f;
    for (int k = 0; k < depth; ++k) sum = math::mul_add(in[k * S + d], w.data[k * w.stride + column], sum);
    l.y.data[(first + d) * l.y.stride + column] = sum + bias[column];
  }
}

}  // namespace

void mlp_infer(Context& ctx, const MlpStack& stack, Activation activation, Mat<const float> x, Mat<float> y) {
  std::int64_t widest[2] = {0, 0};
  for (int i = 0; i < stack.layers; ++i) {
    const std::int64_t inputs = stack.layer[i].weight.rows;
    if (inputs > widest[i % 2]) widest[i % 2] = inputs;
  }
  const math::MlpTile tile =
      math::mlp_tile(widest[0], widest[1], x.rows, block_shared_limit(ctx.device().index));
  if (tile.draws == 0)
    throw DeviceError(
        "the predictor's layers are too wide for the GPU: four rows do not fit into the shared memory of a "
        "block; use --device cpu");
  const Grid grid{math::ceil_div(x.rows, tile.draws), math::layer_threads, tile.bytes};
  const MlpLaunch l{stack, tile, x, y};
  math::with_activation(activation,
                        [&](auto choice) { launch(ctx, "mlp_infer", mlp_infer_kernel<choice()>, grid, l); });
}

}  // namespace emshap::cuda
