#pragma once
// Pointwise arithmetic on (rows, cols) views of one extent; outputs may alias inputs.
#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap::ops {

EMSHAP_API void fill(Context& ctx, double value, TensorView y);
/// The same for a contiguous tensor that all members of a team share, such as the gradient buffer: once all
/// have come, so that nobody reads it any more, each member fills its range, and all wait until it is full.
EMSHAP_API void fill_shared(Context& ctx, double value, TensorView y);
/// y = x; the element types may differ between f32 and f64.
EMSHAP_API void copy(Context& ctx, ConstTensorView x, TensorView y);
/// y = a + b
EMSHAP_API void add(Context& ctx, ConstTensorView a, ConstTensorView b, TensorView y);
/// y = a * b
EMSHAP_API void multiply(Context& ctx, ConstTensorView a, ConstTensorView b, TensorView y);
/// y = scale * x + shift
EMSHAP_API void affine(Context& ctx, ConstTensorView x, double scale, double shift, TensorView y);
/// y += alpha * x
EMSHAP_API void axpy(Context& ctx, double alpha, ConstTensorView x, TensorView y);
/// y[r, c] = x[r, c] * scale[c] + shift[c]; scale and shift (cols).
EMSHAP_API void scale_shift_columns(Context& ctx, ConstTensorView x, ConstTensorView scale,
                                    ConstTensorView shift, TensorView y);

}  // namespace emshap::ops
