#include "cuda/tile_layer.cuh"
#include "emshap/core/error.h"
#include "math/activation.h"
#include "math/energy_shape.h"
#include "ops/energy_infer_backend.h"

// A block takes a tile of completions through all layers: only x, a row of `shared` per condition and the
// energies pass through global memory, weights come from the L2 cache once a tile. Bound by products: at 128
// units 8 multiplications for each number that a tile of 64 reads from L2 per draw, 32 for three loads of
// four numbers from shared memory.
//
// A launch of its own, not the end of the sampler's kernel: with 128 units and four layers the weights (256
// KiB) do not fit beside those of the GRU, a tile would wait for both, and x (4 F bytes a draw) comes from
// L2.
namespace emshap::cuda {
namespace {

struct EnergyLaunch {
  EnergyStack stack;
  math::EnergyTile tile;
  Mat<const float> x, shared;
  std::int64_t completions;  ///< R
  float* energy;
};

template <Activation A>
__global__ void __launch_bounds__(math::layer_threads) energy_infer_kernel(EnergyLaunch l) {
  float* memory = shared_memory<float>();
  float *stream = memory + l.tile.buffers[0], *u = memory + l.tile.buffers[1],
        *next = memory + l.tile.buffers[2];
  float* chunk = memory + l.tile.chunk;
  const int D = l.tile.draws, S = l.tile.stride, F = static_cast<int>(l.x.cols);
  const int units = static_cast<int>(l.shared.cols), me = static_cast<int>(threadIdx.x),
            threads = static_cast<int>(blockDim.x);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * D;
  for (int i = me; i < D * F; i += threads) {
    const int d = i / F, t = i % F;
    u[t * S + d] = first + d < l.x.rows ? l.x.data[(first + d) * l.x.stride + t] : 0.f;
  }
  tile_layer(D, S, u, l.stack.completion, chunk, [&](int column, int g, Quad sum) {
    EMSHAP_UNROLL
    for (int i = 0; i < 4; ++i) {
      const std::int64_t n = first + 4 * g + i;
      const float of_row = n < l.x.rows ? l.shared.data[n / l.completions * l.shared.stride + column] : 0.f;
      sum.at[i] = math::activate<A>(sum.at[i] + of_row);
    }
    store_quad(stream + column * S + 4 * g, sum);
  });
  for (int layer = 0; layer < l.stack.layers; ++layer) {
    const bool begins = layer % l.stack.depth == 0, ends = (layer + 1) % l.stack.depth == 0;
    const float* bias = l.stack.layer[layer].bias;
    float* in = begins ? stream : u;
    // The last layer of a block adds to the stream, in place where nobody reads that any more.
    float* out = !ends || begins ? next : stream;
    tile_layer(D, S, in, l.stack.layer[layer].weight, chunk, [&](int column, int g, Quad sum) {
      const Quad before = load_quad(stream + column * S + 4 * g);
      EMSHAP_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float y = math::activate<A>(sum.at[i] + bias[column]);
        sum.at[i] = ends ? before.at[i] + y : y;
      }
      store_quad(out + column * S + 4 * g, sum);
    });
    if (out == stream) continue;
    float* spare = ends ? stream : u;
    if (ends)
      stream = next;
    else
      u = next;
    next = spare;
  }
  __syncthreads();
  for (int d = me; d < D; d += threads) {
    if (first + d >= l.x.rows) continue;
    float raw = 0.f;
    for (int k = 0; k < units; ++k)
      raw = math::mul_add(stream[k * S + d], l.stack.output.data[k * l.stack.output.stride], raw);
    raw += l.stack.output_bias[0];
    l.energy[first + d] =
        l.stack.bound > 0 ? l.stack.bound * math::activate<Activation::tanh>(raw / l.stack.bound) : raw;
  }
}

}  // namespace

void energy_infer(Context& ctx, const EnergyStack& stack, Activation activation, Mat<const float> x,
                  Mat<const float> shared, float* energy) {
  const math::EnergyTile tile =
      math::energy_tile(x.cols, shared.cols, x.rows, block_shared_limit(ctx.device().index));
  if (tile.draws == 0)
    throw DeviceError(
        "the energy network is too wide for the GPU: four completions do not fit into the shared "
        "memory of a block; use --device cpu");
  const Grid grid{math::ceil_div(x.rows, tile.draws), math::layer_threads, tile.bytes};
  const EnergyLaunch l{stack, tile, x, shared, x.rows / shared.rows, energy};
  math::with_activation(
      activation, [&](auto choice) { launch(ctx, "energy_infer", energy_infer_kernel<choice()>, grid, l); });
}

}  // namespace emshap::cuda
