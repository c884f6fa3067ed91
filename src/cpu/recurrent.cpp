#include "emshap/ops/recurrent.h"

#include "cpu/gru_row.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/recurrent_backend.h"

namespace emshap::cpu::EMSHAP_ISA {
namespace {

/// Gate g of a row of gates begins at g H.
template <class At, class T>
EMSHAP_INLINE math::GruGates<NativePack<T>> load_gates(const At& at, const T* gates, std::int64_t H) {
  return {at.load(gates), at.load(gates + H), at.load(gates + 2 * H), at.load(gates + 3 * H)};
}

template <class T>
EMSHAP_INLINE void copy_row(const T* from, std::int64_t n, T* to) {
  for_each_pack<T>(n, [&](auto at) EMSHAP_INLINE_LAMBDA { at.store(to, at.load(from)); });
}

}  // namespace

template <class T>
void gru_forward(Context&, Mat<const T> gi, Mat<const T> gh, Mat<const T> h, Mat<T> h_next, Mat<T> gates) {
  for (std::int64_t b = 0; b < h.rows; ++b)
    forward_row<T>(GivenInput<T>{gi.row(b), h.cols}, gh.row(b), h.row(b), h.cols, h_next.row(b),
                   gates.data == nullptr ? nullptr : gates.row(b));
}

template <class T>
void gru_backward(Context&, Mat<const T> gates, Mat<const T> h, Mat<const T> dh_next, Mat<T> dgi, Mat<T> dgh,
                  Mat<T> dh) {
  const std::int64_t H = h.cols;
  for (std::int64_t b = 0; b < h.rows; ++b) {
    const T *kept = gates.row(b), *state = h.row(b), *upstream = dh_next.row(b);
    T *gi = dgi.row(b), *gh = dgh.row(b), *down = dh.row(b);
    for_each_pack<T>(H, [&](auto at) EMSHAP_INLINE_LAMBDA {
      const auto d = math::gru_gradients(load_gates(at, kept, H), at.load(state), at.load(upstream));
      at.store(gi, d.r);
      at.store(gi + H, d.z);
      at.store(gi + 2 * H, d.gi_n);
      at.store(gh, d.r);
      at.store(gh + H, d.z);
      at.store(gh + 2 * H, d.gh_n);
      at.store(down, d.h);
    });
  }
}

template <class T>
void gru_token_forward(Context&, const T* value, const std::int32_t* feature, const std::int32_t* slot,
                       Mat<const T> wa, Mat<const T> wb, Mat<const T> gh, Mat<const T> h, Mat<T> h_next,
                       Mat<T> gates) {
  for (std::int64_t b = 0; b < h.rows; ++b) {
    if (feature[b] < 0) {
      copy_row(h.row(b), h.cols, h_next.row(b));
      continue;
    }
    const TokenInput<T> input{NativePack<T>(value[b]), wa.row(feature[b]), wb.row(slot[b]), h.cols};
    forward_row<T>(input, gh.row(b), h.row(b), h.cols, h_next.row(b),
                   gates.data == nullptr ? nullptr : gates.row(b));
  }
}

template <class T>
void gru_token_backward(Context&, const T* value, const std::int32_t* feature, const std::int32_t* slot,
                        Mat<const T> h, Mat<T> gates, Mat<T> dh, Mat<T> dwa, Mat<T> dwb) {
  const std::int64_t H = h.cols;
  for (std::int64_t b = 0; b < h.rows; ++b) {
    T* kept = gates.row(b);
    if (feature[b] < 0) {
      for_each_pack<T>(4 * H, [&](auto at) EMSHAP_INLINE_LAMBDA { at.store(kept, NativePack<T>(T(0))); });
      continue;
    }
    const T* state = h.row(b);
    T *down = dh.row(b), *a = dwa.row(feature[b]), *s = dwb.row(slot[b]);
    const NativePack<T> x(value[b]);
    for_each_pack<T>(H, [&](auto at) EMSHAP_INLINE_LAMBDA {
      const auto d =
          math::gru_gradients(load_gates(at, static_cast<const T*>(kept), H), at.load(state), at.load(down));
      at.store(kept, d.r);
      at.store(kept + H, d.z);
      at.store(kept + 2 * H, d.gh_n);
      at.store(kept + 3 * H, d.gi_n);
      at.store(down, d.h);
      const NativePack<T> dgi[3] = {d.r, d.z, d.gi_n};
#pragma GCC unroll 3
      for (int g = 0; g < 3; ++g) {
        at.store(a + g * H, math::mul_add(x, dgi[g], at.load(a + g * H)));
        at.store(s + g * H, at.load(s + g * H) + dgi[g]);
      }
    });
  }
}

#define EMSHAP_INSTANTIATE(T)                                                                                \
  template void gru_forward<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<T>, Mat<T>);          \
  template void gru_backward<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<T>, Mat<T>, Mat<T>); \
  template void gru_token_forward<T>(Context&, const T*, const std::int32_t*, const std::int32_t*,           \
                                     Mat<const T>, Mat<const T>, Mat<const T>, Mat<const T>, Mat<T>,         \
                                     Mat<T>);                                                                \
  template void gru_token_backward<T>(Context&, const T*, const std::int32_t*, const std::int32_t*,          \
                                      Mat<const T>, Mat<T>, Mat<T>, Mat<T>, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
