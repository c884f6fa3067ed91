#pragma once
// Pack<T, N>: N numbers handled together, on GCC's vector extensions, with the operations of scalar.h.
// Whatever N is, lane i of a result has the bits of the scalar formula on lane i. Not for nvcc: kernels use
// the scalar formulas.
#include "math/scalar.h"

#if !defined(__CUDACC__)
#include <type_traits>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace emshap::math {

template <class T, int N>
struct Pack;

template <class T, int N>
struct VectorOf {
  typedef T type __attribute__((vector_size(sizeof(T) * N)));
};

/// Result of a comparison of packs of T: all bits of a lane set where true.
template <class T, int N>
struct Mask {
  using Lane = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  using Vec = typename VectorOf<Lane, N>::type;
  Vec v;
  EMSHAP_HD Mask() : v{} {}
  EMSHAP_HD explicit Mask(Vec x) : v(x) {}
  EMSHAP_HD bool operator[](int lane) const { return v[lane] != 0; }
  friend EMSHAP_HD Mask operator&(Mask a, Mask b) { return Mask(a.v & b.v); }
  friend EMSHAP_HD Mask operator|(Mask a, Mask b) { return Mask(a.v | b.v); }
  friend EMSHAP_HD Mask operator!(Mask a) { return Mask(~a.v); }
};

/// T is float, double or an integer of 32 or 64 bits; N a power of two.
template <class T, int N>
struct Pack {
  using Vec = typename VectorOf<T, N>::type;
  using M = Mask<T, N>;
  Vec v;

  EMSHAP_HD Pack() : v{} {}
  EMSHAP_HD explicit Pack(Vec x) : v(x) {}
  /// Every lane; implicit, so that formulas mix packs and constants.
  EMSHAP_HD Pack(T x) : v(broadcast(x, std::make_integer_sequence<int, N>())) {}
  /// 0, 1 ... N - 1
  static EMSHAP_HD Pack iota() { return Pack(count(std::make_integer_sequence<int, N>())); }

  /// Any alignment.
  static EMSHAP_HD Pack load(const T* p) {
    Pack r;
    __builtin_memcpy(&r.v, p, sizeof(Vec));
    return r;
  }
  EMSHAP_HD void store(T* p) const { __builtin_memcpy(p, &v, sizeof(Vec)); }
  /// The first n < N lanes, zero in the others; touches no memory beyond p[n - 1]. 0 <= n.
  static EMSHAP_HD Pack load_partial(const T* p, int n);
  EMSHAP_HD void store_partial(T* p, int n) const;

  EMSHAP_HD T operator[](int lane) const { return v[lane]; }
  EMSHAP_HD void set(int lane, T x) { v[lane] = x; }

  friend EMSHAP_HD Pack operator+(Pack a, Pack b) { return Pack(a.v + b.v); }
  friend EMSHAP_HD Pack operator-(Pack a, Pack b) { return Pack(a.v - b.v); }
  friend EMSHAP_HD Pack operator*(Pack a, Pack b) { return Pack(a.v * b.v); }
  friend EMSHAP_HD Pack operator/(Pack a, Pack b) { return Pack(a.v / b.v); }
  friend EMSHAP_HD Pack operator-(Pack a) { return Pack(-a.v); }
  EMSHAP_HD Pack& operator+=(Pack b) { return *this = *this + b; }
  EMSHAP_HD Pack& operator-=(Pack b) { return *this = *this - b; }
  EMSHAP_HD Pack& operator*=(Pack b) { return *this = *this * b; }
  friend EMSHAP_HD M operator<(Pack a, Pack b) { return M(a.v < b.v); }
  friend EMSHAP_HD M operator<=(Pack a, Pack b) { return M(a.v <= b.v); }
  friend EMSHAP_HD M operator>(Pack a, Pack b) { return M(a.v > b.v); }
  friend EMSHAP_HD M operator>=(Pack a, Pack b) { return M(a.v >= b.v); }
  friend EMSHAP_HD M operator==(Pack a, Pack b) { return M(a.v == b.v); }
  friend EMSHAP_HD M operator!=(Pack a, Pack b) { return M(a.v != b.v); }
  // Bits, for integer packs.
  friend EMSHAP_HD Pack operator&(Pack a, Pack b) { return Pack(a.v & b.v); }
  friend EMSHAP_HD Pack operator|(Pack a, Pack b) { return Pack(a.v | b.v); }
  friend EMSHAP_HD Pack operator^(Pack a, Pack b) { return Pack(a.v ^ b.v); }
  friend EMSHAP_HD Pack operator<<(Pack a, int bits) { return Pack(a.v << bits); }
  friend EMSHAP_HD Pack operator>>(Pack a, int bits) { return Pack(a.v >> bits); }

 private:
  template <int... I>
  static EMSHAP_HD Vec broadcast(T x, std::integer_sequence<int, I...>) {
    return Vec{(static_cast<void>(I), x)...};
  }
  template <int... I>
  static EMSHAP_HD Vec count(std::integer_sequence<int, I...>) {
    return Vec{static_cast<T>(I)...};
  }
};

template <int N>
struct Traits<Pack<float, N>> {
  using Scalar = float;
  using Int = Pack<std::int32_t, N>;
  using Mask = math::Mask<float, N>;
  static constexpr int lanes = N;
};
template <int N>
struct Traits<Pack<double, N>> {
  using Scalar = double;
  using Int = Pack<std::int64_t, N>;
  using Mask = math::Mask<double, N>;
  static constexpr int lanes = N;
};

template <class T, int N, class U>
EMSHAP_HD Pack<T, N> select(Mask<U, N> m, Pack<T, N> a, Pack<T, N> b) {
  static_assert(sizeof(T) == sizeof(U));
  return Pack<T, N>(m.v ? a.v : b.v);
}

/// Lane by lane by a scalar function: for what has no vector instruction here.
template <class T, int N, class F>
EMSHAP_HD Pack<T, N> per_lane(Pack<T, N> a, F f) {
  Pack<T, N> r;
  for (int i = 0; i < N; ++i) r.v[i] = f(a.v[i]);
  return r;
}

template <class T, int N>
EMSHAP_HD Pack<std::int32_t, N> as_int(Pack<T, N> a) requires(sizeof(T) == 4) {
  return Pack<std::int32_t, N>(reinterpret_cast<typename Pack<std::int32_t, N>::Vec>(a.v));
}
template <class T, int N>
EMSHAP_HD Pack<std::int64_t, N> as_int(Pack<T, N> a) requires(sizeof(T) == 8) {
  return Pack<std::int64_t, N>(reinterpret_cast<typename Pack<std::int64_t, N>::Vec>(a.v));
}
template <class T, int N>
EMSHAP_HD Pack<float, N> as_float(Pack<T, N> a) requires(sizeof(T) == 4) {
  return Pack<float, N>(reinterpret_cast<typename Pack<float, N>::Vec>(a.v));
}
template <class T, int N>
EMSHAP_HD Pack<double, N> as_float(Pack<T, N> a) requires(sizeof(T) == 8) {
  return Pack<double, N>(reinterpret_cast<typename Pack<double, N>::Vec>(a.v));
}

template <int N>
EMSHAP_HD Pack<std::int32_t, N> wrapping_sub(Pack<std::int32_t, N> a, Pack<std::int32_t, N> b) {
  using U = typename Pack<std::uint32_t, N>::Vec;
  return Pack<std::int32_t, N>(reinterpret_cast<typename Pack<std::int32_t, N>::Vec>(
      reinterpret_cast<U>(a.v) - reinterpret_cast<U>(b.v)));
}

/// Conversion by value between element types; to integers it truncates.
template <class U, class T, int N>
EMSHAP_HD Pack<U, N> convert(Pack<T, N> a) {
  return Pack<U, N>(__builtin_convertvector(a.v, typename Pack<U, N>::Vec));
}
template <int N>
EMSHAP_HD Pack<std::int32_t, N> to_int(Pack<float, N> a) {
  return convert<std::int32_t>(a);
}
template <int N>
EMSHAP_HD Pack<std::int64_t, N> to_int(Pack<double, N> a) {
  return convert<std::int64_t>(a);
}
template <int N>
EMSHAP_HD Pack<float, N> to_float(Pack<std::int32_t, N> a) {
  return convert<float>(a);
}
template <int N>
EMSHAP_HD Pack<double, N> to_float(Pack<std::int64_t, N> a) {
  return convert<double>(a);
}

template <class T, int N>
EMSHAP_HD Pack<T, N> abs(Pack<T, N> a) {
  using I = int_of<Pack<T, N>>;
  return as_float(as_int(a) & ~I(as_int(T(-0.0))));
}
template <class T, int N>
EMSHAP_HD Pack<T, N> copysign(Pack<T, N> size, Pack<T, N> sign) {
  using I = int_of<Pack<T, N>>;
  const I bit(as_int(T(-0.0)));
  return as_float((as_int(size) & ~bit) | (as_int(sign) & bit));
}
template <class T, int N>
EMSHAP_HD Pack<T, N> operator~(Pack<T, N> a) {
  return Pack<T, N>(~a.v);
}

template <class T, int N>
EMSHAP_HD bool any(Mask<T, N> m) {
  bool r = false;
  for (int i = 0; i < N; ++i) r |= m[i];
  return r;
}
template <class T, int N>
EMSHAP_HD bool all(Mask<T, N> m) {
  return !any(!m);
}

/// The lanes in a fixed order: halves added until one is left, (0 + 2) + (1 + 3) for N = 4.
template <class T, int N>
EMSHAP_HD T horizontal_sum(Pack<T, N> a) {
  if constexpr (N == 1) {
    return a[0];
  } else {
    Pack<T, N / 2> low, high;
    __builtin_memcpy(&low.v, &a.v, sizeof low.v);
    __builtin_memcpy(&high.v, reinterpret_cast<const char*>(&a.v) + sizeof low.v, sizeof high.v);
    return horizontal_sum(low + high);
  }
}

}  // namespace emshap::math

#include "math/pack_native.h"
#endif
