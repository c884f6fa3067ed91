#pragma once
// Scratch tensors and row tiles of the layers.
#include <algorithm>

#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

/// Uninitialised, until the caller's Workspace::Scope ends.
inline TensorView scratch(Context& ctx, Shape shape, DType dtype) {
  return {ctx.workspace().take_bytes(shape.elements() * size_of(dtype)), shape, dtype, ctx.device()};
}

/// Rows that pass through a network together in infer: their activations stay in the L2 cache.
constexpr std::int64_t tile_rows = 128;

/// body(begin, count) for each tile of [0, rows).
template <class Body>
void for_row_tiles(std::int64_t rows, const Body& body) {
  for (std::int64_t begin = 0; begin < rows; begin += tile_rows)
    body(begin, std::min(tile_rows, rows - begin));
}

/// A gradient nobody wants is passed as an empty view.
inline bool wanted(const TensorView& dx) {
  return dx.elements() > 0;
}

}  // namespace emshap
