#pragma once
// Products of a tile of draws with a weight matrix inside a block: each thread multiplies four draws with
// four columns (of several matrices side by side), so that a load of four numbers serves sixteen
// multiplications.
#include "cuda/quad.cuh"
#include "math/scalar.h"

namespace emshap::cuda {

/// sum[p][i][j] += sum_k a[k][i] w[k][p part + j] in ascending k: a (depth rows of `a_stride`) holds draws
/// side by side.
template <int Parts>
__device__ inline void add_tile_product(const float* a, int a_stride, const float* w, std::int64_t w_stride,
                                        std::int64_t part, int depth, float (&sum)[Parts][4][4]) {
  for (int k = 0; k < depth; ++k) {
    const Quad x = load_quad(a + k * a_stride);
    const float* row = w + k * w_stride;
    EMSHAP_UNROLL
    for (int p = 0; p < Parts; ++p) {
      const Quad y = load_quad(row + p * part);
      EMSHAP_UNROLL
      for (int i = 0; i < 4; ++i) {
        EMSHAP_UNROLL
        for (int j = 0; j < 4; ++j) sum[p][i][j] = math::mul_add(x.at[i], y.at[j], sum[p][i][j]);
      }
    }
  }
}

/// Copies whole quads, by all threads of the block.
__device__ inline void copy_quads(const float* from, std::int64_t floats, float* to) {
  for (std::int64_t i = 4 * static_cast<std::int64_t>(threadIdx.x); i < floats; i += 4 * blockDim.x)
    store_quad(to + i, load_quad(from + i));
}

}  // namespace emshap::cuda
