#pragma once
// The gates of a GRU for one unit or a pack of them; see ops/recurrent.h.
#include "math/activation.h"

namespace emshap::math {

template <class V>
struct GruGates {
  V r, z, n;
  V gh_n;  ///< what r multiplies
};

template <class V>
EMSHAP_HD GruGates<V> gru_gates(V gi_r, V gi_z, V gi_n, V gh_r, V gh_z, V gh_n) {
  const V r = sigmoid(gi_r + gh_r);
  return {r, sigmoid(gi_z + gh_z), tanh(mul_add(r, gh_n, gi_n)), gh_n};
}

/// h' = (1 - z) n + z h
template <class V>
EMSHAP_HD V gru_state(const GruGates<V>& g, V h) {
  return mul_add(g.z, h - g.n, g.n);
}

template <class V>
struct GruGradients {
  V r, z;  ///< with respect to gi_r and gh_r, gi_z and gh_z
  V gi_n, gh_n;
  V h;  ///< the direct share, through z h
};

template <class V>
EMSHAP_HD GruGradients<V> gru_gradients(const GruGates<V>& g, V h, V dh_next) {
  const V one(scalar_of<V>(1));
  const V dn = dh_next * (one - g.z) * (one - g.n * g.n);
  const V dr = dn * g.gh_n * (g.r * (one - g.r));
  const V dz = dh_next * (h - g.n) * (g.z * (one - g.z));
  return {dr, dz, dn, dn * g.r, dh_next * g.z};
}

}  // namespace emshap::math
