#pragma once
// Dense products of the CPU backend. Two implementations with this one interface: register tiles
// (product.cpp, the x86-64 levels) and Eigen (eigen/product.cpp, level eigen). Single-threaded: a team splits
// rows, not products.
//
// With register tiles every element of C is one chain of multiply-adds over the inner index, so its bits
// depend neither on the row it stands in nor on how rows are cut into calls.
#include <cstdint>

#include "core/mat.h"
#include "emshap/core/context.h"
#include "emshap/ops/activation.h"

namespace emshap::cpu::EMSHAP_ISA {

/// Whether a row of C has the same bits whichever rows are computed with it.
#if EMSHAP_EIGEN_PRODUCTS
inline constexpr bool product_rows_are_independent = false;
#else
inline constexpr bool product_rows_are_independent = true;
#endif

/// What happens to a finished element: C = relu(AB + bias) + plus, or C += AB (the others unused).
template <class T>
struct ProductEpilogue {
  const T* bias = nullptr;  ///< (N) or null
  bool relu = false;
  bool accumulate = false;
  const T* plus = nullptr;  ///< (M, N) or null; may be A
  std::int64_t plus_stride = 0;
};

/// C (M, N) = epilogue(A (M, K) B (K, N)).
template <class T>
void product(Workspace& workspace, Mat<const T> a, Mat<const T> b, const ProductEpilogue<T>& epilogue,
             Mat<T> c);

/// C (M, N) = epilogue(A^T B) with A (K, M) and B (K, N).
template <class T>
void product_at(Workspace& workspace, Mat<const T> a, Mat<const T> b, const ProductEpilogue<T>& epilogue,
                Mat<T> c);

/// C (M, N) = epilogue(A B^T) with A (M, K) and B (N, K).
template <class T>
void product_bt(Workspace& workspace, Mat<const T> a, Mat<const T> b, const ProductEpilogue<T>& epilogue,
                Mat<T> c);

}  // namespace emshap::cpu::EMSHAP_ISA
