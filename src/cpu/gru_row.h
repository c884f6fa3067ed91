#pragma once
// One row of a GRU step, what ops/recurrent.h and ops/draw_step.h share.
#include "cpu/columns.h"
#include "math/gru.h"

namespace emshap::cpu::EMSHAP_ISA {

template <class At, class T>
EMSHAP_INLINE void store_gates(const At& at, const math::GruGates<NativePack<T>>& g, T* gates,
                               std::int64_t H) {
  at.store(gates, g.r);
  at.store(gates + H, g.z);
  at.store(gates + 2 * H, g.n);
  at.store(gates + 3 * H, g.gh_n);
}

/// A row of gi: its packs of gate g.
template <class T>
struct GivenInput {
  const T* gi;
  std::int64_t H;
  template <class At>
  EMSHAP_INLINE NativePack<T> gate(const At& at, int g) const {
    return at.load(gi + g * H);
  }
};

/// The same from a token: value wa + wb.
template <class T>
struct TokenInput {
  NativePack<T> value;
  const T *wa, *wb;
  std::int64_t H;
  template <class At>
  EMSHAP_INLINE NativePack<T> gate(const At& at, int g) const {
    return math::mul_add(value, at.load(wa + g * H), at.load(wb + g * H));
  }
};

/// Packs of units that go through the gates together.
template <class T>
inline constexpr int gru_packs = vector_bytes == 64 ? 4 : 2;

template <class T, class Input>
EMSHAP_INLINE void forward_row(const Input& input, const T* gh, const T* h, std::int64_t H, T* h_next,
                               T* gates) {
  for_each_column_group<T, gru_packs<T>>(0, H, [&](auto group) EMSHAP_INLINE_LAMBDA {
    using V = NativePack<T>;
    constexpr int packs = decltype(group)::packs;
    V r[packs], z[packs], n[packs];
#pragma GCC unroll 4
    for (int g = 0; g < packs; ++g) {
      const auto at = group.pack(g);
      r[g] = input.gate(at, 0) + at.load(gh);
      z[g] = input.gate(at, 1) + at.load(gh + H);
    }
    math::gru_rates_of<packs>(r, z);
#pragma GCC unroll 4
    for (int g = 0; g < packs; ++g) {
      const auto at = group.pack(g);
      n[g] = math::mul_add(r[g], at.load(gh + 2 * H), input.gate(at, 2));
    }
    math::gru_tanhs<packs>(n);
#pragma GCC unroll 4
    for (int g = 0; g < packs; ++g) {
      const auto at = group.pack(g);
      const math::GruGates<V> all{r[g], z[g], n[g], at.load(gh + 2 * H)};
      if (gates != nullptr) store_gates(at, all, gates, H);
      at.store(h_next, math::gru_state(all, at.load(h)));
    }
  });
}

}  // namespace emshap::cpu::EMSHAP_ISA
