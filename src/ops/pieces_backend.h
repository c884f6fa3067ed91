#pragma once
// Backend of pieces.h: CUDA alone has it.
#include <cstdint>

#include "core/mat.h"
#include "emshap/core/context.h"

namespace emshap::cuda {

struct PieceArrays {
  const std::int32_t* first;
  const float *begin, *origin, *low, *high;
};
struct LineArrays {
  const float *value, *slope, *least, *greatest;
};

void find_pieces(Context& ctx, const PieceArrays& pieces, const std::int32_t* column, Mat<const float> raw,
                 Mat<std::int32_t> index, Mat<float> factor);
void complete_rows(Context& ctx, const PieceArrays& pieces, const LineArrays& lines,
                   const std::int32_t* feature, Mat<const float> draws, Mat<const float> mask,
                   Mat<const float> raw, Mat<float> rows, std::int32_t* counts);

}  // namespace emshap::cuda
