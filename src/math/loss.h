#pragma once
// Losses of one residual d = prediction - target, with their slopes, for scalars and packs.
#include "math/scalar.h"

namespace emshap::math {

template <class V>
struct LossTerm {
  V value;
  V slope;  ///< derivative by d
};

/// d^2
template <class V>
EMSHAP_HD LossTerm<V> squared_error(V d) {
  return {d * d, d + d};
}

/// d^2 / 2 for |d| <= delta, delta (|d| - delta / 2) beyond. Source: Huber 1964, "Robust estimation of a
/// location parameter".
template <class V>
EMSHAP_HD LossTerm<V> huber_error(V d, V delta) {
  using T = scalar_of<V>;
  const V size = abs(d);
  const V half(T(.5));
  const auto outside = size > delta;  // false for NaN, which value and slope then pass on
  return {select(outside, delta * (size - half * delta), half * (d * d)),
          select(outside, copysign(delta, d), d)};
}

}  // namespace emshap::math
