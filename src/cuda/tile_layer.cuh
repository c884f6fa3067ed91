#pragma once
// A dense layer of a tile of rows inside a block of layer_threads: the rows' units lie in shared memory,
// weights pass through it in chunks and come from the L2 cache once a tile.
#include "core/mat.h"
#include "cuda/tile_product.cuh"
#include "math/layer_shape.h"

namespace emshap::cuda {

/// store(column, group, sums of its four draws) for all columns of in W, in (units of `S` floats, draws side
/// by side); `chunk` holds layer_chunk_rows x layer_chunk_cols floats of W. Begins with a barrier.
template <class Store>
__device__ void tile_layer(int draws, int S, const float* in, const Mat<const float>& w, float* chunk,
                           const Store& store) {
  constexpr int chunk_rows = math::layer_chunk_rows, chunk_cols = math::layer_chunk_cols,
                half = chunk_cols / 2;
  const int item = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int u = item % (half / 4) * 4, g = item / (half / 4);
  const bool works = g < draws / 4;
  const int depth = static_cast<int>(w.rows), cols = static_cast<int>(w.cols);
  for (int c0 = 0; c0 < cols; c0 += chunk_cols) {
    float sum[2][4][4] = {};
    for (int k0 = 0; k0 < depth; k0 += chunk_rows) {
      const int rows = depth - k0 < chunk_rows ? depth - k0 : chunk_rows;
      __syncthreads();
      for (int i = item; i < rows * chunk_cols; i += threads) {
        const int k = i / chunk_cols, c = i % chunk_cols;
        chunk[i] = c0 + c < cols ? w.data[(k0 + k) * w.stride + c0 + c] : 0.f;
      }
      __syncthreads();
      if (works) add_tile_product<2>(in + k0 * S + 4 * g, S, chunk + u, chunk_cols, half, rows, sum);
    }
    if (!works) continue;
    EMSHAP_UNROLL
    for (int p = 0; p < 2; ++p) {
      EMSHAP_UNROLL
      for (int j = 0; j < 4; ++j) {
        const int column = c0 + p * half + u + j;
        if (column < cols) store(column, g, Quad{{sum[p][0][j], sum[p][1][j], sum[p][2][j], sum[p][3][j]}});
      }
    }
  }
}

}  // namespace emshap::cuda
