#pragma once
// How wide this instruction-set level is, and the loop that elementwise ops share: whole packs, then one
// partial pack with the same arithmetic, so that an element's bits do not depend on where it stands.
#include "core/mat.h"
#include "math/pack.h"

namespace emshap::cpu::EMSHAP_ISA {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif
template <class T>
inline constexpr int native_lanes = vector_bytes / static_cast<int>(sizeof(T));
template <class T>
using NativePack = math::Pack<T, native_lanes<T>>;

/// Elements [i, i + lanes) of the arrays that a loop body reads and writes.
template <class T>
struct WholePack {
  std::int64_t i;
  template <class U>
  EMSHAP_HD math::Pack<U, native_lanes<T>> load(const U* p) const {
    return math::Pack<U, native_lanes<T>>::load(p + i);
  }
  template <class U>
  EMSHAP_HD void store(U* p, math::Pack<U, native_lanes<T>> value) const {
    value.store(p + i);
  }
};
/// Elements [i, i + count), count < lanes; the other lanes read as zero and are not written.
template <class T>
struct PartialPack {
  std::int64_t i;
  int count;
  template <class U>
  EMSHAP_HD math::Pack<U, native_lanes<T>> load(const U* p) const {
    return math::Pack<U, native_lanes<T>>::load_partial(p + i, count);
  }
  template <class U>
  EMSHAP_HD void store(U* p, math::Pack<U, native_lanes<T>> value) const {
    value.store_partial(p + i, count);
  }
};

/// body(at) for all n elements: for_each_pack<T>(n, [&](auto at) EMSHAP_INLINE_LAMBDA { at.store(y,
/// f(at.load(x))); });
template <class T, class Body>
EMSHAP_HD void for_each_pack(std::int64_t n, const Body& body) {
  constexpr int lanes = native_lanes<T>;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(WholePack<T>{i});
  if (i < n) body(PartialPack<T>{i, static_cast<int>(n - i)});
}

/// span(row, count) for each row, or once for all elements when no matrix has gaps between its rows.
template <class Span>
EMSHAP_HD void for_each_span(std::int64_t rows, std::int64_t cols, bool contiguous, const Span& span) {
  const std::int64_t count = contiguous ? rows * cols : cols;
  const std::int64_t spans = contiguous && rows > 0 ? 1 : rows;
  for (std::int64_t r = 0; r < spans; ++r) span(r, count);
}

}  // namespace emshap::cpu::EMSHAP_ISA
