#pragma once
// Four floats that one instruction loads or stores, where they are aligned.
#include <cstdint>

#include "core/mat.h"
#include "cuda/launch.h"

/// Before a loop that indexes a thread's own small arrays: unless it is unrolled, they lie in memory and not
/// in registers.
#if defined(__CUDACC__)
#define EMSHAP_UNROLL _Pragma("unroll")
#else
#define EMSHAP_UNROLL
#endif

namespace emshap::cuda {

struct alignas(16) Quad {
  float at[4];
};
__device__ inline Quad load_quad(const float* from) {
  return *reinterpret_cast<const Quad*>(from);
}
__device__ inline void store_quad(float* to, const Quad& values) {
  *reinterpret_cast<Quad*>(to) = values;
}

/// Whether quads can be taken from here; only the address is looked at, null is aligned.
template <class T>
bool quad_aligned(const T* data) {
  return reinterpret_cast<std::uintptr_t>(data) % sizeof(Quad) == 0;
}
/// Whether quads can be taken at every fourth column of each row.
template <class T>
bool rows_of_quads(const Mat<T>& m) {
  return quad_aligned(m.data) && (m.stride % 4 == 0 || m.rows <= 1);
}

}  // namespace emshap::cuda
