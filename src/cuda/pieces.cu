// Piecewise-linear functions, a thread for each number. Bound by the steps of the search, whose tables (some
// thousand numbers a feature) lie in L1 and L2.
#include "math/pieces.h"

#include "cuda/pointwise.cuh"
#include "cuda/rows.cuh"
#include "ops/pieces_backend.h"

namespace emshap::cuda {
namespace {

/// The piece of x, which lies within the bounds.
__device__ inline std::int32_t piece_of(const PieceArrays& p, std::int64_t t, float x) {
  const std::int32_t first = p.first[t];
  return first + math::pieces_begun(p.begin + first + 1, p.first[t + 1] - first - 1, x);
}
/// NaN stays.
__device__ inline float bounded(const PieceArrays& p, std::int64_t t, float x) {
  return x < p.low[t] ? p.low[t] : x > p.high[t] ? p.high[t] : x;
}

struct FindPieces {
  PieceArrays pieces;
  const std::int32_t* column;
  Mat<const float> raw;
  Mat<std::int32_t> index;
  Mat<float> factor;
  __device__ void operator()(std::int64_t b, std::int64_t t) const {
    const float x = bounded(pieces, t, row_of(raw, b)[column[t]]);
    const std::int32_t piece = piece_of(pieces, t, x);
    row_of(index, b)[t] = piece;
    row_of(factor, b)[t] = x - pieces.origin[piece];
  }
};

struct NoCounts {
  std::int32_t* counts;
  __device__ void operator()(std::int64_t, std::int64_t i) const { counts[i] = 0; }
};

struct CompleteRows {
  PieceArrays pieces;
  LineArrays lines;
  const std::int32_t* feature;
  Mat<const float> draws, mask, raw;
  Mat<float> rows;
  std::int64_t draws_each;
  std::int32_t* counts;  // sums of integers: their order does not matter
  __device__ void operator()(std::int64_t n, std::int64_t c) const {
    const std::int64_t b = n / draws_each;
    const std::int32_t t = feature[c];
    float& to = row_of(rows, n)[c];
    if (t < 0 || row_of(mask, b)[t] > .5f) {
      to = row_of(raw, b)[c];
      return;
    }
    const float x = bounded(pieces, t, row_of(draws, n)[t]);
    const std::int32_t piece = piece_of(pieces, t, x);
    to = lines.value[piece] + lines.slope[piece] * (x - pieces.origin[piece]);
    if (x < lines.least[t] || x > lines.greatest[t]) atomicAdd(counts, 1);
    if (!(x == x)) atomicAdd(counts + 1, 1);
  }
};

}  // namespace

void find_pieces(Context& ctx, const PieceArrays& pieces, const std::int32_t* column, Mat<const float> raw,
                 Mat<std::int32_t> index, Mat<float> factor) {
  pointwise(ctx, "find_pieces", factor.rows, factor.cols, FindPieces{pieces, column, raw, index, factor});
}

void complete_rows(Context& ctx, const PieceArrays& pieces, const LineArrays& lines,
                   const std::int32_t* feature, Mat<const float> draws, Mat<const float> mask,
                   Mat<const float> raw, Mat<float> rows, std::int32_t* counts) {
  pointwise(ctx, "complete_rows: counts", 1, 2, NoCounts{counts});
  const std::int64_t each = raw.rows > 0 ? rows.rows / raw.rows : 1;
  pointwise(ctx, "complete_rows", rows.rows, rows.cols,
            CompleteRows{pieces, lines, feature, draws, mask, raw, rows, each, counts});
}

}  // namespace emshap::cuda
