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
  const auto inside = size <= delta;
  return {select(inside, half * (d * d), delta * (size - half * delta)),
          select(inside, d, copysign(delta, d))};
}

}  // namespace emshap::math
