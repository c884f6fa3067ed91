#pragma once
// The dropout mask of math/dropout.h, for the dropout op and for ops that end with dropout. The mask of 64
// columns is made at once:
//
//   const DropoutMask mask(key, p);
//   for each row r of the batch, counted over the batch:
//     for (c0 = 0; c0 < cols; c0 += DropoutMask::group)
//       const auto keep = mask.columns(r, c0);               // columns c0 .. c0 + 63
//       for (i = 0; i < packs in this group; ++i)
//         y = keep.apply(i, x * mask.scale<T>());            // pack i of the group: x or zero
#include "cpu/lanes.h"
#include "math/dropout.h"
#include "math/philox_pack.h"

namespace emshap::cpu::EMSHAP_ISA {

/// Keep or drop 64 neighbouring columns of a row.
struct KeepColumns {
  static constexpr int group = 64;
#if defined(__AVX512BW__)
  std::uint64_t bits;  // bit c set: keep
  EMSHAP_HD math::Pack<float, 16> apply(int i, math::Pack<float, 16> x) const {
    return math::Pack<float, 16>(_mm512_maskz_mov_ps(static_cast<__mmask16>(bits >> (16 * i)), x.v));
  }
  EMSHAP_HD math::Pack<double, 8> apply(int i, math::Pack<double, 8> x) const {
    return math::Pack<double, 8>(_mm512_maskz_mov_pd(static_cast<__mmask8>(bits >> (8 * i)), x.v));
  }
#else
  alignas(16) std::int16_t keep[group];  // all bits set: keep
  /// x where kept, zero where dropped; x is pack i of the group.
  template <class T, int N>
  EMSHAP_HD math::Pack<T, N> apply(int i, math::Pack<T, N> x) const {
    using Wide = math::int_of<math::Pack<T, N> >;
    typedef std::int16_t Narrow __attribute__((vector_size(2 * N)));
    Narrow m;
    __builtin_memcpy(&m, keep + i * N, sizeof m);
    return math::as_float(math::as_int(x) & Wide(__builtin_convertvector(m, typename Wide::Vec)));
  }
#endif
};

class DropoutMask {
 public:
  static constexpr int group = KeepColumns::group;

  /// 0 <= p < 1
  EMSHAP_HD DropoutMask(const RandomKey& key, double p)
      : stream_(key), threshold_(math::dropout_threshold(p)), scale_(1 / (1 - p)) {}

  /// 1 / (1 - p)
  template <class T>
  EMSHAP_HD T scale() const {
    return static_cast<T>(scale_);
  }

  /// Columns [first, first + 64) of `row`, counted over the batch; first is a multiple of 64.
  EMSHAP_HD KeepColumns columns(std::int64_t row, std::int64_t first) const {
    constexpr int blocks = vector_bytes / 8;  // made together
    const math::PhiloxRow stream = stream_.near_row(static_cast<std::uint64_t>(row));
    KeepColumns keep;
#if defined(__AVX512BW__)
    const auto words =
        math::in_order(math::philox_blocks<blocks>(stream, static_cast<std::uint32_t>(first / 8)));
    const __m512i threshold = _mm512_set1_epi16(static_cast<short>(threshold_));
    const std::uint64_t low = _mm512_cmpge_epu16_mask(reinterpret_cast<__m512i>(words.low.v), threshold);
    const std::uint64_t high = _mm512_cmpge_epu16_mask(reinterpret_cast<__m512i>(words.high.v), threshold);
    keep.bits = high << 32 | low;
#else
    typedef std::uint16_t Halves __attribute__((vector_size(vector_bytes)));
    const math::Pack<std::uint32_t, vector_bytes / 4> both(threshold_ << 16 | threshold_);
    const Halves threshold = reinterpret_cast<Halves>(both.v);
    for (int part = 0; part < 8 / blocks; ++part) {
      const auto words = math::in_order(
          math::philox_blocks<blocks>(stream, static_cast<std::uint32_t>(first / 8 + part * blocks)));
      const auto low = reinterpret_cast<Halves>(words.low.v) >= threshold;
      const auto high = reinterpret_cast<Halves>(words.high.v) >= threshold;
      __builtin_memcpy(keep.keep + part * blocks * 8, &low, sizeof low);
      __builtin_memcpy(keep.keep + part * blocks * 8 + blocks * 4, &high, sizeof high);
    }
#endif
    return keep;
  }

 private:
  math::PhiloxStream stream_;
  std::uint32_t threshold_;
  double scale_;
};

}  // namespace emshap::cpu::EMSHAP_ISA
