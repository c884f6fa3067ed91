#pragma once
// The operations of Pack that GCC's vector extensions cannot express, or only badly, by intrinsics where the
// instruction-set level has one for the width, and lane by lane elsewhere. Included by pack.h. The maskz
// forms with a full mask are the plain instructions; g++ 12 warns about an uninitialised operand inside the
// unmasked forms.
#include "math/pack.h"

namespace emshap::math {

#if defined(__x86_64__)
#define EMSHAP_IF_PACK(type, lanes, ...) \
  if constexpr (std::is_same_v<T, type> && N == lanes) return Pack<T, N>(__VA_ARGS__)
#if defined(__AVX512F__)
#define EMSHAP_AVX512(type, lanes, ...) EMSHAP_IF_PACK(type, lanes, __VA_ARGS__)
#else
#define EMSHAP_AVX512(type, lanes, ...)
#endif
#if defined(__AVX2__)
#define EMSHAP_AVX2(type, lanes, ...) EMSHAP_IF_PACK(type, lanes, __VA_ARGS__)
#else
#define EMSHAP_AVX2(type, lanes, ...)
#endif
#define EMSHAP_SSE(type, lanes, ...) EMSHAP_IF_PACK(type, lanes, __VA_ARGS__)
#else
#define EMSHAP_AVX512(type, lanes, ...)
#define EMSHAP_AVX2(type, lanes, ...)
#define EMSHAP_SSE(type, lanes, ...)
#endif

template <class T, int N>
EMSHAP_HD Pack<T, N> mul_add(Pack<T, N> a, Pack<T, N> b, Pack<T, N> c) {
#if EMSHAP_FUSED
  EMSHAP_AVX512(float, 16, _mm512_fmadd_ps(a.v, b.v, c.v));
  EMSHAP_AVX512(double, 8, _mm512_fmadd_pd(a.v, b.v, c.v));
  EMSHAP_AVX2(float, 8, _mm256_fmadd_ps(a.v, b.v, c.v));
  EMSHAP_AVX2(double, 4, _mm256_fmadd_pd(a.v, b.v, c.v));
  EMSHAP_AVX2(float, 4, _mm_fmadd_ps(a.v, b.v, c.v));
  EMSHAP_AVX2(double, 2, _mm_fmadd_pd(a.v, b.v, c.v));
  Pack<T, N> r;
  for (int i = 0; i < N; ++i) r.v[i] = mul_add(a.v[i], b.v[i], c.v[i]);
  return r;
#else
  return a * b + c;
#endif
}

template <class T, int N>
EMSHAP_HD Pack<T, N> sqrt(Pack<T, N> a) {
  EMSHAP_AVX512(float, 16, _mm512_maskz_sqrt_ps(0xffff, a.v));
  EMSHAP_AVX512(double, 8, _mm512_maskz_sqrt_pd(0xff, a.v));
  EMSHAP_AVX2(float, 8, _mm256_sqrt_ps(a.v));
  EMSHAP_AVX2(double, 4, _mm256_sqrt_pd(a.v));
  EMSHAP_SSE(float, 4, _mm_sqrt_ps(a.v));
  EMSHAP_SSE(double, 2, _mm_sqrt_pd(a.v));
  Pack<T, N> r;
  for (int i = 0; i < N; ++i) r.v[i] = sqrt(a.v[i]);
  return r;
}

template <class T, int N>
EMSHAP_HD Pack<T, N> min(Pack<T, N> a, Pack<T, N> b) {
  EMSHAP_AVX512(float, 16, _mm512_maskz_min_ps(0xffff, a.v, b.v));
  EMSHAP_AVX512(double, 8, _mm512_maskz_min_pd(0xff, a.v, b.v));
  EMSHAP_AVX2(float, 8, _mm256_min_ps(a.v, b.v));
  EMSHAP_AVX2(double, 4, _mm256_min_pd(a.v, b.v));
  EMSHAP_SSE(float, 4, _mm_min_ps(a.v, b.v));
  EMSHAP_SSE(double, 2, _mm_min_pd(a.v, b.v));
  return select(a < b, a, b);
}

template <class T, int N>
EMSHAP_HD Pack<T, N> max(Pack<T, N> a, Pack<T, N> b) {
  EMSHAP_AVX512(float, 16, _mm512_maskz_max_ps(0xffff, a.v, b.v));
  EMSHAP_AVX512(double, 8, _mm512_maskz_max_pd(0xff, a.v, b.v));
  EMSHAP_AVX2(float, 8, _mm256_max_ps(a.v, b.v));
  EMSHAP_AVX2(double, 4, _mm256_max_pd(a.v, b.v));
  EMSHAP_SSE(float, 4, _mm_max_ps(a.v, b.v));
  EMSHAP_SSE(double, 2, _mm_max_pd(a.v, b.v));
  return select(a > b, a, b);
}

/// The products of the low 32 bits of each 64-bit lane.
template <int N>
EMSHAP_HD Pack<std::uint64_t, N> mul_low32(Pack<std::uint64_t, N> a, Pack<std::uint64_t, N> b) {
  using T = std::uint64_t;
#define EMSHAP_U64(x) reinterpret_cast<typename Pack<T, N>::Vec>(x)
  EMSHAP_AVX512(T, 8,
                EMSHAP_U64(_mm512_maskz_mul_epu32(0xff, reinterpret_cast<__m512i>(a.v),
                                                  reinterpret_cast<__m512i>(b.v))));
  EMSHAP_AVX2(T, 4,
              EMSHAP_U64(_mm256_mul_epu32(reinterpret_cast<__m256i>(a.v), reinterpret_cast<__m256i>(b.v))));
  EMSHAP_SSE(T, 2, EMSHAP_U64(_mm_mul_epu32(reinterpret_cast<__m128i>(a.v), reinterpret_cast<__m128i>(b.v))));
#undef EMSHAP_U64
  const Pack<T, N> low(0xffffffffu);
  return (a & low) * (b & low);
}

#if defined(__AVX2__) && !defined(__AVX512VL__)
/// All bits set in the first n lanes of 32 bits.
EMSHAP_HD __m256i first_lanes32(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#endif

template <class T, int N>
EMSHAP_HD Pack<T, N> Pack<T, N>::load_partial(const T* p, int n) {
#if defined(__AVX512VL__)
  if constexpr (sizeof(T) == 4 && N == 16)
    return Pack(reinterpret_cast<Vec>(_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), p)));
  if constexpr (sizeof(T) == 8 && N == 8)
    return Pack(reinterpret_cast<Vec>(_mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << n) - 1), p)));
#elif defined(__AVX2__)
  if constexpr (sizeof(Vec) == 32) {
    const __m256i m = first_lanes32(n * static_cast<int>(sizeof(T) / 4));
    return Pack(reinterpret_cast<Vec>(_mm256_maskload_epi32(reinterpret_cast<const int*>(p), m)));
  }
#endif
  Pack r;
  for (int i = 0; i < N; ++i)
    if (i < n) r.v[i] = p[i];
  return r;
}

template <class T, int N>
EMSHAP_HD void Pack<T, N>::store_partial(T* p, int n) const {
#if defined(__AVX512VL__)
  if constexpr (sizeof(T) == 4 && N == 16)
    return _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1), reinterpret_cast<__m512i>(v));
  if constexpr (sizeof(T) == 8 && N == 8)
    return _mm512_mask_storeu_epi64(p, static_cast<__mmask8>((1u << n) - 1), reinterpret_cast<__m512i>(v));
#elif defined(__AVX2__)
  if constexpr (sizeof(Vec) == 32) {
    const __m256i m = first_lanes32(n * static_cast<int>(sizeof(T) / 4));
    return _mm256_maskstore_epi32(reinterpret_cast<int*>(p), m, reinterpret_cast<__m256i>(v));
  }
#endif
  for (int i = 0; i < N; ++i)
    if (i < n) p[i] = v[i];
}

#undef EMSHAP_AVX512
#undef EMSHAP_AVX2
#undef EMSHAP_SSE
#undef EMSHAP_IF_PACK

}  // namespace emshap::math
