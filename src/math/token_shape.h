#pragma once
// How the gradients of token tables (ops/recurrent.h) are summed by blocks of a GPU: a block adds up one line
// of a table for 32 units over a part of the rows. Its warps look through windows of tokens one after
// another, each noting the rows of its line before it reads them.
#include "math/launch_shape.h"

namespace emshap::math {

struct TokenShape {
  std::int64_t part_rows = 0;  ///< of every part but possibly the last; whole windows
  std::int64_t parts = 0;
};

inline constexpr int token_warps = 8;
inline constexpr int token_threads = token_warps * warp_threads;
inline constexpr int token_window = 128;  ///< tokens that a warp looks through at a time
inline constexpr std::int64_t token_most_parts = 16;

/// Parts hold whole windows of all warps, so that none is idle while others work.
EMSHAP_HD constexpr TokenShape token_shape(std::int64_t rows) {
  if (rows == 0) return {};
  const std::int64_t part =
      round_up(ceil_div(rows, token_most_parts), std::int64_t{token_warps} * token_window);
  return {part, ceil_div(rows, part)};
}

}  // namespace emshap::math
