#include "emshap/ops/random_fill.h"

#include <type_traits>

#include "cpu/lanes.h"
#include "math/philox_pack.h"
#include "math/random_value.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/random_fill_backend.h"

namespace emshap::cpu::EMSHAP_ISA {
namespace {

constexpr int group = 64;  // columns whose words are made together

/// Words first .. first + 63 of a row; first is a multiple of 64.
EMSHAP_HD void make_words(const math::PhiloxRow& row, std::uint32_t first_block, std::uint32_t* words) {
  constexpr int blocks = vector_bytes / 8;
  for (int b = 0; b < group / 4; b += blocks) {
    const auto made =
        math::in_order(math::philox_blocks<blocks>(row, first_block + static_cast<std::uint32_t>(b)));
    made.low.store(words + 4 * b);
    made.high.store(words + 4 * b + 2 * blocks);
  }
}

/// y = value(words): one word per element for float, two for double.
template <class T, class Value>
EMSHAP_HD void fill(Context& ctx, const RandomKey& key, Mat<T> y, const Value& value) {
  const std::int64_t row_begin = ctx.plan(y.rows).row_begin;
  const math::PhiloxStream stream(key);
  alignas(64) std::uint32_t words[group], more[group];
  for (std::int64_t r = 0; r < y.rows; ++r) {
    const math::PhiloxRow row = stream.near_row(static_cast<std::uint64_t>(row_begin + r));
    for (std::int64_t c = 0; c < y.cols; c += group) {
      const auto block = static_cast<std::uint32_t>(c / 4);
      make_words(row, block, words);
      if constexpr (std::is_same_v<T, double>) make_words(row, block | math::second_word_blocks, more);
      T* to = y.row(r) + c;
      for_each_pack<T>(y.cols - c < group ? y.cols - c : group, [&](auto at) EMSHAP_INLINE_LAMBDA {
        if constexpr (std::is_same_v<T, double>)
          at.store(to, value(at.load(words), at.load(more)));
        else
          at.store(to, value(at.load(words)));
      });
    }
  }
}

}  // namespace

// Scale and shift are two rounded steps on purpose: every level and device gives the same bits for uniform
// numbers.
template <class T>
void fill_uniform(Context& ctx, const RandomKey& key, double low, double high, Mat<T> y) {
  const NativePack<T> width(static_cast<T>(high - low)), begin(static_cast<T>(low));
  fill(ctx, key, y,
       [&](auto... words) EMSHAP_INLINE_LAMBDA { return math::uniform_from(words...) * width + begin; });
}

template <class T>
void fill_normal(Context& ctx, const RandomKey& key, double mean, double sd, Mat<T> y) {
  const NativePack<T> scale(static_cast<T>(sd)), centre(static_cast<T>(mean));
  fill(ctx, key, y,
       [&](auto... words) EMSHAP_INLINE_LAMBDA { return math::normal_from(words...) * scale + centre; });
}

#define EMSHAP_INSTANTIATE(T)                                                        \
  template void fill_uniform<T>(Context&, const RandomKey&, double, double, Mat<T>); \
  template void fill_normal<T>(Context&, const RandomKey&, double, double, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
