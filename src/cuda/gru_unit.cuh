#pragma once
// One unit of one row of a GRU step.
#include "cuda/launch.h"
#include "math/gru.h"

namespace emshap::cuda {

template <class T>
struct UnitGates {
  T r, z, n;
};

template <class T>
__device__ inline math::GruGates<T> gates_of(const UnitGates<T>& gi, const UnitGates<T>& gh) {
  const auto rates = math::gru_rates(gi.r + gh.r, gi.z + gh.z);
  return {rates.r, rates.z, math::gru_tanh(math::mul_add(rates.r, gh.n, gi.n)), gh.n};
}

/// gi of a token: value wa + wb; a and s point at the unit.
template <class T>
__device__ inline UnitGates<T> token_input(T value, const T* a, const T* s, std::int64_t H) {
  return {math::mul_add(value, a[0], s[0]), math::mul_add(value, a[H], s[H]),
          math::mul_add(value, a[2 * H], s[2 * H])};
}

/// The unit with inputs gi; gh, h, h_next and gates (or null) point at the unit.
template <class T>
__device__ inline void forward_unit(const UnitGates<T>& gi, const T* gh, const T* h, std::int64_t H,
                                    T* h_next, T* gates) {
  const math::GruGates<T> all = gates_of(gi, {gh[0], gh[H], gh[2 * H]});
  *h_next = math::gru_state(all, *h);
  if (gates == nullptr) return;
  gates[0] = all.r;
  gates[H] = all.z;
  gates[2 * H] = all.n;
  gates[3 * H] = all.gh_n;
}

}  // namespace emshap::cuda
