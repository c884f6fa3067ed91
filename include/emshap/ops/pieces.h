#pragma once
// Piecewise-linear functions of single features, on a GPU: draws become raw rows, and raw rows the lines of a
// predictor's first layer (sum_table_lines of gather.h). On the CPU they throw DeviceError: DrawMap and
// PowerTables do the same there. All real tensors are f32. B rows, K draws each, F features, D raw columns, P
// pieces of all functions.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

/// One function a feature. Piece p = first[t] + j of feature t holds from the number begin[p] on, up to the
/// beginning of the next; the first one also below.
struct Pieces {
  ConstTensorView first;      ///< (F + 1) i32, ascending by at least 1; first[F] = P
  ConstTensorView begin;      ///< (P), ascending within a feature
  ConstTensorView origin;     ///< (P): from where a piece counts
  ConstTensorView low, high;  ///< (F): an argument outside is taken for the bound
};

/// index (B, F) i32 and factor (B, F): the piece on which raw (B, D) lies in column[t] (F, i32), and the
/// distance to the piece's origin.
EMSHAP_API void find_pieces(Context& ctx, const Pieces& pieces, ConstTensorView column, ConstTensorView raw,
                            TensorView index, TensorView factor);

/// value + slope (x - origin) of the piece of x.
struct PieceLines {
  ConstTensorView value, slope;     ///< (P)
  ConstTensorView least, greatest;  ///< (F): arguments beyond these lie outside the function's range
};

/// rows (B K, D): the raw rows (B, D), each K times, with the unknown features' columns from the draws
/// (B K, F). mask (B, F): 1 = known; feature (D) i32: the feature of each raw column or -1. counts (2) i32:
/// how many draws of unknown features lie outside their range, and how many are not a number (rows have NaN
/// there).
EMSHAP_API void complete_rows(Context& ctx, const Pieces& pieces, const PieceLines& lines,
                              ConstTensorView feature, ConstTensorView draws, ConstTensorView mask,
                              ConstTensorView raw, TensorView rows, TensorView counts);

}  // namespace emshap::ops
