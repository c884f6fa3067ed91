#pragma once
// Masks drawn for training and the input of networks that see a row through a mask. B rows, F features, V
// categories. A mask is 1 (anything above .5) where a feature is known, else 0.
#include <cstdint>
#include <span>

#include "emshap/core/context.h"
#include "emshap/core/random.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

/// One mask a row: |S| = a with weight sizes[a], a < n, n the number of observed entries (of the row; if all
/// those weights are 0, a = n - 1), S uniform among its observed subsets of that size. observed, mask and
/// weight (B, F); weight = scale / (n - a) for observed entries outside S, else 0. sizes (F), not negative.
/// Row r depends on (key, first_row + r) only: word 0 of its stream gives the size, word t + 1 decides about
/// feature t.
EMSHAP_API void random_masks(Context& ctx, const RandomKey& key, std::int64_t first_row,
                             std::span<const double> sizes, double scale, ConstTensorView observed,
                             TensorView mask, TensorView weight);

/// y (B, 4 F + V) = [x m; m; (1 - m) mu; (1 - m) log_sd; one-hot codes of the known categorical features]. x,
/// mask, mu, log_sd (B, F); code (B, F) i32 and offset (F + 1) i32, where the categories of each feature
/// begin (V = offset[F]), may be empty views when V = 0. Unknown entries of x and code are not read; a code
/// outside its feature's categories leaves all of them 0.
EMSHAP_API void masked_input(Context& ctx, ConstTensorView x, ConstTensorView mask, ConstTensorView mu,
                             ConstTensorView log_sd, ConstTensorView code, ConstTensorView offset,
                             TensorView y);

}  // namespace emshap::ops
