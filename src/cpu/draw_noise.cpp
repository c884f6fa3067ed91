#include "emshap/ops/draw_noise.h"

#include <type_traits>

#include "core/mat.h"
#include "math/draw_noise.h"
#include "math/philox.h"
#include "math/random_value.h"
#include "math/sobol.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/draw_noise_backend.h"

namespace emshap::cpu::EMSHAP_ISA {
namespace {

template <class T>
EMSHAP_INLINE T number_from(std::uint32_t high, std::uint32_t low) {
  if constexpr (std::is_same_v<T, double>) return math::uniform_from(high, low);
  return static_cast<T>(math::uniform_from(high));
}

}  // namespace

template <class T>
void fill_draw_noise(Context& ctx, const RandomKey& key, const std::int64_t* numbers, std::int64_t first_draw,
                     std::int64_t draws, const std::uint32_t* directions, std::int64_t dimensions, Mat<T> y) {
  if (y.rows == 0) return;
  constexpr bool wide = std::is_same_v<T, double>;
  const std::int64_t blocks = (y.cols + 3) / 4;
  const Workspace::Scope scope(ctx.workspace());
  auto* points = ctx.workspace().take<std::uint32_t>(draws * dimensions);  // shared by all rows
  auto* seeds = ctx.workspace().take<std::uint32_t>(dimensions);
  auto* words = ctx.workspace().take<std::uint32_t>(4 * blocks);
  auto* low = ctx.workspace().take<std::uint32_t>(4 * blocks);
  for (std::int64_t k = 0; k < draws; ++k)
    for (std::int64_t d = 0; d < dimensions; ++d)
      points[k * dimensions + d] =
          math::sobol_word(directions + 32 * d, static_cast<std::uint32_t>(first_draw + k));
  const math::PhiloxStream stream(key);
  for (std::int64_t i = 0; i < y.rows / draws; ++i) {
    const math::PhiloxRow row = stream.row(static_cast<std::uint64_t>(numbers[i]));
    for (std::int64_t d = 0; d < dimensions; ++d)
      seeds[d] = row.block(math::scramble_blocks + static_cast<std::uint32_t>(d / 4)).word[d % 4];
    for (std::int64_t k = 0; k < draws; ++k) {
      const auto first_block = static_cast<std::uint32_t>((first_draw + k) * blocks);
      for (std::int64_t b = 0; b < blocks; ++b) {
        const auto index = first_block + static_cast<std::uint32_t>(b);
        if (4 * b + 3 >= dimensions) {
          const auto made = row.block(index);
          for (int w = 0; w < 4; ++w) words[4 * b + w] = made.word[w];
        }
        if constexpr (wide) {
          const auto made = row.block(index | math::second_word_blocks);
          for (int w = 0; w < 4; ++w) low[4 * b + w] = made.word[w];
        }
      }
      const std::uint32_t* point = points + k * dimensions;
      for (std::int64_t d = 0; d < dimensions; ++d) words[d] = math::owen_scramble(point[d], seeds[d]);
      T* to = y.row(i * draws + k);
      for (std::int64_t c = 0; c < y.cols; ++c) to[c] = number_from<T>(words[c], wide ? low[c] : 0);
    }
  }
}

template void fill_draw_noise<float>(Context&, const RandomKey&, const std::int64_t*, std::int64_t,
                                     std::int64_t, const std::uint32_t*, std::int64_t, Mat<float>);
template void fill_draw_noise<double>(Context&, const RandomKey&, const std::int64_t*, std::int64_t,
                                      std::int64_t, const std::uint32_t*, std::int64_t, Mat<double>);

}  // namespace emshap::cpu::EMSHAP_ISA
