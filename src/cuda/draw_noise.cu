#include "math/draw_noise.h"

#include "core/mat.h"
#include "cuda/by_value.cuh"
#include "cuda/pointwise.cuh"
#include "emshap/ops/draw_noise.h"
#include "math/philox.h"
#include "math/random_value.h"
#include "math/sobol.h"

#define EMSHAP_BACKEND cuda
#include "ops/draw_noise_backend.h"

namespace emshap::cuda {
namespace {

/// The Sobol points of the draws, shared by all rows: (draws, dimensions).
struct SobolPoints {
  const std::uint32_t* directions;  // (dimensions, bits)
  int bits;
  std::int64_t first_draw, dimensions;
  std::uint32_t* points;
  __device__ void operator()(std::int64_t k, std::int64_t d) const {
    points[k * dimensions + d] =
        math::sobol_word(directions + bits * d, static_cast<std::uint32_t>(first_draw + k));
  }
};

/// A thread for four numbers of a row: one Philox block gives their words or the scrambles of their
/// dimensions. 4 bytes written a number; the ten rounds of Philox bound the time.
template <class T>
struct DrawNoiseBlock {
  math::PhiloxStream stream;
  const std::int64_t* numbers;
  std::int64_t first_draw, draws, blocks;
  const std::uint32_t* points;
  std::int64_t dimensions;
  Mat<T> y;
  __device__ void operator()(std::int64_t r, std::int64_t b) const {
    const std::int64_t i = r / draws, k = r % draws;
    const math::PhiloxRow row = stream.row(static_cast<std::uint64_t>(numbers[i]));
    math::PhiloxBlock words{}, seeds{};
    if (4 * b + 3 >= dimensions) words = row.block(static_cast<std::uint32_t>((first_draw + k) * blocks + b));
    if (4 * b < dimensions) seeds = row.block(math::scramble_blocks + static_cast<std::uint32_t>(b));
    for (int w = 0; w < 4; ++w) {
      const std::int64_t c = 4 * b + w;
      if (c >= y.cols) return;
      const std::uint32_t word =
          c < dimensions ? math::owen_scramble(points[k * dimensions + c], seeds.word[w]) : words.word[w];
      y.data[r * y.stride + c] = math::uniform_from(word);
    }
  }
};

}  // namespace

template <>
void fill_draw_noise<float>(Context& ctx, const RandomKey& key, const std::int64_t* numbers,
                            std::int64_t first_draw, std::int64_t draws, const std::uint32_t* directions,
                            std::int64_t dimensions, Mat<float> y) {
  if (y.rows == 0 || y.cols == 0) return;
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t* rows = by_value(ctx, numbers, y.rows / draws);
  std::uint32_t* points = nullptr;
  if (dimensions > 0) {
    // Only as many direction numbers as the largest point has bits.
    int bits = 0;
    while (((first_draw + draws - 1) >> bits) != 0) ++bits;
    constexpr int most_bits = 32;
    std::uint32_t packed[math::sobol_dimensions * most_bits];
    for (std::int64_t d = 0; d < dimensions; ++d)
      for (int i = 0; i < bits; ++i) packed[d * bits + i] = directions[d * most_bits + i];
    points = ctx.workspace().take<std::uint32_t>(draws * dimensions);
    const std::uint32_t* table = by_value(ctx, packed, dimensions * bits);
    pointwise(ctx, "fill_draw_noise: points", draws, dimensions,
              SobolPoints{table, bits, first_draw, dimensions, points});
  }
  const std::int64_t blocks = (y.cols + 3) / 4;
  pointwise(
      ctx, "fill_draw_noise", y.rows, blocks,
      DrawNoiseBlock<float>{math::PhiloxStream(key), rows, first_draw, draws, blocks, points, dimensions, y});
}

}  // namespace emshap::cuda
