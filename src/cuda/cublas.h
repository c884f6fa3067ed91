#pragma once
// Products of row-major matrices: the only place that calls cuBLAS.
#include "core/mat.h"
#include "emshap/core/context.h"

namespace emshap::cuda {

/// An operand as it lies in memory, and whether the product takes its transpose.
struct Operand {
  Mat<const float> mat;
  bool transposed = false;
};
inline Operand transposed(const Mat<const float>& m) {
  return {m, true};
}

/// c (M, N) = a (M, K) b (K, N), or c += with `accumulate`; extents are those after the transposition. f32
/// sums of f32 products, or of TF32 ones with cuda_tf32(). The same sizes on the same card give the same
/// bits. A context's first product makes its cuBLAS handle, which a stream that is being captured refuses.
/// Throws CudaError.
void product(Context& ctx, const Operand& a, const Operand& b, bool accumulate, const Mat<float>& c);

}  // namespace emshap::cuda
